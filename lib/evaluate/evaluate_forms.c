/*
 * evaluate_forms.c - what an item's answer must look like, as a constraint
 *
 * A label task's answers are those that the train split has, a JSON task's are
 * documents where the train split's all are; a request says itself which
 * schema and which tools there are. Nothing comes from the items that are
 * judged. Where nothing is known the answer is free.
 */
#include "evaluate/evaluate_private.h"

#include "base/map.h"
#include "base/mem.h"
#include "constrain/constrain.h"
#include "json/json.h"
#include "template/template.h"

#include <stdlib.h>
#include <string.h>

#define FORMS_KEPT 64 /* between batches */

struct evaluate_forms {
    struct constrain_vocab *vocab;
    const struct template *template;
    struct template_content content; /* of answers to any request */
    struct slice *labels;
    struct map *known; /* what a request says of its answer -> form */
    struct constrain **forms;
    size_t count, cap;
};

struct learnt {
    enum score_kind kind;
    struct map *seen;        /* label -> examples */
    size_t examples, others; /* others: neither label nor document */
    unsigned depth;          /* of the deepest document */
};

/* How deeply values are nested. */
static unsigned depth_of(const struct json *j, json_ref v)
{
    unsigned deepest = 0;

    for (json_ref e = json_first(j, v); e != JSON_NONE;
         e = json_next(j, v, e)) {
        unsigned d = depth_of(j, e);

        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static bool take_document(struct learnt *l, struct slice text)
{
    struct json j = { 0 };
    bool fine = json_parse(&j, text.p, text.n, NULL) == ERR_OK &&
                (json_is(&j, 0, JSON_OBJECT) || json_is(&j, 0, JSON_ARRAY));
    unsigned depth = fine ? depth_of(&j, 0) : 0;

    l->depth = depth > l->depth ? depth : l->depth;
    json_release(&j);
    return fine;
}

static bool take_text(struct learnt *l, struct slice text)
{
    if (l->kind == SCORE_JSON)
        return take_document(l, text);
    if (!text.n || text.n > EVALUATE_LABEL_BYTES || memchr(text.p, 0, text.n) ||
        map_count(l->seen) > EVALUATE_LABELS)
        return false;
    ++*map_put(l->seen, text.p, text.n, NULL);
    return true;
}

/* An answer that calls tools has no text to learn from. */
static int take_answer(void *ctx, const struct store_example *e,
                       struct err *err)
{
    struct learnt *l = ctx;
    struct buf message = { 0 }, text = { 0 };
    struct json j = { 0 };
    bool said = evaluate_message(e->response, &message) &&
                json_parse(&j, message.data, message.len, NULL) == 0;

    (void)err;
    if (!said || !json_count(&j, json_get(&j, 0, "tool_calls"))) {
        l->examples++;
        if (!said || !json_text(&j, json_get(&j, 0, "content"), &text) ||
            !take_text(l, buf_slice(&text)))
            l->others++;
    }
    json_release(&j);
    buf_release(&message);
    buf_release(&text);
    return ERR_OK;
}

/* The share of labels seen once estimates that of labels never seen (Good and
 * Turing): where it is not small the set is open, as when answers are words of
 * the prompt, and keeping to it would make right answers wrong. */
static bool is_closed(const struct learnt *l)
{
    size_t once = l->others;

    for (size_t i = 0; i < map_count(l->seen); i++)
        once += *map_value(l->seen, i) == 1;
    return map_count(l->seen) > 0 && map_count(l->seen) <= EVALUATE_LABELS &&
           once * EVALUATE_LABEL_ODDS <= l->examples;
}

/* One level more than was seen. */
static unsigned document_depth(const struct learnt *l)
{
    if (l->others * EVALUATE_LABEL_ODDS > l->examples ||
        l->depth > CONSTRAIN_DOCUMENT_DEPTH || !l->depth)
        return 0;
    return l->depth < CONSTRAIN_DOCUMENT_DEPTH ? l->depth + 1 : l->depth;
}

int evaluate_content_learn(struct store *s, struct evaluate_result *r,
                           struct err *err)
{
    struct store_example_query query = { .task = r->task, .splits = "t" };
    struct learnt l = { .kind = r->kind };
    int rc;

    if (r->kind != SCORE_LABEL && r->kind != SCORE_JSON)
        return ERR_OK;
    l.seen = map_new();
    rc = store_examples(s, &query, take_answer, &l, err);
    if (rc == ERR_OK && r->kind == SCORE_JSON)
        r->json_depth = document_depth(&l);
    if (rc == ERR_OK && r->kind == SCORE_LABEL && is_closed(&l)) {
        r->label_count = map_count(l.seen);
        r->labels = mem_array(r->label_count, sizeof(*r->labels));
        for (size_t i = 0; i < r->label_count; i++)
            r->labels[i] = slice_dup(map_key(l.seen, i));
    }
    map_free(l.seen);
    return rc;
}

static void forms_drop(struct evaluate_forms *f)
{
    for (size_t i = 0; i < f->count; i++)
        constrain_free(f->forms[i]);
    f->count = 0;
    map_free(f->known);
    f->known = map_new();
}

int evaluate_forms_open(const struct evaluate_result *r,
                        const struct tokenizer *t,
                        const struct template *template,
                        struct evaluate_forms **out, struct err *err)
{
    struct evaluate_forms *f = mem_zalloc(sizeof(*f));
    int rc = constrain_vocab_new(t, &f->vocab, err);

    f->template = template;
    f->known = map_new();
    f->labels = mem_array(r->label_count, sizeof(*f->labels));
    for (size_t i = 0; i < r->label_count; i++)
        f->labels[i] = slice_of(r->labels[i]);
    f->content.labels = f->labels;
    f->content.label_count = r->label_count;
    f->content.json_depth = r->json_depth;
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
    forms_drop(f);
    free(f->forms);
    free(f->labels);
    map_free(f->known);
    constrain_vocab_free(f->vocab);
    free(f);
}

void evaluate_forms_trim(struct evaluate_forms *f)
{
    if (f && f->count > FORMS_KEPT)
        forms_drop(f);
}

/* The members of a request that say what answers there are. */
static void request_key(const struct json *j, struct buf *out)
{
    static const char *const members[] = { "response_format", "tools",
                                           "tool_choice",
                                           "parallel_tool_calls" };

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_ref v = json_get(j, 0, members[i]);

        if (json_present(v))
            buf_add_slice(out, json_raw(j, v));
        buf_char(out, '\n');
    }
}

/* What this request says goes before what was learnt. */
static struct template_content request_content(const struct evaluate_forms *f,
                                               const struct json *j)
{
    json_ref format = json_get(j, 0, "response_format");
    json_ref schema = json_find(j, format, "json_schema", "schema", NULL);
    struct template_content c = f->content;

    if (c.label_count)
        return c;
    if (json_is(j, schema, JSON_OBJECT))
        c = (struct template_content){ .schema = json_raw(j, schema) };
    else if (json_text_is(j, json_get(j, format, "type"), "json_object") &&
             !c.json_depth)
        c.json_depth = CONSTRAIN_DOCUMENT_DEPTH;
    return c;
}

static struct constrain *form_make(struct evaluate_forms *f,
                                   const struct json *j, struct slice key)
{
    struct template_content c = request_content(f, j);
    struct constrain *form = NULL;
    void *forms = f->forms;
    bool added;
    uint64_t *slot = map_put(f->known, key.p, key.n, &added);

    if (!added)
        return f->forms[*slot];
    *slot = f->count;
    if (template_form(f->template, f->vocab, j, 0, &c, &form, NULL) < 0)
        form = NULL;
    mem_grow(&forms, &f->cap, f->count + 1, sizeof(struct constrain *));
    f->forms = forms;
    f->forms[f->count++] = form;
    return form;
}

struct constrain *evaluate_form_of(struct evaluate_forms *f,
                                   const struct evaluate_item *it)
{
    struct constrain *form = NULL;
    struct buf key = { 0 };
    struct json j = { 0 };

    if (!f)
        return NULL;
    if (json_parse(&j, it->request.data, it->request.len, NULL) == 0) {
        request_key(&j, &key);
        form = form_make(f, &j, buf_slice(&key));
    }
    json_release(&j);
    buf_release(&key);
    return form;
}

int evaluate_task_form(struct store *s, int64_t task,
                       const struct template *template,
                       const struct constrain_vocab *v,
                       const struct json *request, struct constrain **out,
                       struct err *err)
{
    struct evaluate_result r = { 0 };
    struct evaluate_forms f = { 0 };
    struct template_content c;
    int rc = evaluate_task_read(s, task, &r, err);

    if (rc == ERR_OK)
        rc = evaluate_content_learn(s, &r, err);
    if (rc == ERR_OK) {
        f.labels = mem_array(r.label_count, sizeof(*f.labels));
        for (size_t i = 0; i < r.label_count; i++)
            f.labels[i] = slice_of(r.labels[i]);
        f.content = (struct template_content){ .labels = f.labels,
                                               .label_count = r.label_count,
                                               .json_depth = r.json_depth };
        c = request_content(&f, request);
        rc = template_form(template, v, request, 0, &c, out, err);
    }
    free(f.labels);
    evaluate_result_release(&r);
    return rc;
}

int evaluate_content_read(struct store *s, int64_t task,
                          struct evaluate_content *out, struct err *err)
{
    struct evaluate_result r = { 0 };
    int rc = evaluate_task_read(s, task, &r, err);

    if (rc == ERR_OK)
        rc = evaluate_content_learn(s, &r, err);
    if (rc == ERR_OK) {
        *out = (struct evaluate_content){ .labels = r.labels,
                                          .label_count = r.label_count,
                                          .json_depth = r.json_depth };
        r.labels = NULL;
        r.label_count = 0;
    }
    evaluate_result_release(&r);
    return rc;
}

void evaluate_content_release(struct evaluate_content *c)
{
    for (size_t i = 0; i < c->label_count; i++)
        free(c->labels[i]);
    free(c->labels);
    *c = (struct evaluate_content){ 0 };
}
