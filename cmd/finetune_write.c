/*
 * finetune_write.c - what training leaves behind: an adapter, a model
 *
 * Each is written beside its place, read back, and put in its place as a whole
 * together with its rows in the store: no file of an earlier model stays
 * beside the new ones, and a failure leaves the earlier one as it was.
 */
#include "finetune_check.h"
#include "finetune_job.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define WIDEN_PARAMETERS ((int64_t)256 << 20)

enum weights_type finetune_stored_type(const struct task *t)
{
    const struct model_config *c = model_config(t->model);

    if (!t->f->dtype)
        return c->stored == WEIGHTS_F16 || c->stored == WEIGHTS_BF16
                   ? c->stored
                   : WEIGHTS_F32;
    return strcmp(t->f->dtype, "f32") == 0   ? WEIGHTS_F32
           : strcmp(t->f->dtype, "f16") == 0 ? WEIGHTS_F16
                                             : WEIGHTS_BF16;
}

/* A large base that stays frozen keeps its 16 bits; weights that change, by
 * training or merging, are f32. */
bool finetune_is_wide(const struct task *t, const struct model_config *c)
{
    return t->opt.method == LORA_FULL || t->f->merge ||
           (!compute_keeps_narrow(t->compute) &&
            model_config_parameters(c) <= WIDEN_PARAMETERS);
}

/* To merge: the base as it is, since quantised weights cannot be merged into,
 * and the adapter just written. */
static int reopen(struct task *t, struct err *err)
{
    int rc;

    model_free(t->model);
    t->model = NULL;
    mem_trim();
    rc = model_open(t->base.path, t->compute, true, &t->model, err);
    if (rc == 0)
        rc = model_adapter_load(t->model, t->tree.dir, err);
    return rc;
}

static int check_written(struct task *t, const struct io_tree *tree,
                         const char *dir, const char *adapter,
                         enum weights_type type, struct err *err)
{
    struct artifact_source s = {
        .compute = t->compute,
        .dir = dir,
        .adapter = adapter,
        .name = tree->path,
        .widen = true,
    };

    if (adapter)
        s.widen = finetune_is_wide(t, model_config(t->model));
    if (adapter && t->quantised)
        s.quantise = &t->quantise;
    if (!adapter)
        s.score = &t->score;
    return finetune_check(&s, t->valid.docs ? &t->valid : &t->train, &t->model,
                          type, err);
}

/* An adapter over blocks is merged into weights that it has not seen: whether
 * it still does the task is tried. */
static int score_trained(struct task *t, struct err *err)
{
    int rc;

    t->score.limit = ARTIFACT_DROP;
    rc = artifact_score_open(t->store, t->id, ARTIFACT_EXAMPLES,
                             (uint64_t)t->cli->seed, &t->score, err);
    if (rc == ERR_NOTFOUND)
        return ERR_OK;
    if (rc == ERR_OK)
        rc = artifact_score_before(&t->score, t->model, t->base.path, err);
    return rc;
}

static void note_score(const struct task *t, const char *path)
{
    struct buf text = { 0 };

    artifact_score_print(&t->score, &text);
    if (text.len)
        cli_note(t->cli, "%s: read back%s", path, text.data);
    buf_release(&text);
}

char *finetune_merged_path(const struct task *t)
{
    size_t n = strlen(t->path);

    while (n > 1 && t->path[n - 1] == '/')
        n--;
    return mem_printf("%.*s-merged", (int)n, t->path);
}

static int write_adapter(struct task *t, struct err *err)
{
    const char *dir = t->tree.dir;
    int rc = lora_save_adapter(t->model, &t->opt, t->base.path, dir, err);

    if (rc == 0 && t->quantised && t->f->merge)
        rc = score_trained(t, err);
    if (rc == 0)
        rc = check_written(t, &t->tree, t->base.path, dir, WEIGHTS_F32, err);
    return rc;
}

static int write_whole(struct task *t, struct io_tree *tree, struct err *err)
{
    enum weights_type type = finetune_stored_type(t);
    int rc = lora_save_merged(t->model, t->base.path, type, tree->dir, err);

    if (rc == 0)
        rc = check_written(t, tree, tree->dir, NULL, type, err);
    if (rc == 0)
        note_score(t, tree->path);
    return rc;
}

int finetune_write(struct task *t, struct err *err)
{
    char *merged;
    int rc = io_tree_begin(&t->tree, t->path, artifact_is_part, err);

    if (rc == 0 && t->opt.method == LORA_FULL)
        return write_whole(t, &t->tree, err);
    if (rc == 0)
        rc = write_adapter(t, err);
    if (rc < 0 || !t->f->merge)
        return rc;
    merged = finetune_merged_path(t);
    rc = io_tree_begin(&t->merged, merged, artifact_is_part, err);
    if (rc == 0)
        rc = reopen(t, err);
    if (rc == 0)
        rc = write_whole(t, &t->merged, err);
    free(merged);
    return rc;
}

int finetune_publish(struct task *t, struct err *err)
{
    int rc = io_tree_publish(&t->tree, err);

    if (rc == 0 && t->merged.dir)
        rc = io_tree_publish(&t->merged, err);
    if (rc < 0)
        finetune_unpublish(t);
    return rc;
}

void finetune_unpublish(struct task *t)
{
    io_tree_undo(&t->merged);
    io_tree_undo(&t->tree);
}

void finetune_drop_replaced(const struct task *t)
{
    char *merged = finetune_merged_path(t);
    struct err err;

    /* What was merged from the adapter that is gone. */
    if (t->replaces && !t->merged.dir &&
        io_tree_check(merged, artifact_is_part, &err) == ERR_OK)
        io_tree_remove(merged);
    free(merged);
}
