/*
 * cmd_model_facts.c - slmctl model show, and what add checks
 *
 * Reads each part of a model directory by itself, so that one part that is
 * missing or not supported does not hide the others.
 */
#include "cmd_model.h"
#include "pick_model.h"

#include "base/io.h"
#include "base/mem.h"
#include "model/model.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"
#include "weights/weights.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define README_MAX ((size_t)1 << 20)

static void read_encoder(const char *dir, struct model_facts *f)
{
    const struct model_encoder_shape *s;
    struct model_encoder *e = NULL;
    struct compute *compute = NULL;
    struct err err;
    int rc = compute_open(&(struct compute_options){ .device = "cpu" },
                          &compute, &err);

    if (rc == ERR_OK)
        rc = model_encoder_open(dir, compute, &e, &err);
    if (rc < 0) {
        f->architecture_error = mem_strdup(err.msg);
    } else {
        s = model_encoder_shape(e);
        f->family = mem_strdup("bert (an encoder)");
        f->layers = s->layers;
        f->hidden = s->hidden;
        f->vocab = s->vocab;
        f->context = s->context;
        f->encoder = true;
    }
    model_encoder_free(e);
    compute_close(compute);
}

static void read_config(const char *dir, struct model_facts *f)
{
    struct model_config c;
    struct err err;

    if (model_encoder_is(dir)) {
        read_encoder(dir, f);
        return;
    }
    if (model_config_read(dir, &c, &err) < 0) {
        f->architecture_error = mem_strdup(err.msg);
        return;
    }
    f->family = mem_strdup(c.family);
    f->whole = *c.whole ? mem_strdup(c.whole) : NULL;
    f->parameters = model_config_parameters(&c);
    f->layers = c.layers;
    f->hidden = c.hidden;
    f->vocab = c.vocab;
    f->context = c.context;
}

static void read_weights(const char *dir, struct model_facts *f)
{
    size_t by_type[WEIGHTS_OTHER + 1] = { 0 };
    struct weights *w = NULL;
    struct buf types = { 0 };
    struct err err;

    if (weights_open(dir, &w, &err) < 0) {
        f->weights_error = mem_strdup(err.msg);
        return;
    }
    f->tensors = weights_count(w);
    for (size_t i = 0; i < f->tensors; i++) {
        const struct weights_tensor *t = weights_at(w, i);

        by_type[t->type]++;
        f->bytes += t->bytes;
        f->stored += weights_elements(t);
    }
    for (unsigned k = 0; k <= WEIGHTS_OTHER; k++)
        if (by_type[k])
            buf_printf(&types, "%s%s %zu", types.len ? ", " : "",
                       weights_type_name((enum weights_type)k), by_type[k]);
    f->types = buf_take(&types, NULL);
    weights_close(w);
}

static void read_tokenizer(const char *dir, struct model_facts *f)
{
    struct tokenizer *t = NULL;
    struct err err;

    if (tokenizer_open(dir, &t, &err) < 0)
        f->tokenizer_error = mem_strdup(err.msg);
    else
        f->tokens = tokenizer_size(t);
    tokenizer_free(t);
}

static void read_template(const char *dir, struct model_facts *f)
{
    struct template *t = NULL;
    struct err err;

    if (template_open(dir, &t, &err) < 0)
        f->template_error = mem_strdup(err.msg);
    else
        f->template_name = mem_strdup(template_name(t));
    template_free(t);
}

/* "license: apache-2.0" in the YAML front matter of README.md. */
static void read_license(const char *dir, struct model_facts *f)
{
    char *path = io_path(dir, "README.md"), *line, *rest;
    struct buf text;
    struct err err;

    buf_init(&text, 0);
    if (!io_exists(path) || io_read_file(path, README_MAX, &text, &err) < 0 ||
        !slice_starts(buf_slice(&text), "---\n"))
        goto done;
    rest = text.data + 4;
    while ((line = strsep(&rest, "\n")) && strcmp(line, "---") != 0) {
        if (strncmp(line, "license:", 8) == 0) {
            free(f->license);
            f->license = slice_dup(slice_trim(slice_of(line + 8)));
        }
    }
done:
    buf_release(&text);
    free(path);
}

void model_facts_read(const char *dir, struct model_facts *out)
{
    *out = (struct model_facts){ 0 };
    read_config(dir, out);
    read_weights(dir, out);
    if (out->encoder)
        out->parameters = out->stored;
    read_tokenizer(dir, out);
    read_template(dir, out);
    read_license(dir, out);
}

void model_facts_release(struct model_facts *f)
{
    free(f->family);
    free(f->whole);
    free(f->architecture_error);
    free(f->types);
    free(f->weights_error);
    free(f->tokenizer_error);
    free(f->template_name);
    free(f->template_error);
    free(f->license);
}

/* key: value, or key_error: reason. */
static void put_or_reason(struct json_writer *w, const char *key,
                          const char *value, const char *reason)
{
    char *name = mem_printf("%s_error", key);

    if (reason)
        json_put_string(w, name, reason);
    else if (value)
        json_put_string(w, key, value);
    free(name);
}

void model_facts_put(const struct model_facts *f, struct json_writer *w)
{
    put_or_reason(w, "family", f->family, f->architecture_error);
    if (f->family) {
        if (f->whole)
            json_put_string(w, "text_part_of", f->whole);
        json_put_int(w, "parameters", f->parameters);
        json_put_int(w, "layers", f->layers);
        json_put_int(w, "hidden", f->hidden);
        json_put_int(w, "vocabulary", f->vocab);
        json_put_int(w, "context", f->context);
    }
    put_or_reason(w, "types", f->types, f->weights_error);
    if (f->types) {
        json_put_int(w, "tensors", (int64_t)f->tensors);
        json_put_int(w, "elements", f->stored);
        json_put_int(w, "bytes", (int64_t)f->bytes);
    }
    put_or_reason(w, "tokenizer", NULL, f->tokenizer_error);
    if (!f->tokenizer_error)
        json_put_int(w, "tokens", (int64_t)f->tokens);
    put_or_reason(w, "template", f->template_name, f->template_error);
    if (f->license)
        json_put_string(w, "license", f->license);
}

static void line(struct buf *out, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void line(struct buf *out, const char *key, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(out, "%-14s%s\n", key, text);
}

static void print_facts(const char *dir, const struct model_facts *f,
                        struct buf *out)
{
    line(out, "directory", "%s", dir);
    if (f->family) {
        line(out, "family", "%s", f->family);
        if (f->whole)
            line(out, "", "the text part of %s; images are not read", f->whole);
        line(out, "parameters", "%lld", (long long)f->parameters);
        line(out, "shape", "%lld layers of %lld, vocabulary %lld, context %lld",
             (long long)f->layers, (long long)f->hidden, (long long)f->vocab,
             (long long)f->context);
    } else {
        line(out, "family", "%s", f->architecture_error);
    }
    if (f->types)
        line(out, "weights", "%zu tensors (%s), %zu bytes", f->tensors,
             f->types, f->bytes);
    else
        line(out, "weights", "%s", f->weights_error);
    if (f->tokenizer_error)
        line(out, "tokenizer", "%s", f->tokenizer_error);
    else
        line(out, "tokenizer", "%zu tokens", f->tokens);
    line(out, "chat template", "%s",
         f->template_name ? f->template_name : f->template_error);
    line(out, "license", "%s", f->license ? f->license : "not stated");
}

static int run_show(struct cli *cli, int argc, char **argv)
{
    struct picked_model picked;
    struct model_facts f;
    struct buf out = { 0 };
    struct json_writer w;
    struct err err;
    int rc;

    (void)argc;
    if (pick_model(cli, argv[0], NULL, NULL, &picked, &err) < 0)
        return cli_fail(cli, &err);
    model_facts_read(picked.dir, &f);
    if (cli->json) {
        json_writer_init(&w, &out, false);
        json_begin_document(&w, "slmctl.model-show/1");
        json_put_string(&w, "directory", picked.dir);
        if (picked.adapter)
            json_put_string(&w, "adapter", picked.adapter);
        model_facts_put(&f, &w);
        json_end_object(&w);
        buf_char(&out, '\n');
    } else {
        print_facts(picked.dir, &f, &out);
        if (picked.adapter)
            line(&out, "adapter", "%s", picked.adapter);
    }
    rc = cli_write(cli, &out);
    buf_release(&out);
    model_facts_release(&f);
    picked_model_release(&picked);
    return rc;
}

const struct command model_show = {
    .name = "show",
    .summary = "what is in a model",
    .operands = "NAME|DIR",
    .min_operands = 1,
    .max_operands = 1,
    .common = CLI_STORE | CLI_JSON,
    .complete = COMPLETE_MODEL,
    .run = run_show,
};
