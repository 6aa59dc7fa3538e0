/*
 * finetune_enter.c - a trained model in the store: data set, lineage, model
 *
 * The rows say which examples a model learnt from, so that erasing a client
 * can tell which models it touched.
 */
#include "finetune_job.h"

#include "base/clock.h"
#include "base/mem.h"
#include "registry/registry.h"

#include <stdio.h>
#include <stdlib.h>

static int add_dataset_examples(struct task *t, int64_t dataset,
                                const struct ids *list, bool trained,
                                struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        struct sql_stmt *q;

        rc = sql_get(store_sql(t->store),
                     "INSERT OR IGNORE INTO dataset_example(dataset, example, "
                     "trained) VALUES(?, ?, ?)",
                     &q, err);
        if (rc < 0)
            return rc;
        sql_bind_int(q, 1, dataset);
        sql_bind_int(q, 2, list->v[i]);
        sql_bind_int(q, 3, trained);
        rc = sql_run(q, err);
    }
    return rc;
}

static int add_dataset(struct task *t, int64_t *id, struct err *err)
{
    struct sql *db = store_sql(t->store);
    struct sql_stmt *q;
    char hash[17];
    int rc = sql_get(db,
                     "INSERT INTO dataset(task, created, hash) "
                     "VALUES(?, ?, ?)",
                     &q, err);

    if (rc < 0)
        return rc;
    (void)snprintf(hash, sizeof(hash), "%016llx",
                   (unsigned long long)lora_data_hash(&t->train));
    sql_bind_int(q, 1, t->id);
    sql_bind_int(q, 2, clock_wall_us());
    sql_bind_cstr(q, 3, hash);
    rc = sql_run(q, err);
    *id = sql_last_id(db);
    if (rc == 0)
        rc = add_dataset_examples(t, *id, &t->examples, true, err);
    if (rc == 0)
        rc = add_dataset_examples(t, *id, &t->held, false, err);
    return rc;
}

static void write_detail(const struct task *t, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "fingerprint", t->fingerprint);
    json_put_string(&w, "method", t->f->method);
    json_put_string(&w, "device", t->compute->device);
    json_put_string(&w, "kernels", t->compute->kernels);
    json_put_int(&w, "examples", (int64_t)t->train.docs);
    json_put_int(&w, "validation_examples", (int64_t)t->valid.docs);
    finetune_write_reader(&w, &t->reader, &t->outcomes);
    finetune_write_result(&w, &t->result);
    json_end_object(&w);
}

static int add_model(struct task *t, int64_t dataset, struct err *err)
{
    struct sql *db = store_sql(t->store);
    struct sql_stmt *q;
    struct buf detail = { 0 };
    char hash[17];
    int rc = sql_get(
        db,
        "INSERT OR REPLACE INTO model(name, kind, path, base, "
        "task, dataset, run, created, hash, detail) "
        "VALUES(?, ?, kept(?, '', 0), ?, ?, ?, kept(?, '', 0), ?, ?, ?)",
        &q, err);

    if (rc < 0)
        return rc;
    write_detail(t, &detail);
    (void)snprintf(hash, sizeof(hash), "%016llx",
                   (unsigned long long)t->result.hash);
    sql_bind_cstr(q, 1, t->model_name);
    sql_bind_cstr(q, 2, t->opt.method == LORA_FULL ? "full" : "adapter");
    sql_bind_cstr(q, 3, t->path);
    sql_bind_int(q, 4, t->base.id);
    sql_bind_int(q, 5, t->id);
    sql_bind_int(q, 6, dataset);
    sql_bind_cstr(q, 7, t->run);
    sql_bind_int(q, 8, clock_wall_us());
    sql_bind_cstr(q, 9, hash);
    sql_bind_text(q, 10, buf_slice(&detail));
    rc = sql_run(q, err);
    buf_release(&detail);
    t->model_id = sql_last_id(db);
    return rc;
}

/* The store outlives the working directory. */
static void make_absolute(char **path)
{
    char *real = realpath(*path, NULL);

    if (!real)
        return;
    free(*path);
    *path = real;
}

int finetune_enter(struct task *t, struct err *err)
{
    struct sql *db = store_sql(t->store);
    int64_t dataset = 0;
    int rc = finetune_publish(t, err);

    if (rc < 0)
        return rc;
    make_absolute(&t->path);
    make_absolute(&t->run);
    rc = sql_begin(db, err);
    if (rc == 0)
        rc = add_dataset(t, &dataset, err);
    if (rc == 0)
        rc = add_model(t, dataset, err);
    if (rc == 0)
        rc = registry_enter(t->store, t->model_id, t->path, err);
    if (rc == 0 && t->overridden)
        rc = registry_override(t->store, t->id, t->model_id,
                               t->f->override_terms, err);
    if (rc == 0)
        rc = sql_commit(db, err);
    if (rc < 0) {
        sql_rollback(db);
        finetune_unpublish(t);
        return rc;
    }
    finetune_drop_replaced(t);
    if (rc == 0)
        rc = store_stage_set(t->store, "finetune", t->last_call, NULL, NULL,
                             err);
    return rc;
}
