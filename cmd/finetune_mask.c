/*
 * finetune_mask.c - which tokens are trained, checked and shown
 *
 * A mask that is all ones or all zeros trains nothing that was meant, and its
 * loss looks like any other; so it stops the run. --show-mask prints examples
 * as the trainer holds them: decoded from its ids, not rendered again.
 */
#include "finetune.h"

#include "json/json.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

int finetune_check_mask(const struct lora_data *d, struct err *err)
{
    if (d->docs && !d->trained)
        return err_set(err, ERR_FORMAT,
                       "the mask is all zeros: none of %zu tokens would be "
                       "trained; look at --show-mask 3",
                       d->tokens);
    /* A document's first token is never predicted. */
    if (d->docs && d->trained >= d->tokens - d->docs)
        return err_set(err, ERR_FORMAT,
                       "the mask is all ones: prompts would be trained like "
                       "answers; look at --show-mask 3");
    return 0;
}

/* Control characters of a log do nothing to a terminal. plain: brackets mark
 * what is trained, so those of the text, and backslashes, are escaped. */
static void put_text(struct buf *out, struct slice s, bool plain)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 32 && c != '\n' && c != '\t') || c == 127) {
            buf_printf(out, "\\x%02x", c);
            continue;
        }
        if (plain && (c == '[' || c == ']' || c == '\\'))
            buf_char(out, '\\');
        buf_char(out, (char)c);
    }
}

/* Runs of tokens that are trained, or are not. */
static size_t run_end(const struct lora_data *d, size_t at, size_t end)
{
    size_t i = at + 1;

    while (i < end && d->mask[i] == d->mask[at])
        i++;
    return i;
}

static size_t trained_in(const struct lora_data *d, size_t doc)
{
    size_t n = 0;

    for (size_t i = d->starts[doc]; i < d->starts[doc + 1]; i++)
        n += d->mask[i];
    return n;
}

static void show_document(const struct tokenizer *tok,
                          const struct lora_data *d, size_t doc, bool colour,
                          struct buf *out)
{
    size_t end = d->starts[doc + 1];

    buf_printf(out, "%sexample %zu: %zu tokens, %zu trained\n", doc ? "\n" : "",
               doc + 1, end - d->starts[doc], trained_in(d, doc));
    for (size_t at = d->starts[doc], next; at < end; at = next) {
        struct buf text = { 0 };

        next = run_end(d, at, end);
        tokenizer_decode(tok, d->ids + at, next - at, false, &text);
        if (d->mask[at])
            buf_str(out, colour ? "\033[1;32m" : "[[");
        put_text(out, buf_slice(&text), !colour);
        if (d->mask[at])
            buf_str(out, colour ? "\033[0m" : "]]");
        buf_release(&text);
    }
    buf_char(out, '\n');
}

/* Each example as its parts in order. */
static void write_document(const struct tokenizer *tok,
                           const struct lora_data *d, size_t doc,
                           struct json_writer *w)
{
    size_t end = d->starts[doc + 1];

    json_begin_object(w, NULL);
    json_put_int(w, "tokens", (int64_t)(end - d->starts[doc]));
    json_put_int(w, "trained_tokens", (int64_t)trained_in(d, doc));
    json_begin_array(w, "parts");
    for (size_t at = d->starts[doc], next; at < end; at = next) {
        struct buf text = { 0 };

        next = run_end(d, at, end);
        tokenizer_decode(tok, d->ids + at, next - at, false, &text);
        json_begin_object(w, NULL);
        json_put_bool(w, "trained", d->mask[at] != 0);
        json_put_slice(w, "text", buf_slice(&text));
        json_end_object(w);
        buf_release(&text);
    }
    json_end_array(w);
    json_end_object(w);
}

int finetune_show_mask(struct cli *cli, const struct tokenizer *tok,
                       const struct lora_reader *r, const struct lora_data *d,
                       int64_t examples)
{
    size_t n = (size_t)examples < d->docs ? (size_t)examples : d->docs;
    struct buf out = { 0 };
    struct json_writer w;
    int rc;

    if (cli->json) {
        json_writer_init(&w, &out, false);
        json_begin_document(&w, "slmctl.finetune-mask/1");
        json_begin_array(&w, "examples");
        for (size_t i = 0; i < n; i++)
            write_document(tok, d, i, &w);
        json_end_array(&w);
        finetune_write_reader(&w, r, NULL);
        json_end_object(&w);
        buf_char(&out, '\n');
    }
    for (size_t i = 0; i < n && !cli->json; i++)
        show_document(tok, d, i, cli->colour && cli->tty_out, &out);
    rc = cli_write(cli, &out);
    buf_release(&out);
    if (n == 0)
        cli_warn(cli, "no training example is usable");
    return rc == 0 && n == 0 ? EXIT_FAILED : rc;
}
