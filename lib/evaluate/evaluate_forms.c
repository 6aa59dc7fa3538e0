/*
 * evaluate_forms.c - what an item's answer must look like, as a constraint
 *
 * A label task's answers are those that the train split has; a request with a
 * JSON schema as its response format says itself what fits. Neither comes
 * from the items that are judged. Everything else, and a schema with a keyword
 * that is not supported, is left free.
 */
#include "evaluate/evaluate_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "constrain/constrain.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

struct evaluate_forms {
    struct constrain_vocab *vocab;
    struct constrain *labels; /* of all items; NULL: none */
    struct map *known;        /* schema -> index in schemas */
    struct constrain **schemas;
    size_t count, cap;
};

struct labels {
    struct map *seen;        /* label -> examples */
    size_t examples, others; /* others: no label that could be listed */
};

static int take_label(void *ctx, const struct store_example *e, struct err *err)
{
    struct labels *l = ctx;
    struct buf message = { 0 }, text = { 0 };
    struct json j = { 0 };

    (void)err;
    l->examples++;
    if (evaluate_message(e->response, &message) &&
        json_parse(&j, message.data, message.len, NULL) == 0 &&
        json_text(&j, json_get(&j, 0, "content"), &text) && text.len > 0 &&
        text.len <= EVALUATE_LABEL_BYTES && !memchr(text.data, 0, text.len) &&
        map_count(l->seen) <= EVALUATE_LABELS)
        ++*map_put(l->seen, text.data, text.len, NULL);
    else
        l->others++;
    json_release(&j);
    buf_release(&message);
    buf_release(&text);
    return ERR_OK;
}

/* The share of labels seen once estimates that of labels never seen (Good and
 * Turing): where it is not small the set is open, as when answers are words of
 * the prompt, and keeping to it would make right answers wrong. */
static bool is_closed(const struct labels *l)
{
    size_t once = l->others;

    for (size_t i = 0; i < map_count(l->seen); i++)
        once += *map_value(l->seen, i) == 1;
    return map_count(l->seen) > 0 && map_count(l->seen) <= EVALUATE_LABELS &&
           once * EVALUATE_LABEL_ODDS <= l->examples;
}

int evaluate_labels_load(struct store *s, struct evaluate_result *r,
                         struct err *err)
{
    struct store_example_query query = { .task = r->task, .splits = "t" };
    struct labels l = { 0 };
    int rc;

    if (r->kind != SCORE_LABEL)
        return ERR_OK;
    l.seen = map_new();
    rc = store_examples(s, &query, take_label, &l, err);
    if (rc == ERR_OK && is_closed(&l)) {
        r->label_count = map_count(l.seen);
        r->labels = mem_array(r->label_count, sizeof(*r->labels));
        for (size_t i = 0; i < r->label_count; i++)
            r->labels[i] = slice_dup(map_key(l.seen, i));
    }
    map_free(l.seen);
    return rc;
}

int evaluate_forms_open(const struct evaluate_result *r,
                        const struct tokenizer *t, struct evaluate_forms **out,
                        struct err *err)
{
    struct evaluate_forms *f = mem_zalloc(sizeof(*f));
    struct slice *labels = mem_array(r->label_count, sizeof(*labels));
    int rc = constrain_vocab_new(t, &f->vocab, err);

    f->known = map_new();
    for (size_t i = 0; i < r->label_count; i++)
        labels[i] = slice_of(r->labels[i]);
    if (rc == ERR_OK && r->label_count > 0)
        rc =
            constrain_labels(f->vocab, labels, r->label_count, &f->labels, err);
    free(labels);
    if (rc < 0)
        evaluate_forms_close(f);
    else
        *out = f;
    return rc;
}

void evaluate_forms_close(struct evaluate_forms *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->count; i++)
        constrain_free(f->schemas[i]);
    free(f->schemas);
    map_free(f->known);
    constrain_free(f->labels);
    constrain_vocab_free(f->vocab);
    free(f);
}

static struct constrain *schema_form(struct evaluate_forms *f,
                                     struct slice schema)
{
    void *schemas = f->schemas;
    struct constrain *form = NULL;
    uint64_t *slot;
    bool added;

    slot = map_put(f->known, schema.p, schema.n, &added);
    if (!added)
        return f->schemas[*slot];
    *slot = f->count;
    if (constrain_schema(f->vocab, schema, &form, NULL) < 0)
        form = NULL;
    mem_grow(&schemas, &f->cap, f->count + 1, sizeof(struct constrain *));
    f->schemas = schemas;
    f->schemas[f->count++] = form;
    return form;
}

struct constrain *evaluate_form_of(struct evaluate_forms *f,
                                   const struct evaluate_item *it)
{
    struct constrain *form = NULL;
    struct json j = { 0 };
    json_ref schema;

    if (!f)
        return NULL;
    if (f->labels)
        return f->labels;
    if (json_parse(&j, it->request.data, it->request.len, NULL) == 0) {
        schema =
            json_find(&j, 0, "response_format", "json_schema", "schema", NULL);
        /* A request that offers tools may be answered by a call. */
        if (json_is(&j, schema, JSON_OBJECT) &&
            json_count(&j, json_get(&j, 0, "tools")) == 0)
            form = schema_form(f, json_raw(&j, schema));
    }
    json_release(&j);
    return form;
}
