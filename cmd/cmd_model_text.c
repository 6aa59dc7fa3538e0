/*
 * cmd_model_text.c - slmctl model tokenize, train-tokenizer
 *
 * Doors to the text side of a model, for comparing it with other software.
 */
#include "cmd_model.h"

#include "base/io.h"
#include "base/mem.h"
#include "codec/codec.h"
#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)64 << 20)
#define TEXT_MAX ((size_t)4 << 30)
#define MAX_SPECIALS 4096

static bool special, with_offsets, decode, skip_special;

static const struct opt tokenize_options[] = {
    { 0, "special", OPT_FLAG, &special, NULL,
      "add the tokens that the tokenizer itself puts around a text" },
    { 0, "offsets", OPT_FLAG, &with_offsets, NULL,
      "also where each token begins and ends, in code points" },
    { 0, "decode", OPT_FLAG, &decode, NULL, "from ids to text" },
    { 0, "skip-special", OPT_FLAG, &skip_special, NULL,
      "leave special tokens out of the text" },
    OPT_END,
};

struct work {
    const struct tokenizer *t;
    struct json j;
    struct token_list ids, offsets;
    struct buf text;
};

/* Bytes to code points, in place; offsets mostly rise, so the count goes on
 * from the last one. */
static void in_code_points(struct slice text, struct token_list *offsets)
{
    int32_t at = 0, count = 0;

    for (size_t i = 0; i < offsets->count; i++) {
        int32_t want = offsets->ids[i];

        if (want < at)
            at = count = 0;
        for (; at < want; at++)
            count += (text.p[at] & 0xC0) != 0x80;
        offsets->ids[i] = count;
    }
}

static void put_ids(struct work *k, struct json_writer *w)
{
    json_begin_array(w, "ids");
    for (size_t i = 0; i < k->ids.count; i++)
        json_put_int(w, NULL, k->ids.ids[i]);
    json_end_array(w);
    if (!with_offsets)
        return;
    in_code_points(buf_slice(&k->text), &k->offsets);
    json_begin_array(w, "offsets");
    for (size_t i = 0; i + 1 < k->offsets.count; i += 2) {
        json_begin_array(w, NULL);
        json_put_int(w, NULL, k->offsets.ids[i]);
        json_put_int(w, NULL, k->offsets.ids[i + 1]);
        json_end_array(w);
    }
    json_end_array(w);
}

static int encode_line(struct work *k, struct json_writer *w, struct err *err)
{
    int rc;

    if (!json_text(&k->j, json_get(&k->j, 0, "text"), &k->text))
        return err_set(err, ERR_FORMAT, "no string \"text\"");
    if (json_text_is_broken(&k->j, json_get(&k->j, 0, "text")))
        return err_set(err, ERR_FORMAT,
                       "\"text\" holds half of a character (a lone \\u "
                       "escape of a surrogate)");
    rc = tokenizer_encode(k->t, buf_slice(&k->text),
                          special ? TOKENIZER_SPECIAL : 0, &k->ids,
                          with_offsets ? &k->offsets : NULL, err);
    if (rc == ERR_OK)
        put_ids(k, w);
    return rc;
}

static int decode_line(struct work *k, struct json_writer *w, struct err *err)
{
    json_ref list = json_get(&k->j, 0, "ids");

    if (!json_is(&k->j, list, JSON_ARRAY))
        return err_set(err, ERR_FORMAT, "no array \"ids\"");
    for (json_ref e = json_first(&k->j, list); e != JSON_NONE;
         e = json_next(&k->j, list, e)) {
        int64_t id;

        if (!json_int(&k->j, e, &id))
            return err_set(err, ERR_FORMAT, "an id is no integer");
        token_list_add(&k->ids, id < 0 || id > INT32_MAX ? -1 : (int32_t)id);
    }
    tokenizer_decode(k->t, k->ids.ids, k->ids.count, skip_special, &k->text);
    json_put_slice(w, "text", buf_slice(&k->text));
    return ERR_OK;
}

/* One line in, one line out; what is wrong with it goes into the output. */
static bool do_line(struct work *k, const struct codec_line *line,
                    struct buf *out)
{
    struct json_writer w;
    struct err err;
    size_t from;
    int rc;

    buf_reset(out);
    buf_reset(&k->text);
    k->ids.count = k->offsets.count = 0;
    if (line->cut)
        rc = err_set(&err, ERR_LIMIT, "line longer than %zu bytes",
                     LINE_MAX_BYTES);
    else
        rc = json_parse(&k->j, line->text.p, line->text.n, &err);
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    from = out->len;
    if (rc == ERR_OK)
        rc = decode ? decode_line(k, &w, &err) : encode_line(k, &w, &err);
    if (rc < 0) {
        out->len = from;
        json_put_string(&w, "error", err.msg);
    }
    json_end_object(&w);
    buf_char(out, '\n');
    return rc == ERR_OK;
}

static int tokenize_all(struct cli *cli, struct work *k, bool *rejected,
                        struct err *err)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    struct buf out = { 0 };
    int rc = codec_lines_open("-", LINE_MAX_BYTES, &lines, err);

    while (rc >= 0 && (rc = codec_lines_next(lines, &line, err)) > 0) {
        if (!do_line(k, &line, &out))
            *rejected = true;
        if (fwrite(out.data, 1, out.len, stdout) != out.len)
            rc = err_set(err, ERR_OUTPUT, "write standard output failed");
        else if (stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    buf_reset(&out);
    if (rc == ERR_OK && cli_write(cli, &out) != EXIT_DONE)
        rc = err_set(err, ERR_OUTPUT, "write standard output failed");
    codec_lines_close(lines);
    buf_release(&out);
    return rc;
}

static int run_tokenize(struct cli *cli, int argc, char **argv)
{
    struct tokenizer *t = NULL;
    struct work k = { 0 };
    bool rejected = false;
    struct err err;
    int rc;

    (void)argc;
    if (decode ? special || with_offsets : skip_special)
        return cli_usage(cli, decode ? "--decode has no place for --special "
                                       "and --offsets"
                                     : "--skip-special goes with --decode");
    rc = tokenizer_open(argv[0], &t, &err);
    k.t = t;
    if (rc == ERR_OK)
        rc = tokenize_all(cli, &k, &rejected, &err);
    json_release(&k.j);
    token_list_release(&k.ids);
    token_list_release(&k.offsets);
    buf_release(&k.text);
    tokenizer_free(t);
    if (rc < 0)
        return cli_fail(cli, &err);
    return rejected ? EXIT_PARTLY : EXIT_DONE;
}

static int64_t vocab;
static int64_t max_bytes;
static const char *output;
static struct cli_list specials;

static const struct opt train_options[] = {
    { 'n', "vocab", OPT_INT, &vocab, "N", "size of the vocabulary", .min = 257,
      .max = 1 << 22, .required = true },
    { 0, "special", OPT_LIST, &specials, "TOKEN",
      "special token; the first one gets id 0" },
    { 0, "max-bytes", OPT_BYTES, &max_bytes, "BYTES",
      "use so much text at most; 0 is all" },
    { 'o', "output", OPT_STRING, &output, "FILE", "tokenizer.json to write",
      .complete = COMPLETE_FILE, .required = true },
    OPT_END,
};

/* Texts to train on, one after the other; ends[i] is where text i ends. */
struct corpus {
    struct buf bytes;
    size_t *ends;
    size_t count, cap;
};

static void end_text(struct corpus *c)
{
    void *ends = c->ends;
    size_t start = c->count ? c->ends[c->count - 1] : 0;

    if (c->bytes.len == start)
        return;
    mem_grow(&ends, &c->cap, c->count + 1, sizeof(*c->ends));
    c->ends = ends;
    c->ends[c->count++] = c->bytes.len;
}

static void add_string(struct corpus *c, const struct json *j, json_ref v)
{
    (void)json_text(j, v, &c->bytes);
    end_text(c);
}

/* Content and the calls' arguments of each message. */
static void add_messages(struct corpus *c, const struct json *j, json_ref list)
{
    for (json_ref m = json_first(j, list); m != JSON_NONE;
         m = json_next(j, list, m)) {
        json_ref content = json_get(j, m, "content");
        json_ref calls = json_get(j, m, "tool_calls");

        add_string(c, j, content);
        for (json_ref e = json_first(j, content);
             json_is(j, content, JSON_ARRAY) && e != JSON_NONE;
             e = json_next(j, content, e))
            add_string(c, j, json_get(j, e, "text"));
        for (json_ref e = json_first(j, calls); e != JSON_NONE;
             e = json_next(j, calls, e))
            add_string(c, j, json_find(j, e, "function", "arguments", NULL));
    }
}

static int add_line(struct corpus *c, struct json *j,
                    const struct codec_line *line, struct err *err)
{
    json_ref messages;
    int rc;

    if (line->cut)
        return err_set(err, ERR_LIMIT, "longer than %zu bytes", LINE_MAX_BYTES);
    rc = json_parse(j, line->text.p, line->text.n, err);
    if (rc < 0)
        return rc;
    messages = json_get(j, 0, "messages");
    if (!json_is(j, messages, JSON_ARRAY) &&
        !json_is(j, json_get(j, 0, "text"), JSON_STRING))
        return err_set(err, ERR_FORMAT, "neither \"text\" nor \"messages\"");
    add_string(c, j, json_get(j, 0, "text"));
    add_messages(c, j, messages);
    return ERR_OK;
}

/* JSON Lines, plain or zstd. */
static int add_jsonl(struct corpus *c, const char *path, struct err *err)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    struct json j = { 0 };
    int rc = codec_lines_open(path, LINE_MAX_BYTES, &lines, err);

    while (rc >= 0 && (rc = codec_lines_next(lines, &line, err)) > 0) {
        if (!slice_trim(line.text).n)
            continue;
        rc = add_line(c, &j, &line, err);
        if (rc < 0)
            (void)err_wrap(err, "%s, line %lld", path, (long long)line.number);
        else if (c->bytes.len > TEXT_MAX)
            rc = err_set(err, ERR_LIMIT, "more than %zu bytes of text",
                         TEXT_MAX);
    }
    codec_lines_close(lines);
    json_release(&j);
    return rc;
}

static bool is_jsonl(const char *path)
{
    const char *dot = strstr(path, ".jsonl");

    return dot && (!dot[6] || strcmp(dot + 6, ".zst") == 0);
}

static int add_file(struct corpus *c, const char *path, struct err *err)
{
    int rc;

    if (is_jsonl(path))
        return add_jsonl(c, path, err);
    rc = io_read_file(path, TEXT_MAX - c->bytes.len, &c->bytes, err);
    end_text(c);
    return rc;
}

static int train(const struct corpus *c, struct err *err)
{
    struct slice *texts = mem_array(c->count, sizeof(*texts));
    const char **names = mem_array(specials.count + 1, sizeof(*names));
    struct tokenizer_train_options opt = { (size_t)vocab, names,
                                           (size_t)max_bytes };
    int rc;

    for (size_t i = 0; i < c->count; i++) {
        size_t start = i ? c->ends[i - 1] : 0;

        texts[i] = (struct slice){ c->bytes.data + start, c->ends[i] - start };
    }
    for (size_t i = 0; i < specials.count; i++)
        names[i] = specials.items[i];
    names[specials.count] = NULL;
    rc = tokenizer_train(texts, c->count, &opt, output, err);
    free(texts);
    free(names);
    return rc;
}

static int run_train(struct cli *cli, int argc, char **argv)
{
    struct corpus c = { 0 };
    struct tokenizer *t = NULL;
    struct err err;
    int rc = ERR_OK;

    if (specials.count > MAX_SPECIALS)
        return cli_usage(cli, "more than %d special tokens", MAX_SPECIALS);
    for (int i = 0; i < argc && rc == ERR_OK; i++)
        rc = add_file(&c, argv[i], &err);
    if (rc == ERR_OK)
        rc = train(&c, &err);
    if (rc == ERR_OK)
        rc = tokenizer_open(output, &t, &err);
    if (rc == ERR_OK)
        cli_note(cli, "%s: %zu tokens from %zu texts, %zu bytes", output,
                 tokenizer_size(t), c.count, c.bytes.len);
    if (rc == ERR_OK && tokenizer_size(t) < (size_t)vocab)
        cli_warn(cli,
                 "the text has no more pairs that occur twice: %zu "
                 "tokens instead of %lld",
                 tokenizer_size(t), (long long)vocab);
    tokenizer_free(t);
    buf_release(&c.bytes);
    free(c.ends);
    return rc < 0 ? cli_fail(cli, &err) : EXIT_DONE;
}

const struct command model_tokenize = {
    .name = "tokenize",
    .summary = "texts to token ids and back",
    .operands = "DIR|TOKENIZER.JSON",
    .min_operands = 1,
    .max_operands = 1,
    .options = tokenize_options,
    .complete = COMPLETE_FILE,
    .run = run_tokenize,
};

const struct command model_train_tokenizer = {
    .name = "train-tokenizer",
    .summary = "make a byte-level tokenizer from texts",
    .operands = "TEXT...",
    .min_operands = 1,
    .max_operands = -1,
    .options = train_options,
    .common = CLI_QUIET,
    .complete = COMPLETE_FILE,
    .run = run_train,
};
