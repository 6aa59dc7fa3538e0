/*
 * curate_reveal.c - lines whose surrogates become values again
 *
 * One line after the other, in order: this is for looking something up, not
 * for volumes. A line that names its conversation is revealed by what was
 * replaced in that one; of others, what is the same everywhere.
 */
#include "curate/curate_priv.h"

#include "codec/codec.h"

struct slice curate_line_scope(enum scrub_scope scope, const struct json *line,
                               struct buf *out)
{
    static const char *const names[] = { "conversation_id", "session_id" };
    struct buf client = { 0 }, conversation = { 0 };
    struct slice found;

    (void)json_text(line, json_get(line, 0, "client_id"), &client);
    for (size_t i = 0; i < 2 && !conversation.len; i++)
        (void)json_text(line, json_get(line, 0, names[i]), &conversation);
    found = curate_scope(scope, buf_slice(&client), buf_slice(&conversation),
                         (struct slice){ "", 0 }, out);
    buf_release(&client);
    buf_release(&conversation);
    return found;
}

struct revealer {
    struct curate_reveal *f;
    struct scrub_reveal *vault;
    struct json json;
    struct buf scope, out;
};

static int reveal_line(struct revealer *k, struct slice in, struct err *err)
{
    struct slice scope = { "", 0 };
    int rc = ERR_OK;

    buf_reset(&k->out);
    if (!k->f->text)
        rc = json_parse(&k->json, in.p, in.n, err);
    if (rc == ERR_OK && !k->f->text)
        scope = curate_line_scope(k->f->scope, &k->json, &k->scope);
    if (rc == ERR_OK)
        rc = scrub_reveal_text(k->vault, scope, in, &k->out, err);
    buf_char(&k->out, '\n');
    return rc;
}

static int reveal_lines(struct revealer *k, struct codec_lines *lines,
                        const struct curate_sink *out, struct err *err)
{
    struct codec_line c;
    int rc;

    while ((rc = codec_lines_next(lines, &c, err)) == 1) {
        struct err why = { 0 };

        if (!k->f->text && !c.cut && slice_trim(c.text).n == 0)
            continue;
        k->f->lines++;
        if (c.cut || reveal_line(k, c.text, &why) < 0) {
            k->f->bad++;
            k->f->rejected(k->f->ctx, c.number,
                           c.cut ? "the line is too long" : why.msg);
            continue;
        }
        rc = out->put(out->ctx, buf_slice(&k->out), err);
        if (rc < 0)
            return rc;
        if (stop_requested())
            return err_set(err, ERR_INTERRUPTED, "stopped");
    }
    return rc;
}

int curate_reveal_run(struct curate_reveal *f, struct scrub_reveal *vault,
                      const char *in, const struct curate_sink *out,
                      struct err *err)
{
    struct revealer k = { .f = f, .vault = vault };
    struct codec_lines *lines = NULL;
    int rc = codec_lines_open(in, CURATE_FILTER_LINE, &lines, err);

    if (rc < 0)
        return rc;
    rc = reveal_lines(&k, lines, out, err);
    codec_lines_close(lines);
    json_release(&k.json);
    buf_release(&k.scope);
    buf_release(&k.out);
    return rc;
}
