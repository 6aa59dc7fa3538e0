/*
 * curate_report.c - what was replaced, and whether any of it is left
 *
 * Two walks over the kept examples. The first scrubs their calls again and
 * learns the values; the second seeks each value in every example. It seeks
 * beside the surrogates, not in them: names are drawn from lists, and one that
 * is drawn here may be a real one there. Both walks run on all threads and are
 * put together in the order of ids.
 */
#include "curate/curate_report_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 64
#define SAMPLE_MAX ((size_t)256 << 10)

static struct slice in_arena(const struct report_item *it, size_t at, size_t n)
{
    return (struct slice){ it->arena.data + at, n };
}

static void add_piece(struct report_run *k, const struct report_item *it,
                      const struct report_piece *p)
{
    unsigned type = k->type_of[p->rule];
    struct curate_report_type *t = &k->r->type[type];
    struct slice value = in_arena(it, p->value, p->value_len);
    struct slice surrogate = in_arena(it, p->surrogate, p->surrogate_len);

    if (slice_eq(value, surrogate))
        return; /* kept on purpose */
    t->pieces++;
    k->r->pieces++;
    if (!t->place.call) {
        report_place(&t->place, it->call.id, p->document,
                     buf_slice(&it->blank[p->document]), p->start);
        (void)snprintf(t->surrogate, sizeof(t->surrogate), "%.*s",
                       (int)(surrogate.n < 60 ? surrogate.n : 60), surrogate.p);
    }
    if (value.n < SCRUB_LEAK_MIN) {
        t->too_short++;
        return;
    }
    k->r->unsought += report_values_add(&k->values, type, t->type, value,
                                        buf_slice(&it->talk)) == SIZE_MAX;
}

static void take_sample(struct report_run *k, const struct report_item *it)
{
    struct report_samples *s = &k->samples;
    size_t at = s->count;

    if (it->gone || !it->call.request.len || it->call.request.len > SAMPLE_MAX)
        return;
    s->seen++;
    if (at == SAMPLES)
        at = (size_t)rng_below(&s->rng, s->seen);
    if (at >= SAMPLES)
        return;
    s->count += at == s->count;
    buf_reset(&s->request[at]);
    buf_add_slice(&s->request[at], buf_slice(&it->call.request));
}

/* First walk: what was replaced. */
static int learn_batch(struct report_run *k)
{
    pool_run(k->pool, k->count, report_item_scrub, k);
    for (size_t i = 0; i < k->count; i++) {
        struct report_item *it = &k->item[i];

        k->r->examples++;
        k->r->gone += it->gone;
        k->r->same += it->same;
        k->r->changed += !it->gone && !it->same;
        for (size_t p = 0; p < it->pieces; p++)
            add_piece(k, it, &it->piece[p]);
        for (size_t rule = 0; rule < scrub_rules_count(k->o->rules); rule++)
            k->r->type[k->type_of[rule]].reported += it->reported[rule];
        take_sample(k, it);
    }
    return ERR_OK;
}

struct hit_sink {
    const struct report_run *k;
    struct report_item *it;
    unsigned document;
};

static void note_hit(void *ctx, const struct scrub_leak *x)
{
    struct hit_sink *s = ctx;
    struct report_item *it = s->it;
    size_t values = s->k->values.count;
    bool joined = x->value >= values;
    void *all = it->hit;

    if (it->hits == SCRUB_MAX_SPANS)
        return;
    mem_grow(&all, &it->hit_cap, it->hits + 1, sizeof(*it->hit));
    it->hit = all;
    it->hit[it->hits] = (struct report_hit){
        .value = joined ? s->k->joined_of[x->value - values] : x->value,
        .joined = joined,
        .at = x->at,
        .document = s->document,
        .whole = x->whole,
        .exact = x->exact,
        .zone = x->zone
    };
    (void)snprintf(it->hit[it->hits].form, sizeof(it->hit->form), "%s",
                   x->form);
    it->hits++;
}

static void search_item(void *ctx, size_t task, unsigned worker)
{
    struct report_run *k = ctx;
    struct report_item *it = &k->item[task];

    report_item_scrub(ctx, task, worker);
    for (unsigned d = 0; d < REPORT_DOCUMENTS; d++) {
        struct hit_sink sink = { k, it, d };

        if (k->leaks)
            (void)scrub_leaks_look(k->leaks, buf_slice(&it->blank[d]), note_hit,
                                   &sink, &it->missed[d]);
        report_rest_look(it, d);
    }
}

enum judgement { NOTHING, ZONE, ELSEWHERE, OWN, SURVIVOR };

/* An identifier stands nowhere by chance, nor does a full name in the
 * conversation of its bearer, whatever its case and what joins it. A word must
 * be the same word, in the conversation whose value it was. */
static enum judgement judge_hit(const struct report_run *k,
                                const struct report_item *it,
                                const struct report_hit *h)
{
    const struct report_value *v = &k->values.item[h->value];
    bool own;

    if (!v->word && !v->common)
        return SURVIVOR;
    if (!h->whole && !h->joined)
        return NOTHING;
    if (h->zone)
        return ZONE;
    own = report_values_has(&k->values, buf_slice(&it->talk), h->value);
    if (!own)
        return h->joined ? NOTHING : ELSEWHERE;
    if (h->joined || v->full)
        return SURVIVOR;
    return v->common || !h->exact ? OWN : SURVIVOR;
}

static void add_survivor(struct report_run *k, const struct report_item *it,
                         const struct report_hit *h, const char *type)
{
    struct curate_report *r = k->r;
    struct report_value *v = &k->values.item[h->value];
    struct curate_survivor *x;

    if (v->shown)
        r->survivor[v->shown - 1].examples++;
    if (v->shown || r->survivors_shown == CURATE_REPORT_SHOWN)
        return;
    if (!r->survivor)
        r->survivor = mem_zalloc(CURATE_REPORT_SHOWN * sizeof(*r->survivor));
    x = &r->survivor[r->survivors_shown++];
    v->shown = (uint32_t)r->survivors_shown;
    x->examples = 1;
    x->example = it->id;
    x->type = type;
    report_place(&x->place, it->call.id, h->document,
                 buf_slice(&it->blank[h->document]), h->at);
    (void)snprintf(x->form, sizeof(x->form), "%s", h->form);
}

/* A value counts once an example. */
static void add_hits(struct report_run *k, const struct report_item *it)
{
    struct map *seen = it->hits ? map_new() : NULL;

    for (size_t i = 0; i < it->hits; i++) {
        const struct report_hit *h = &it->hit[i];
        struct curate_report_type *t =
            &k->r->type[k->values.item[h->value].type];
        enum judgement is = judge_hit(k, it, h);
        uint64_t *worst;

        if (is == NOTHING)
            continue;
        worst = map_put(seen, &h->value, sizeof(h->value), NULL);
        if (*worst >= (uint64_t)is)
            continue;
        if (*worst == ELSEWHERE)
            t->elsewhere--, k->r->elsewhere--;
        k->r->own += (is == OWN) - (*worst == OWN);
        k->r->zones += (is == ZONE) - (*worst == ZONE);
        *worst = is;
        if (is == ZONE)
            continue;
        if (is == SURVIVOR) {
            t->survivors++;
            k->r->survivors++;
            add_survivor(k, it, h, t->type);
        } else if (is == OWN) {
            if (!k->r->own_place.call)
                report_place(&k->r->own_place, it->call.id, h->document,
                             buf_slice(&it->blank[h->document]), h->at);
        } else {
            t->elsewhere++;
            k->r->elsewhere++;
        }
    }
    map_free(seen);
}

/* What was too deep or too much to be searched is not clean. */
static void add_missed(struct report_run *k, const struct report_item *it)
{
    struct curate_report *r = k->r;
    bool any = false;

    for (unsigned d = 0; d < REPORT_DOCUMENTS; d++) {
        if (!it->missed[d])
            continue;
        if (!r->unsearched)
            report_place(&r->unsearched_place, it->call.id, d,
                         (struct slice){ 0 }, 0);
        any = true;
        r->unsearched += it->missed[d];
    }
    r->unsearched_examples += any;
}

static void add_coincidences(struct report_run *k, const struct report_item *it)
{
    for (size_t i = 0; i < it->pieces; i++) {
        const struct report_piece *p = &it->piece[i];
        unsigned type = k->type_of[p->rule];
        const char *name = k->r->type[type].type;

        if (report_values_find(&k->values, name,
                               in_arena(it, p->surrogate, p->surrogate_len)) !=
            SIZE_MAX)
            k->r->type[type].coincide++;
    }
}

static void add_string(struct report_run *k, const struct report_item *it,
                       const struct report_string *x)
{
    struct curate_rest *rest = &k->r->rest[x->kind];
    bool added;

    rest->kind = report_rest_kind(x->kind);
    rest->strings++;
    (void)map_put(k->rests[x->kind], &x->hash, sizeof(x->hash), &added);
    rest->values += added;
    if (!added || rest->shown_count == 5)
        return;
    report_place(&rest->shown[rest->shown_count].place, it->call.id,
                 x->document, buf_slice(&it->blank[x->document]), x->at);
    rest->shown[rest->shown_count].length = x->length;
    (void)snprintf(rest->shown[rest->shown_count].hash, 9, "%08x",
                   (unsigned)(x->hash >> 32));
    rest->shown_count++;
}

struct walk {
    struct report_talk *talks;
    size_t cap;
};

/* Second walk: is anything left? */
static int search_batch(struct report_run *k, struct walk *w)
{
    pool_run(k->pool, k->count, search_item, k);
    for (size_t i = 0; i < k->count; i++) {
        struct report_item *it = &k->item[i];

        add_hits(k, it);
        add_missed(k, it);
        add_coincidences(k, it);
        for (size_t x = 0; x < it->strings; x++)
            add_string(k, it, &it->string[x]);
        report_talk_add(k, &w->talks, &w->cap, it);
    }
    return ERR_OK;
}

static int walk_examples(struct report_run *k, struct walk *w)
{
    int rc;

    k->high = 0;
    k->done = 0;
    while ((rc = report_batch_read(k)) == ERR_OK && k->count) {
        rc = w ? search_batch(k, w) : learn_batch(k);
        if (rc < 0)
            return rc;
        k->done += k->count;
        progress_update(k->o->progress, w ? "search" : "collect", k->done,
                        (uint64_t)k->total, NULL);
        if (stop_requested())
            return err_set(k->err, ERR_INTERRUPTED, "stopped");
    }
    return rc;
}

/* What is sought: the values, and behind them full names as slugs have them. */
struct sought {
    struct slice *text;
    struct buf *joined;
    size_t count, values;
};

static void seek_joined(struct report_run *k, struct sought *s)
{
    size_t most = SCRUB_LEAK_MAX_VALUES;

    for (size_t i = 0; i < s->values; i++) {
        const struct report_value *v = &k->values.item[i];
        struct buf form[REPORT_JOINED] = { { 0 } };
        size_t n = report_value_joined(k->r->type[v->type].type, v->text, form);

        for (size_t f = 0; f < n; f++) {
            if (s->count == most) {
                k->r->unsought++;
                buf_release(&form[f]);
                continue;
            }
            k->joined_of[s->count - s->values] = i;
            s->joined[s->count - s->values] = form[f];
            s->text[s->count++] = buf_slice(&form[f]);
        }
    }
}

static void sought_begin(struct report_run *k, struct sought *s)
{
    size_t n = k->values.count, all = n * (1 + REPORT_JOINED) + 1;

    *s = (struct sought){ .text = mem_array(all, sizeof(*s->text)),
                          .joined = mem_array(all, sizeof(*s->joined)),
                          .count = n,
                          .values = n };
    k->joined_of = mem_array(all, sizeof(*k->joined_of));
    report_values_settle(&k->values);
    k->r->values = k->r->searched = n;
    for (size_t i = 0; i < n; i++) {
        s->text[i] = k->values.item[i].text;
        k->r->type[k->values.item[i].type].values++;
    }
    seek_joined(k, s);
}

static void sought_end(struct report_run *k, struct sought *s)
{
    for (size_t i = s->values; i < s->count; i++)
        buf_release(&s->joined[i - s->values]);
    free(s->joined);
    free(s->text);
    free(k->joined_of);
    k->joined_of = NULL;
}

static int search_all(struct report_run *k)
{
    struct scrub_leaks *leaks = NULL;
    struct sought sought;
    struct walk w = { 0 };
    int rc = ERR_OK;

    sought_begin(k, &sought);
    if (sought.count)
        rc = scrub_leaks_new(sought.text, sought.count, &leaks, k->err);
    k->leaks = leaks;
    if (rc == ERR_OK)
        rc = walk_examples(k, &w);
    if (rc == ERR_OK)
        report_talk_count(k, w.talks);
    scrub_leaks_free(leaks);
    free(w.talks);
    sought_end(k, &sought);
    return rc;
}

static void make_types(struct report_run *k)
{
    const struct scrub_rules *rules = k->o->rules;
    size_t n = scrub_rules_count(rules);
    struct map *seen = map_new();

    k->type_of = mem_array(n + 1, sizeof(*k->type_of));
    k->r->type = mem_zalloc((n + 1) * sizeof(*k->r->type));
    for (size_t i = 0; i < n; i++) {
        const char *type = scrub_rules_type(rules, i);
        bool added;
        uint64_t *at = map_put(seen, type, strlen(type), &added);

        if (added) {
            *at = k->r->types;
            k->r->type[k->r->types].kept = true;
            k->r->type[k->r->types++].type = type;
        }
        k->r->type[*at].kept &= scrub_rules_action(rules, i) == SCRUB_KEEP;
        k->type_of[i] = (unsigned)*at;
    }
    map_free(seen);
}

static int begin(struct report_run *k)
{
    int rc;

    crypto_derive(k->o->key, "curate", &k->hash_key);
    k->pool = pool_new(k->o->threads);
    k->threads = pool_threads(k->pool);
    k->worker = mem_zalloc(k->threads * sizeof(*k->worker));
    k->scrubber = mem_zalloc(k->threads * sizeof(*k->scrubber));
    for (unsigned i = 0; i < k->threads; i++)
        k->scrubber[i] = k->worker[i].judge.scrubber =
            scrub_worker_new(k->o->rules, k->o->key);
    k->item = mem_zalloc(REPORT_BATCH * sizeof(*k->item));
    k->samples.request = mem_zalloc(SAMPLES * sizeof(struct buf));
    rng_init(&k->samples.rng, 1);
    for (unsigned i = 0; i < CURATE_RESTS; i++) {
        k->rests[i] = map_new();
        k->r->rest[i].kind = report_rest_kind(i);
    }
    k->quasi = map_new();
    k->talks = map_new();
    make_types(k);
    rc = report_values_begin(&k->values, k->err);
    k->values.most =
        k->o->values_most ? k->o->values_most : SCRUB_LEAK_MAX_VALUES;
    if (rc < 0)
        return rc;
    rc = sql_one_int(store_sql(k->s), "SELECT count(*) FROM example WHERE kept",
                     0, &k->total, k->err);
    if (rc == ERR_OK)
        rc = curate_dialogues_open(k->s, INT64_MAX, &k->dialogues, k->err);
    return rc < 0 ? rc
                  : curate_evidence_open(k->s, INT64_MAX, k->dialogues,
                                         &k->evidence, k->err);
}

static void end(struct report_run *k)
{
    for (unsigned i = 0; i < k->threads; i++) {
        struct curate_judge *j = &k->worker[i].judge;

        json_release(&j->request);
        json_release(&j->response);
        json_release(&j->arguments);
        buf_release(&j->text);
        buf_release(&j->canonical);
        scrub_worker_free(j->scrubber);
    }
    free(k->worker);
    free(k->scrubber);
    for (size_t i = 0; i < REPORT_BATCH; i++)
        report_item_release(&k->item[i]);
    free(k->item);
    for (size_t i = 0; i < SAMPLES; i++)
        buf_release(&k->samples.request[i]);
    free(k->samples.request);
    for (unsigned i = 0; i < CURATE_RESTS; i++)
        map_free(k->rests[i]);
    map_free(k->quasi);
    map_free(k->talks);
    report_values_release(&k->values);
    curate_evidence_free(k->evidence);
    curate_dialogues_free(k->dialogues);
    free(k->type_of);
    pool_free(k->pool);
    crypto_wipe(&k->hash_key, sizeof(k->hash_key));
}

int curate_report_run(struct store *s, const struct curate_report_options *o,
                      struct curate_report *r, struct err *err)
{
    struct report_run k = { .s = s, .o = o, .r = r, .err = err };
    int rc;

    *r = (struct curate_report){ 0 };
    rc = begin(&k);
    if (rc == ERR_OK)
        rc = walk_examples(&k, NULL);
    if (rc == ERR_OK)
        rc = search_all(&k);
    if (rc == ERR_OK)
        rc = report_canaries(&k.samples, o, r, err);
    if (rc == ERR_OK)
        rc = report_splits(s, r, err);
    report_harbor(o->rules, r);
    r->limited = k.evidence ? curate_evidence_limited(k.evidence) : 0;
    end(&k);
    return rc;
}

bool curate_canary_lost(const struct curate_canary *c)
{
    return c->planted && c->low > CURATE_CANARIES_LOST;
}

bool curate_report_passes(const struct curate_report *r)
{
    for (size_t i = 0; i < r->canaries[CURATE_BY_TYPE]; i++)
        if (curate_canary_lost(&r->canary[CURATE_BY_TYPE][i]))
            return false;
    return r->examples && !r->survivors && !r->unsought && !r->unsearched;
}

void curate_report_release(struct curate_report *r)
{
    free(r->type);
    free(r->survivor);
    free(r->quasi);
    for (int i = 0; i < 3; i++)
        free(r->canary[i]);
    *r = (struct curate_report){ 0 };
}
