/*
 * engine_prepare.c - from a request to ids, stop tokens and a form
 *
 * Runs on the preparing thread alone, which owns the template's renderer and
 * the forms' cache: a form costs far more than a token. Forms are made for
 * what a request says of its answer, whatever its messages are.
 */
#include "engine/engine_private.h"

#include "base/mem.h"

#include <stdlib.h>

static int render(struct engine_job *job, struct buf *text, struct err *err)
{
    struct engine *e = job->e;

    if (job->r.raw_prompt.p)
        return tokenizer_encode(e->tokenizer, buf_slice(&job->raw),
                                TOKENIZER_SPECIAL, &job->prompt, NULL, err);
    if (template_prompt(e->template, &job->json, 0, text, err) < 0)
        return err_wrap(err, "messages");
    return tokenizer_encode(e->tokenizer, buf_slice(text), 0, &job->prompt,
                            NULL, err);
}

/* What the request says goes before what the task's answers are, but for
 * labels. */
static struct template_content content_of(const struct engine_job *job)
{
    const struct json *j = &job->json;
    json_ref format = json_get(j, 0, "response_format");
    json_ref schema = json_find(j, format, "json_schema", "schema", NULL);
    struct template_content c = job->content;

    /* What the request itself asks for; a task's schema is a guess. */
    c.strict = !c.schema.n;
    if (c.label_count)
        return c;
    if (json_is(j, schema, JSON_OBJECT))
        c = (struct template_content){ .schema = json_raw(j, schema),
                                       .strict = true };
    else if (json_text_is(j, json_get(j, format, "type"), "json_object")) {
        c.object = true; /* whatever the task's answers were */
        if (!c.json_depth && !c.schema.n)
            c.json_depth = CONSTRAIN_DOCUMENT_DEPTH;
    }
    return c;
}

/* The members of a request, and the task's content, that make the form. */
static void form_key(const struct engine_job *job, struct buf *out)
{
    static const char *const members[] = { "response_format", "tools",
                                           "tool_choice",
                                           "parallel_tool_calls" };
    const struct template_content *c = &job->content;

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_ref v = json_get(&job->json, 0, members[i]);

        if (json_present(v))
            buf_add_slice(out, json_raw(&job->json, v));
        buf_add(out, "\n", 1);
    }
    buf_printf(out, "%u %zu\n", c->json_depth, c->label_count);
    buf_add_slice(out, c->schema);
    for (size_t i = 0; i < c->label_count; i++) {
        buf_printf(out, "\n%zu ", c->labels[i].n);
        buf_add_slice(out, c->labels[i]);
    }
}

static void form_free(struct engine_form *f)
{
    if (!f)
        return;
    constrain_free(f->form);
    buf_release(&f->key);
    free(f);
}

void engine_forms_free(struct engine *e)
{
    for (size_t i = 0; i < ENGINE_FORMS; i++)
        form_free(e->forms[i]);
}

static bool is_worn(const struct engine_form *f)
{
    return f->form && constrain_is_worn(f->form);
}

static size_t bytes_of(const struct engine_form *f)
{
    return sizeof(*f) + f->key.cap + (f->form ? constrain_bytes(f->form) : 0);
}

/* Forms that answers use grow on, so what they hold is known when others are
 * asked for: unused ones go, the longest unused first, until the rest is
 * within the budget. keep: the one that is wanted now. */
static void trim_forms(struct engine *e, const struct engine_form *keep)
{
    for (;;) {
        size_t total = 0, oldest = ENGINE_FORMS;

        for (size_t i = 0; i < ENGINE_FORMS; i++) {
            const struct engine_form *f = e->forms[i];

            total += f ? bytes_of(f) : 0;
            if (f && !f->users && f != keep &&
                (oldest == ENGINE_FORMS || f->used < e->forms[oldest]->used))
                oldest = i;
        }
        if (total <= e->o.form_bytes || oldest == ENGINE_FORMS)
            return;
        form_free(e->forms[oldest]);
        e->forms[oldest] = NULL;
    }
}

/* The form with this key, or a place for one: an empty place, or that of the
 * unused form whose last use is longest ago; SIZE_MAX: all are in use. A worn
 * form is left to those who use it. */
static size_t find_form(struct engine *e, struct slice key, bool *found)
{
    size_t place = SIZE_MAX;

    *found = false;
    for (size_t i = 0; i < ENGINE_FORMS; i++)
        if (e->forms[i] && !e->forms[i]->users && is_worn(e->forms[i])) {
            form_free(e->forms[i]);
            e->forms[i] = NULL;
        }
    for (size_t i = 0; i < ENGINE_FORMS; i++) {
        const struct engine_form *f = e->forms[i];
        const struct engine_form *x =
            place == SIZE_MAX ? NULL : e->forms[place];

        if (f && !is_worn(f) && slice_eq(buf_slice(&f->key), key)) {
            *found = true;
            return i;
        }
        if (f && f->users)
            continue;
        if (place == SIZE_MAX || (x && (!f || f->used < x->used)))
            place = i;
    }
    return place;
}

static int make_form(struct engine_job *job, struct buf *key,
                     struct engine_form **out, struct err *err)
{
    struct engine *e = job->e;
    struct template_content c = content_of(job);
    struct engine_form *f = mem_zalloc(sizeof(*f));
    int rc = e->vocab ? 0 : constrain_vocab_new(e->tokenizer, &e->vocab, err);

    if (rc == 0)
        rc = template_form(e->template, e->vocab, &job->json, 0, &c, &f->form,
                           err);
    if (rc < 0) {
        form_free(f);
        return err_wrap(err, job->tools ? "tools" : "response_format");
    }
    f->key = *key;
    *key = (struct buf){ 0 };
    *out = f;
    return 0;
}

void engine_forms_count(const struct engine *e, size_t *count, size_t *bytes)
{
    *count = *bytes = 0;
    for (size_t i = 0; i < ENGINE_FORMS; i++)
        if (e->forms[i]) {
            ++*count;
            *bytes += bytes_of(e->forms[i]);
        }
}

/* Counts of users, and which forms there are, change under the mutex: the
 * other thread lets go, and any may count. */
static int take_form(struct engine_job *job, struct err *err)
{
    struct engine *e = job->e;
    struct engine_form *f = NULL;
    struct buf key = { 0 };
    bool found;
    size_t at;
    int rc = 0;

    form_key(job, &key);
    pthread_mutex_lock(&e->mutex);
    at = find_form(e, buf_slice(&key), &found);
    if (found) {
        f = e->forms[at];
        f->users++;
        trim_forms(e, f);
    }
    pthread_mutex_unlock(&e->mutex);
    if (!found && at == SIZE_MAX)
        rc = err_set(err, ERR_LIMIT,
                     "%d forms are in use; try again when an answer has ended",
                     ENGINE_FORMS);
    else if (!found)
        rc = make_form(job, &key, &f, err);
    if (!found && f) {
        f->users = 1;
        pthread_mutex_lock(&e->mutex);
        form_free(e->forms[at]);
        e->forms[at] = f;
        e->stats.forms_made++;
        trim_forms(e, f);
        pthread_mutex_unlock(&e->mutex);
    }
    if (f)
        f->used = ++e->form_clock;
    job->form = f;
    buf_release(&key);
    return rc;
}

void engine_job_prepare(struct engine_job *job)
{
    struct engine *e = job->e;
    struct buf text = { 0 };
    int rc = render(job, &text, &job->err);

    if (rc == 0 && !job->r.raw_prompt.p && !e->o.unconstrained)
        rc = take_form(job, &job->err);
    if (rc == 0 && job->form)
        job->sampling.form = job->form->form;
    if (rc == 0 && !job->r.raw_prompt.p && e->stop >= 0) {
        job->sampling.stops = &e->stop;
        job->sampling.stop_count = 1;
    }
    buf_release(&text);
    job->rc = rc;
}
