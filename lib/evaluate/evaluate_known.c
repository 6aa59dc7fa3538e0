/*
 * evaluate_known.c - what a model here answered before
 *
 * The key is made of the bytes of the model and of all that an answer depends
 * on: the prompt's ids, how far it may go, what it is kept to, the device. So a
 * model that was trained again is asked again, and one that was not is asked
 * only about what is new. What an answer took is kept with it.
 */
#include "evaluate/evaluate_private.h"

#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

/* Another one when an answer may come out otherwise. */
#define KNOWN_FORM "local/2 " SLMCTL_VERSION

struct evaluate_known {
    struct store *store;
    struct buf base; /* of each key */
};

int evaluate_known_open(struct store *s, const struct evaluate_result *r,
                        const struct evaluate_options *opt, const char *dir,
                        const char *adapter, struct evaluate_known **out,
                        struct err *err)
{
    unsigned char model[16];
    struct evaluate_known *k;
    int rc = evaluate_model_digest(dir, adapter, model, err);

    if (rc < 0)
        return rc;
    k = mem_zalloc(sizeof(*k));
    k->store = s;
    buf_add(&k->base, KNOWN_FORM, sizeof(KNOWN_FORM));
    buf_add(&k->base, model, sizeof(model));
    buf_printf(&k->base, "%s %d %s %d %u %zu", opt->compute->device,
               (int)opt->compute->precision, model_kept_name(opt->kept),
               opt->constrain, r->json_depth, r->label_count);
    if (opt->compute->cache != COMPUTE_F32)
        buf_printf(&k->base, " kv%d", (int)opt->compute->cache);
    for (size_t i = 0; i < r->label_count; i++)
        buf_add(&k->base, r->labels[i], strlen(r->labels[i]) + 1);
    *out = k;
    return ERR_OK;
}

void evaluate_known_close(struct evaluate_known *k)
{
    if (!k)
        return;
    buf_release(&k->base);
    free(k);
}

/* The form comes from the request, so that stands for it. */
static void key_make(const struct evaluate_known *k,
                     const struct evaluate_prompt *p, unsigned char key[16])
{
    struct buf text = { 0 };

    buf_add_slice(&text, buf_slice(&k->base));
    buf_printf(&text, " %zu %d %zu ", p->room, (int)p->stop, p->count);
    buf_add(&text, p->ids, p->count * sizeof(*p->ids));
    buf_add_slice(&text, buf_slice(&p->item->request));
    store_hash(k->store, buf_slice(&text), key);
    buf_release(&text);
}

static bool answer_read(struct slice text, struct evaluate_known_answer *out)
{
    struct json j = { 0 };
    json_ref ids;
    int64_t id;
    bool fine = json_parse(&j, text.p, text.n, NULL) == 0;

    *out = (struct evaluate_known_answer){ 0 };
    if (fine) {
        ids = json_get(&j, 0, "ids");
        fine = json_is(&j, ids, JSON_ARRAY) &&
               json_int(&j, json_get(&j, 0, "generated"), &out->generated) &&
               json_double(&j, json_get(&j, 0, "seconds"), &out->seconds);
        out->ids = mem_array(json_count(&j, ids) + 1, sizeof(*out->ids));
        for (json_ref e = json_first(&j, ids); fine && e != JSON_NONE;
             e = json_next(&j, ids, e)) {
            fine = json_int(&j, e, &id);
            out->ids[out->count++] = (int32_t)id;
        }
    }
    json_release(&j);
    if (!fine) {
        free(out->ids);
        *out = (struct evaluate_known_answer){ 0 };
    }
    return fine;
}

int evaluate_known_get(const struct evaluate_known *k,
                       const struct evaluate_prompt *p,
                       struct evaluate_known_answer *out, struct err *err)
{
    unsigned char key[16];
    struct buf text = { 0 };
    bool found = false;
    int rc;

    if (!k)
        return 0;
    key_make(k, p, key);
    rc = evaluate_cache_get(k->store, key, &text, &found, err);
    if (rc == ERR_OK)
        rc = found && answer_read(buf_slice(&text), out);
    buf_release(&text);
    return rc;
}

int evaluate_known_put(const struct evaluate_known *k,
                       const struct evaluate_prompt *p,
                       const struct evaluate_known_answer *answer,
                       struct err *err)
{
    unsigned char key[16];
    struct buf text = { 0 };
    struct json_writer w;
    int rc;

    if (!k)
        return ERR_OK;
    key_make(k, p, key);
    json_writer_init(&w, &text, false);
    json_begin_object(&w, NULL);
    json_begin_array(&w, "ids");
    for (size_t i = 0; i < answer->count; i++)
        json_put_int(&w, NULL, answer->ids[i]);
    json_end_array(&w);
    json_put_int(&w, "generated", answer->generated);
    json_put_double(&w, "seconds", answer->seconds);
    json_end_object(&w);
    rc = store_group_step(k->store, err);
    if (rc == ERR_OK)
        rc = evaluate_cache_put(k->store, key, p->item->example,
                                buf_slice(&text), err);
    buf_release(&text);
    return rc;
}

int evaluate_known_settle(const struct evaluate_known *k, int rc,
                          struct err *err)
{
    if (!k)
        return rc;
    if (rc == ERR_OK)
        rc = evaluate_cache_trim(k->store, err);
    if (rc == ERR_OK)
        rc = store_group_end(k->store, err);
    if (rc < 0)
        sql_rollback(store_sql(k->store));
    return rc;
}
