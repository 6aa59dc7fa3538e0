/*
 * cmd_model_template.c - slmctl model template: a chat template, rendered
 *
 * A door for comparing the engine with other software: contexts in, texts out,
 * as transformers' apply_chat_template would. --builtin prints the template
 * that slmctl writes beside models of its own.
 */
#include "cmd_model.h"

#include "base/io.h"
#include "codec/codec.h"
#include "template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES ((size_t)64 << 20)

static bool builtin, with_spans;

static const struct opt options[] = {
    { 0, "builtin", OPT_FLAG, &builtin, NULL,
      "print slmctl's own chat template" },
    { 0, "spans", OPT_FLAG, &with_spans, NULL,
      "also where each generation block's text stands, in bytes" },
    OPT_END,
};

struct work {
    struct template *model; /* of a directory */
    struct jinja *fixed;    /* of a file */
    struct json j;
};

/* "2025-03-07T14:05:09", and nothing behind it; a time that there is. */
static bool read_time(const char *text, struct tm *tm)
{
    struct tm read;
    int used = 0;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm->tm_year, &tm->tm_mon,
               &tm->tm_mday, &tm->tm_hour, &tm->tm_min, &tm->tm_sec,
               &used) != 6 ||
        used != 19 || text[used] || tm->tm_year < 1)
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    read = *tm;
    (void)timegm(&read); /* the day of the week and of the year */
    if (read.tm_sec != tm->tm_sec || read.tm_min != tm->tm_min ||
        read.tm_hour != tm->tm_hour || read.tm_mday != tm->tm_mday ||
        read.tm_mon != tm->tm_mon)
        return false;
    *tm = read;
    tm->tm_isdst = -1;
    return true;
}

static int time_of(const struct json *j, struct tm *tm, struct err *err)
{
    char *text = json_strdup(j, json_get(j, 0, "now"));
    time_t now = time(NULL);
    int rc = ERR_OK;

    if (!text && json_present(json_get(j, 0, "now")) &&
        json_kind(j, json_get(j, 0, "now")) != JSON_NULL)
        return err_set(err, ERR_FORMAT, "now is no text");
    if (!text) {
        (void)localtime_r(&now, tm);
        return ERR_OK;
    }
    *tm = (struct tm){ 0 };
    if (!read_time(text, tm))
        rc = err_set(err, ERR_FORMAT,
                     "now: \"%s\" is no time like 2025-03-07T14:05:09", text);
    free(text);
    return rc;
}

/* true, or the name of a member. */
static bool asks(const struct json *j, json_ref v)
{
    return json_is(j, v, JSON_TRUE) ||
           (json_is(j, v, JSON_STRING) && !json_text_is(j, v, ""));
}

static int render(const struct work *k, const struct jinja *t,
                  struct jinja_output *out, struct err *err)
{
    const struct json *j = &k->j;
    json_ref context = json_get(j, 0, "context");
    json_ref continued = json_get(j, 0, "continue_final_message");
    struct tm now;
    int rc = time_of(j, &now, err);

    if (rc == ERR_OK && !json_is(j, context, JSON_OBJECT))
        rc = err_set(err, ERR_FORMAT, "\"context\" is no object");
    if (rc == ERR_OK && asks(j, continued) &&
        asks(j, json_get(j, context, "add_generation_prompt")))
        rc = err_set(err, ERR_INVALID,
                     "continue_final_message and add_generation_prompt are "
                     "not compatible; leave one of them out");
    if (rc == ERR_OK && k->model)
        rc = template_apply_model(k->model, j, context, continued, &now, out,
                                  err);
    else if (rc == ERR_OK)
        rc = template_apply(t, j, context, continued, &now, out, err);
    return rc;
}

static int render_line(struct work *k, struct slice line,
                       struct jinja_output *out, struct err *err)
{
    struct jinja *own = NULL;
    struct buf source = { 0 };
    int rc = json_parse(&k->j, line.p, line.n, err);

    if (rc == ERR_OK && !k->fixed && !k->model) {
        if (!json_text(&k->j, json_get(&k->j, 0, "template"), &source))
            rc = err_set(err, ERR_FORMAT,
                         "there is no \"template\", and no file was named");
        else
            rc = jinja_parse(buf_slice(&source), &own, err);
    }
    if (rc == ERR_OK)
        rc = render(k, own ? own : k->fixed, out, err);
    jinja_free(own);
    buf_release(&source);
    return rc;
}

static void put_answer(struct json_writer *w, const struct jinja_output *o)
{
    json_put_slice(w, "output", buf_slice(&o->text));
    if (!with_spans)
        return;
    json_begin_array(w, "spans");
    for (size_t i = 0; i < o->count; i++) {
        json_begin_array(w, NULL);
        json_put_int(w, NULL, (int64_t)o->spans[i].begin);
        json_put_int(w, NULL, (int64_t)o->spans[i].end);
        json_end_array(w);
    }
    json_end_array(w);
}

/* One line in, one line out; the sum of what failed is in *bad. */
static int answer(struct cli *cli, struct work *k, struct slice line,
                  size_t *bad)
{
    struct jinja_output out = { 0 };
    struct json_writer w;
    struct buf text = { 0 };
    struct err err;
    int rc;

    json_writer_init(&w, &text, false);
    json_begin_object(&w, NULL);
    if (render_line(k, line, &out, &err) < 0) {
        json_put_string(&w, "error", err.msg);
        ++*bad;
    } else {
        put_answer(&w, &out);
    }
    json_end_object(&w);
    buf_char(&text, '\n');
    rc = cli_write(cli, &text);
    buf_release(&text);
    jinja_output_release(&out);
    return rc;
}

static int open_operand(struct work *k, const char *path, struct err *err)
{
    struct buf source;
    int rc;

    if (io_is_dir(path))
        return template_open(path, &k->model, err);
    buf_init(&source, 0);
    rc = io_read_file(path, JINJA_MAX_SOURCE, &source, err);
    if (rc == ERR_OK)
        rc = jinja_parse(buf_slice(&source), &k->fixed, err);
    if (rc < 0 && source.len)
        rc = err_wrap(err, "%s", path);
    buf_release(&source);
    return rc;
}

static int answer_all(struct cli *cli, struct work *k, size_t *bad,
                      struct err *err)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    int rc = codec_lines_open("-", LINE_MAX_BYTES, &lines, err);

    while (rc >= 0 && (rc = codec_lines_next(lines, &line, err)) > 0) {
        if (!slice_trim(line.text).n)
            continue;
        rc = answer(cli, k, line.text, bad);
        if (rc != EXIT_DONE)
            break;
    }
    codec_lines_close(lines);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct work k = { 0 };
    struct buf out = { 0 };
    size_t bad = 0;
    struct err err;
    int rc = ERR_OK;

    if (builtin) {
        buf_str(&out, template_builtin());
        rc = cli_write(cli, &out);
        buf_release(&out);
        return rc;
    }
    if (argc)
        rc = open_operand(&k, argv[0], &err);
    if (rc == ERR_OK)
        rc = answer_all(cli, &k, &bad, &err);
    if (rc < 0)
        rc = cli_fail(cli, &err);
    else if (rc == EXIT_DONE && bad)
        rc = EXIT_PARTLY;
    template_free(k.model);
    jinja_free(k.fixed);
    json_release(&k.j);
    return rc;
}

const struct command model_template = {
    .name = "template",
    .summary = "render a chat template",
    .operands = "[DIR|FILE.JINJA]",
    .min_operands = 0,
    .max_operands = 1,
    .options = options,
    .complete = COMPLETE_FILE,
    .run = run,
};
