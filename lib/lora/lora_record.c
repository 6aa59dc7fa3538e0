/*
 * lora_record.c - run.json: what a run was, for whoever wants it again
 *
 * Everything that decides its bits, and what it ran on. Only written: a
 * resumed run is checked against its checkpoint.
 */
#include "base/io.h"
#include "json/json.h"
#include "lora/lora_private.h"

#include <stdio.h>
#include <stdlib.h>

static void put_hash(struct json_writer *w, const char *key, uint64_t h)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)h);
    json_put_string(w, key, text);
}

static void put_options(struct json_writer *w, const struct lora_options *o)
{
    json_begin_object(w, "configuration");
    json_put_string(w, "method", o->method == LORA_FULL ? "full" : "adapter");
    if (o->method == LORA_ADAPTER) {
        json_put_int(w, "rank", o->rank);
        json_put_double(w, "alpha", o->alpha);
        json_put_bool(w, "rslora", o->rslora);
        json_put_bool(w, "dora", o->dora);
        json_put_string(w, "targets", o->targets);
    }
    json_put_double(w, "lr", o->lr);
    json_put_double(w, "decay", o->decay);
    json_put_double(w, "clip", o->clip);
    json_put_double(w, "beta2", o->beta2);
    json_put_double(w, "epochs", o->epochs);
    json_put_int(w, "max_tokens", o->max_tokens);
    json_put_double(w, "minutes", o->minutes);
    json_put_int(w, "batch_tokens", o->batch_tokens);
    json_put_int(w, "pass_tokens", o->pass_tokens);
    json_put_double(w, "warmup", o->warmup);
    json_put_double(w, "final_lr", o->final_lr);
    json_put_int(w, "validate_every", o->validate_every);
    json_put_int(w, "patience", o->patience);
    json_put_double(w, "preference_beta", o->beta);
    json_put_bool(w, "teacher", o->teacher != NULL);
    json_put_double(w, "temperature", o->temperature);
    json_put_double(w, "mix", o->mix);
    json_end_object(w);
}

static void put_data(struct json_writer *w, const char *key,
                     const struct lora_data *d)
{
    json_begin_object(w, key);
    json_put_int(w, "documents", (int64_t)d->docs);
    json_put_int(w, "tokens", (int64_t)d->tokens);
    json_put_int(w, "trained_tokens", (int64_t)d->trained);
    json_put_bool(w, "pairs", d->unit > 1);
    json_put_bool(w, "logprobs", d->top > 0);
    put_hash(w, "hash", lora_data_hash(d));
    json_end_object(w);
}

int lora_record(const struct lora_run *r, struct err *err)
{
    char *path = io_path(r->dir, "run.json");
    struct buf out = { 0 };
    struct json_writer w;
    int rc;

    json_writer_init(&w, &out, true);
    json_begin_document(&w, "slmctl.run/1");
    json_put_string(&w, "device", r->compute->device);
    json_put_string(&w, "kernels", r->compute->kernels);
    json_put_int(&w, "rounding", r->compute->rounding);
    json_put_string(&w, "precision",
                    compute_precision_name(r->compute->precision));
    json_put_int(&w, "threads", r->compute->threads);
    json_put_int(&w, "seed", (int64_t)r->opt.seed);
    json_put_string(&w, "family", model_config(r->m)->family);
    put_hash(&w, "base", r->base_hash);
    put_hash(&w, "options", r->option_hash);
    put_data(&w, "train", r->train);
    put_data(&w, "validation", r->valid);
    put_options(&w, &r->opt);
    json_end_object(&w);
    buf_char(&out, '\n');
    rc = io_write_file(path, out.data, out.len, 0644, err);
    buf_release(&out);
    free(path);
    return rc;
}
