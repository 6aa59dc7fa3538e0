/*
 * evaluate_answers.c - one model answers the items
 *
 * Prompts come from the same function that made the training examples, with
 * the logged answer cut off, so that training and test cannot differ in form.
 * Greedy, in batches; an item that does not fit the context or cannot be
 * rendered is a wrong answer of this model, not a missing one. Latency is
 * measured apart, one request at a time.
 */
#include "evaluate/evaluate_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "json/json.h"
#include "model/model.h"
#include "template/template.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A model with what turns requests into ids and back. */
struct session {
    struct tokenizer *tokenizer;
    struct template *template;
    struct model *model;
    bool borrowed;                /* the model is its caller's */
    struct evaluate_known *known; /* NULL: all is asked */
    struct evaluate_forms *forms; /* NULL: answers are free */
    size_t context;
    int32_t stop;                     /* the template's end of a turn */
    struct template_example *prompts; /* one an item; no ids: refused */
    struct evaluate_result *r;
    enum evaluate_who who;
    const struct evaluate_options *opt;
    int64_t generated; /* tokens */
    double seconds;
};

static int session_open(struct session *s, const char *dir, const char *adapter,
                        struct err *err)
{
    int rc = tokenizer_open(dir, &s->tokenizer, err);

    if (rc == ERR_OK)
        rc = template_open(dir, &s->template, err);
    if (rc == ERR_OK && !s->borrowed)
        rc = model_load_kept(dir, adapter, s->opt->compute, s->opt->kept,
                             &s->model, err);
    if (rc == ERR_OK) {
        if (!s->borrowed)
            model_prefixes_use(s->model, s->opt->prefixes);
        s->context = (size_t)model_config(s->model)->context;
        s->stop = tokenizer_id(s->tokenizer, template_stop(s->template));
    }
    return rc;
}

static void session_close(struct session *s)
{
    for (size_t i = 0; s->prompts && i < s->r->count; i++)
        token_list_release(&s->prompts[i].ids);
    free(s->prompts);
    evaluate_known_close(s->known);
    evaluate_forms_close(s->forms);
    if (!s->borrowed)
        model_free(s->model);
    template_free(s->template);
    tokenizer_free(s->tokenizer);
}

/* Prompt and logged answer as ids; false if the template refuses it. */
static bool item_encode(struct session *s, const struct evaluate_item *it,
                        struct template_example *out)
{
    struct json request = { 0 }, message = { 0 };
    bool fine =
        json_parse(&request, it->request.data, it->request.len, NULL) == 0 &&
        json_parse(&message, it->logged.data, it->logged.len, NULL) == 0 &&
        template_encode(s->template, s->tokenizer, &request, 0, &message, 0,
                        out, NULL) == 0;

    json_release(&request);
    json_release(&message);
    return fine;
}

/* The longest logged answer sets how far a model may write. */
static void prompts_encode(struct session *s)
{
    size_t longest = 0;

    s->prompts = mem_zalloc((s->r->count + 1) * sizeof(*s->prompts));
    for (size_t i = 0; i < s->r->count; i++) {
        struct template_example *p = &s->prompts[i];

        if (!item_encode(s, &s->r->items[i], p)) {
            p->ids.count = 0;
            continue;
        }
        if (p->ids.count - p->answer_at > longest)
            longest = p->ids.count - p->answer_at;
    }
    s->r->max_tokens = longest + longest / 2 + 16;
}

/* It is asked: it is judged, and has room for an answer as long as the logged
 * one. */
static bool item_fits(const struct session *s, size_t i)
{
    return evaluate_item_is_judged(&s->r->items[i]) &&
           s->prompts[i].ids.count > 0 && s->prompts[i].ids.count <= s->context;
}

static void answer_refuse(struct session *s, size_t i)
{
    struct score *score = &s->r->items[i].scores[s->who];

    *score = (struct score){ .reason = s->prompts[i].ids.count > 0
                                           ? "prompt_too_long"
                                           : "not_renderable",
                             .method = "none" };
    if (s->who == EVALUATE_TUNED)
        s->r->refused++;
}

/* Tokens are counted for what the reference answers take; a form whose
 * shortest text is long gets as many bytes more, so that a model that fills it
 * in otherwise can come to its end. */
static size_t room_of(const struct session *s, const struct constrain *form)
{
    size_t least = form ? constrain_rest(form, 0) : 0;

    return s->r->max_tokens +
           (least < EVALUATE_FORM_ROOM ? least : EVALUATE_FORM_ROOM);
}

static struct model_sampling greedy(const struct session *s)
{
    return (struct model_sampling){ .max_tokens = s->r->max_tokens,
                                    .stops = &s->stop,
                                    .stop_count = s->stop >= 0,
                                    .plain = s->opt->plain };
}

void evaluate_answer_score(const struct evaluate_result *r,
                           struct evaluate_item *it, enum evaluate_who who,
                           bool malformed, uint64_t seed)
{
    struct score_pair pair = {
        .request = buf_slice(&it->request),
        .answer = buf_slice(&it->answers[who]),
        .reference =
            buf_slice(it->reference.len ? &it->reference : &it->logged),
        .malformed = malformed,
    };
    struct score gold;

    score_answer(r->kind, &pair, seed, &it->scores[who]);
    if (it->gold.len > 0) {
        pair.reference = buf_slice(&it->gold);
        score_answer(r->kind, &pair, seed, &gold);
        it->golds[who] = gold.value;
    }
}

/* Ids to an assistant message, and its score against the reference. */
static int answer_take(struct session *s, size_t i, const int32_t *ids,
                       size_t count, struct err *err)
{
    struct evaluate_item *it = &s->r->items[i];
    struct buf text = { 0 };
    bool malformed = false;
    int rc;

    template_answer_text(s->template, s->tokenizer, ids, count, &text);
    rc = template_parse(s->template, buf_slice(&text), &it->answers[s->who],
                        &malformed, err);
    buf_release(&text);
    if (rc < 0)
        return rc;
    evaluate_answer_score(s->r, it, s->who, malformed, s->opt->seed);
    return ERR_OK;
}

static bool has_tools(const struct evaluate_item *it)
{
    struct json j = { 0 };
    bool has = json_parse(&j, it->request.data, it->request.len, NULL) == 0 &&
               json_count(&j, json_get(&j, 0, "tools")) > 0;

    json_release(&j);
    return has;
}

/* Of the tuned model's answers it is noted, once, what they are kept to. */
static struct constrain *form_of(struct session *s, size_t i, bool note)
{
    struct constrain *form = evaluate_form_of(s->forms, &s->r->items[i]);

    if (!s->forms || !note || s->who != EVALUATE_TUNED)
        return form;
    s->r->constrained += form != NULL;
    if (!form && !template_knows_calls(s->template) &&
        has_tools(&s->r->items[i]))
        s->r->unknown_call =
            evaluate_word(s->r, slice_of(template_name(s->template)));
    return form;
}

static struct evaluate_prompt prompt_of(const struct session *s, size_t i,
                                        const struct constrain *form)
{
    return (struct evaluate_prompt){ .item = &s->r->items[i],
                                     .ids = s->prompts[i].ids.ids,
                                     .count = s->prompts[i].answer_at,
                                     .room = room_of(s, form),
                                     .stop = s->stop };
}

/* 1: the answer was known, and is taken. */
static int answer_known(struct session *s, size_t i, struct err *err)
{
    struct evaluate_prompt p;
    struct evaluate_known_answer a;
    int rc;

    if (!s->known)
        return 0;
    evaluate_forms_trim(s->forms);
    p = prompt_of(s, i, form_of(s, i, false));
    rc = evaluate_known_get(s->known, &p, &a, err);
    if (rc != 1)
        return rc;
    (void)form_of(s, i, true);
    rc = answer_take(s, i, a.ids, a.count, err);
    free(a.ids);
    s->generated += a.generated;
    s->seconds += a.seconds;
    s->r->known++;
    return rc < 0 ? rc : 1;
}

static int batch_run(struct session *s, const size_t *items, size_t count,
                     struct err *err)
{
    struct model_job *jobs = mem_zalloc(count * sizeof(*jobs));
    struct model_sampling opt = greedy(s);
    int64_t began = clock_mono_ns();
    double seconds;
    int rc;

    evaluate_forms_trim(s->forms);
    for (size_t i = 0; i < count; i++) {
        jobs[i].prompt = s->prompts[items[i]].ids.ids;
        jobs[i].prompt_count = s->prompts[items[i]].answer_at;
        jobs[i].form = form_of(s, items[i], true);
        jobs[i].max_tokens = room_of(s, jobs[i].form);
        jobs[i].out = mem_array(jobs[i].max_tokens + 1, sizeof(*jobs[i].out));
    }
    rc = model_generate_batch(s->model, jobs, count, &opt, NULL, err);
    seconds = (double)(clock_mono_ns() - began) / 1e9;
    s->seconds += seconds;
    for (size_t i = 0; i < count; i++) {
        struct evaluate_prompt p = prompt_of(s, items[i], jobs[i].form);
        struct evaluate_known_answer a = {
            .ids = jobs[i].out,
            .count = jobs[i].out_count,
            .generated = (int64_t)jobs[i].out_count + jobs[i].finished,
            .seconds = seconds / (double)count,
        };

        if (rc == ERR_OK) {
            s->generated += a.generated;
            rc = evaluate_known_put(s->known, &p, &a, err);
        }
        if (rc == ERR_OK) {
            rc = answer_take(s, items[i], jobs[i].out, jobs[i].out_count, err);
        }
        free(jobs[i].out);
    }
    free(jobs);
    return evaluate_known_settle(s->known, rc, err);
}

/* An item's place among those whose prompts are sorted. */
struct place {
    const struct template_example *prompt;
    size_t item;
};

static int by_prompt(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    const struct token_list *p = &x->prompt->ids, *q = &y->prompt->ids;
    size_t n = p->count < q->count ? p->count : q->count;

    for (size_t i = 0; i < n; i++)
        if (p->ids[i] != q->ids[i])
            return p->ids[i] < q->ids[i] ? -1 : 1;
    if (p->count != q->count)
        return p->count < q->count ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* So that a batch's prompts begin alike: what they share is computed once. */
static struct place *places_new(const struct session *s)
{
    struct place *places = mem_array(s->r->count + 1, sizeof(*places));

    for (size_t i = 0; i < s->r->count; i++)
        places[i] = (struct place){ &s->prompts[i], i };
    if (s->r->count > 0)
        qsort(places, s->r->count, sizeof(*places), by_prompt);
    return places;
}

static int answers_run(struct session *s, struct err *err)
{
    size_t size = s->opt->batch > 0 ? s->opt->batch : EVALUATE_BATCH;
    size_t *items = mem_array(size, sizeof(*items)), n = 0;
    struct place *places = places_new(s);
    char phase[64];
    int rc = ERR_OK;

    snprintf(phase, sizeof(phase), "%s", evaluate_who_name(s->who));
    for (size_t k = 0; rc == ERR_OK && k < s->r->count; k++) {
        size_t i = places[k].item;

        if (item_fits(s, i)) {
            rc = answer_known(s, i, err);
            if (rc == 0)
                items[n++] = i;
            rc = rc < 0 ? rc : ERR_OK;
        } else if (evaluate_item_is_judged(&s->r->items[i])) {
            answer_refuse(s, i);
        }
        if (n < size && k + 1 < s->r->count)
            continue;
        if (rc == ERR_OK && n > 0)
            rc = batch_run(s, items, n, err);
        n = 0;
        progress_update(s->opt->progress, phase, k + 1, s->r->count,
                        s->r->task_name);
        if (rc == ERR_OK && stop_requested())
            rc = err_set(err, ERR_INTERRUPTED, "interrupted");
    }
    free(items);
    free(places);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* The base's are for the table alone. */
static void latencies_keep(struct session *s, double *ms, size_t n)
{
    if (s->who != EVALUATE_TUNED) {
        free(ms);
        return;
    }
    s->r->latencies = ms;
    s->r->latency_count = n;
}

static int latency_run(struct session *s, struct evaluate_column *c,
                       struct err *err)
{
    bool gates = s->opt->max_p95_ms > 0 && s->who == EVALUATE_TUNED;
    size_t most = gates ? EVALUATE_LATENCY_GATE_ITEMS : EVALUATE_LATENCY_ITEMS;
    double most_ms = gates ? EVALUATE_LATENCY_GATE_MS : EVALUATE_LATENCY_MS;
    double *ms = mem_array(most, sizeof(*ms)), spent_ms = 0;
    size_t n = 0, step = (s->r->count + most - 1) / most;
    struct model_sampling opt = greedy(s);
    int32_t *out =
        mem_array(opt.max_tokens + EVALUATE_FORM_ROOM + 1, sizeof(*out));
    int rc = ERR_OK;

    if (!s->borrowed) /* what an answer takes by itself */
        model_prefixes_use(s->model, NULL);
    for (size_t i = 0; rc == ERR_OK && i < s->r->count; i += step) {
        int64_t began = clock_mono_ns();
        size_t count = 0;
        bool finished;

        if (!item_fits(s, i))
            continue;
        opt.form = form_of(s, i, false);
        opt.max_tokens = room_of(s, opt.form);
        if (n >= EVALUATE_LATENCY_LEAST && spent_ms > most_ms)
            break;
        rc = model_generate(s->model, s->prompts[i].ids.ids,
                            s->prompts[i].answer_at, &opt, NULL, NULL, out,
                            &count, &finished, NULL, err);
        ms[n] = (double)(clock_mono_ns() - began) / 1e6;
        spent_ms += ms[n++];
    }
    free(out);
    if (rc == ERR_OK && n > 0) {
        qsort(ms, n, sizeof(*ms), by_value);
        c->latency_p50_ms = ms[n / 2];
        c->latency_p95_ms = ms[(n * 95 - 1) / 100];
    }
    latencies_keep(s, ms, n);
    return rc;
}

/* Teacher-forced loss of the logged answers, nats per token. */
static int loss_run(struct session *s, struct evaluate_column *c,
                    struct err *err)
{
    size_t step = s->r->count / EVALUATE_LOSS_ITEMS + 1, tokens = 0;
    double sum = 0;
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < s->r->count; i += step) {
        const struct template_example *p = &s->prompts[i];
        double nll = 0;

        if (!item_fits(s, i))
            continue;
        rc = model_nll(s->model, p->ids.ids, p->ids.count, p->answer_at, &nll,
                       err);
        sum += nll;
        tokens += p->ids.count - p->answer_at;
    }
    if (rc == ERR_OK && tokens > 0)
        c->loss = sum / (double)tokens;
    return rc;
}

int evaluate_answers_of(struct evaluate_result *r, struct model *m,
                        const char *dir, const struct evaluate_options *opt,
                        struct err *err)
{
    struct session s = {
        .r = r, .who = EVALUATE_TUNED, .opt = opt, .model = m, .borrowed = true
    };
    int rc = session_open(&s, dir, NULL, err);

    if (rc == ERR_OK && opt->constrain)
        rc = evaluate_forms_open(r, s.tokenizer, s.template, &s.forms, err);
    if (rc == ERR_OK) {
        prompts_encode(&s);
        rc = answers_run(&s, err);
    }
    session_close(&s);
    return rc;
}

int evaluate_answers(struct store *store, struct evaluate_result *r,
                     enum evaluate_who who, const char *dir,
                     const char *adapter, const struct evaluate_options *opt,
                     struct err *err)
{
    struct session s = { .r = r, .who = who, .opt = opt };
    struct evaluate_column *c = &r->columns[who];
    int rc = session_open(&s, dir, adapter, err);

    if (rc == ERR_OK && opt->constrain)
        rc = evaluate_forms_open(r, s.tokenizer, s.template, &s.forms, err);
    if (rc == ERR_OK && opt->cache)
        rc = evaluate_known_open(store, r, opt, dir, adapter, &s.known, err);
    if (rc == ERR_OK) {
        prompts_encode(&s);
        rc = answers_run(&s, err);
        if (rc == ERR_FORMAT)
            rc = err_wrap(err, "%s", adapter ? adapter : dir);
    }
    if (rc == ERR_OK)
        rc = loss_run(&s, c, err);
    if (rc == ERR_OK)
        rc = latency_run(&s, c, err);
    if (rc == ERR_OK && s.seconds > 0) {
        c->tokens_per_second = (double)s.generated / s.seconds;
        c->dollars = 1000 * s.seconds / (double)r->count / 3600 *
                     opt->machine_dollars_per_hour;
    }
    session_close(&s);
    return rc;
}
