/*
 * finetune_init.c - finetune --init: a new model from random weights
 *
 * How the shipped base is made: a config, a tokenizer, text files; then on
 * from the model that came of it. Resumable like any run; the output is a
 * Hugging Face directory of its own.
 */
#include "base/io.h"
#include "base/mem.h"
#include "device.h"
#include "finetune_check.h"
#include "finetune_plan.h"
#include "json/json.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_OUT 100 /* every n-th text, without --validation */

struct init {
    struct cli *cli;
    const struct finetune *f;
    struct model_config config;
    struct tokenizer *tokenizer;
    struct template *template;
    struct compute *compute;
    struct model *model, *teacher;
    struct finetune_plan plan;
    struct lora_reader reader;
    struct lora_data train, valid;
    struct lora_options opt;
    struct lora_result result;
};

static int open_parts(struct init *i, struct err *err)
{
    const struct finetune *f = i->f;
    int rc = model_config_read(f->init, &i->config, err);

    if (rc == 0)
        rc = tokenizer_open(f->tokenizer, &i->tokenizer, err);
    if (rc < 0)
        return rc;
    if (tokenizer_size(i->tokenizer) > (size_t)i->config.vocab)
        return err_set(err, ERR_INVALID,
                       "%s: vocab_size %lld is less than the tokenizer's %zu",
                       f->init, (long long)i->config.vocab,
                       tokenizer_size(i->tokenizer));
    rc = template_open(f->tokenizer, &i->template, err);
    if (rc == ERR_NOTFOUND)
        rc = 0; /* plain text needs none */
    if (rc < 0)
        return rc;
    rc = device_open_to_train(i->cli, f->cpu, &i->compute, err);
    return rc;
}

/* No document came of --data; the reader has met nothing else yet. */
static int nothing_to_train(const struct init *i, struct err *err)
{
    const struct lora_reader *r = &i->reader;

    finetune_note_reasons(i->cli, r);
    if (r->reason_count > 0)
        return err_set(err, ERR_NOTFOUND,
                       "--data %s: nothing to train on: of %zu texts %zu are "
                       "over-long, %zu refused, %zu malformed (first: %s)",
                       i->f->data.items[0], r->read, r->over_long, r->refused,
                       r->malformed, r->reasons[0].text);
    return err_set(err, ERR_NOTFOUND,
                   "--data %s: nothing to train on: no text of two tokens in "
                   "it",
                   i->f->data.items[0]);
}

static int read_data(struct init *i, struct err *err)
{
    const struct finetune *f = i->f;
    size_t every = f->validation.count ? 0 : HOLD_OUT, length;
    int rc = 0;

    length = (size_t)f->max_length < (size_t)i->config.context
                 ? (size_t)f->max_length
                 : (size_t)i->config.context;
    i->reader = (struct lora_reader){
        .tokenizer = i->tokenizer,
        .template = i->template,
        .eos = i->config.eos_count ? i->config.eos[0] : -1,
        .max_length = length,
        .answers_only = strcmp(f->loss, "answer") == 0,
        .cut = strcmp(f->over_long, "cut") == 0,
    };
    for (size_t k = 0; rc == 0 && k < f->data.count; k++)
        rc = lora_read_file(&i->reader, f->data.items[k], every, &i->train,
                            &i->valid, err);
    if (rc == 0 && i->train.docs == 0 && i->valid.docs == 0 && !f->show_mask)
        rc = nothing_to_train(i, err);
    for (size_t k = 0; rc == 0 && k < f->validation.count; k++)
        rc = lora_read_file(&i->reader, f->validation.items[k], 0, &i->valid,
                            NULL, err);
    if (rc == 0 && f->validation.count > 0 && i->valid.docs == 0)
        rc = err_set(err, ERR_INVALID,
                     "--validation %s: no text to validate on in it",
                     f->validation.items[0]);
    if (rc < 0)
        return rc;
    finetune_note_reader(i->cli, &i->reader);
    cli_note(i->cli, "%zu documents, %zu tokens (%zu trained); %zu held out",
             i->train.docs, i->train.tokens, i->train.trained, i->valid.docs);
    return i->reader.answers_only && !f->show_mask
               ? finetune_check_mask(&i->train, err)
               : 0;
}

static enum weights_type output_type(const struct finetune *f)
{
    if (f->dtype && strcmp(f->dtype, "f32") == 0)
        return WEIGHTS_F32;
    return f->dtype && strcmp(f->dtype, "f16") == 0 ? WEIGHTS_F16
                                                    : WEIGHTS_BF16;
}

/* A model that is in the output directory already stays, unless it came of
 * this run, which its checkpoint tells. */
static int check_output(const struct finetune *f, const char *run_dir,
                        struct err *err)
{
    char *weights = io_path(f->output, "model.safetensors");
    char *index = io_path(f->output, "model.safetensors.index.json");
    char *checkpoint = io_path(run_dir, "checkpoint.safetensors");
    int rc = 0;

    if ((io_exists(weights) || io_exists(index)) && !io_exists(checkpoint))
        rc = err_set(err, ERR_INVALID,
                     "--output %s: a model is there, and %s has no checkpoint "
                     "of it; name another directory",
                     f->output, run_dir);
    free(checkpoint);
    free(index);
    free(weights);
    return rc;
}

/* What will be trained, and what it takes. */
static int plan(struct init *i, struct err *err)
{
    const struct finetune *f = i->f;
    int rc =
        io_is_dir(f->init)
            ? model_open(f->init, i->compute, true, &i->model, err)
            : model_new(&i->config, i->compute, i->cli->seed, &i->model, err);

    finetune_options(f, i->cli, &i->config, true, &i->opt);
    if (rc == 0 && f->teacher)
        rc = finetune_open_teacher(i->cli, f->teacher, i->tokenizer, i->compute,
                                   &i->teacher, err);
    i->opt.teacher = i->teacher;
    i->opt.name = f->init;
    i->plan = (struct finetune_plan){ .cli = i->cli,
                                      .f = f,
                                      .name = f->output,
                                      .model = i->model,
                                      .train = &i->train,
                                      .valid = &i->valid,
                                      .reader = &i->reader,
                                      .opt = &i->opt };
    return rc < 0 ? rc : finetune_plan_make(&i->plan, err);
}

/* On the CPU, if "auto" took a GPU on which it does not fit. */
static int plan_where_it_fits(struct init *i, struct err *err)
{
    int rc = plan(i, err);

    if (rc == 0 || !device_falls_back(i->compute, err))
        return rc;
    model_free(i->model);
    model_free(i->teacher);
    i->model = i->teacher = NULL;
    rc = device_fall_back_to_train(i->cli, i->f->cpu, &i->compute, err);
    return rc < 0 ? rc : plan(i, err);
}

static int train(struct init *i, struct err *err)
{
    const struct finetune *f = i->f;
    char *run_dir =
        f->run ? mem_strdup(f->run) : mem_printf("%s.run", f->output);
    int rc = check_output(f, run_dir, err);

    if (rc == 0)
        rc = plan_where_it_fits(i, err);
    if (rc == 0 && f->dry_run) {
        free(run_dir);
        return finetune_plan_print(&i->plan, err);
    }
    if (rc == 0) {
        cli_note(i->cli, "%.2f million parameters, %s kernels, %u threads",
                 (double)model_config_parameters(&i->config) * 1e-6,
                 i->compute->kernels, i->compute->threads);
        rc = lora_train(i->model, i->compute, &i->train, &i->valid, &i->opt,
                        run_dir, &i->cli->progress, &i->result, err);
        cli_progress_end(i->cli);
    }
    if (rc == 0) {
        finetune_plan_compare(&i->plan, i->compute);
        finetune_curve(i->cli, run_dir);
    }
    if (rc == 0)
        rc = finetune_check_gain(&i->result, err);
    if (rc == 0)
        rc = lora_save_merged(i->model, f->tokenizer, output_type(f), f->output,
                              err);
    if (rc == 0) {
        struct artifact_source s = { .compute = i->compute,
                                     .dir = f->output,
                                     .widen = true };

        rc = finetune_check(&s, i->valid.docs ? &i->valid : &i->train,
                            &i->model, output_type(f), err);
    }
    free(run_dir);
    return rc;
}

static int report(struct init *i)
{
    struct buf out = { 0 };
    struct json_writer w;
    int rc = 0;

    finetune_note_result(i->cli, &i->result);
    if (i->cli->json) {
        json_writer_init(&w, &out, false);
        json_begin_document(&w, "slmctl.finetune-init/1");
        json_put_string(&w, "path", i->f->output);
        json_put_int(&w, "parameters", model_config_parameters(&i->config));
        finetune_write_reader(&w, &i->reader, NULL);
        finetune_write_result(&w, &i->result);
        json_end_object(&w);
        buf_char(&out, '\n');
        rc = cli_write(i->cli, &out);
    }
    buf_release(&out);
    return rc;
}

int finetune_init(struct cli *cli, const struct finetune *f, struct err *err)
{
    struct init i = { .cli = cli, .f = f };
    int rc = open_parts(&i, err);

    if (rc == 0)
        rc = read_data(&i, err);
    if (rc == 0 && f->show_mask) {
        rc = finetune_show_mask(cli, i.tokenizer, &i.reader, &i.train,
                                f->show_mask);
    } else if (rc == 0) {
        rc = train(&i, err);
        if (rc == 0 && !f->dry_run)
            rc = report(&i);
    }
    lora_data_release(&i.train);
    lora_data_release(&i.valid);
    model_free(i.model);
    model_free(i.teacher);
    compute_close(i.compute);
    template_free(i.template);
    tokenizer_free(i.tokenizer);
    return rc;
}
