/* curate_report_priv.h - what the files of the report share; nobody else
 * includes it */
#ifndef CURATE_REPORT_PRIV_H
#define CURATE_REPORT_PRIV_H

#include "base/rng.h"
#include "curate/curate_priv.h"
#include "names/names.h"

#define REPORT_BATCH 256
#define REPORT_DOCUMENTS 3 /* request, response, answer of an outcome */

/* A piece that was replaced. */
struct report_piece {
    unsigned rule, document;
    size_t value, value_len;         /* in the item's arena, unescaped */
    size_t surrogate, surrogate_len; /* the same */
    size_t start;                    /* in the scrubbed document */
};

/* A known value that was seen in an example. */
struct report_hit {
    size_t value, at;
    unsigned document;
    bool whole, exact, zone;
    bool joined; /* a full name as slugs and tags have it */
    char form[48];
};

/* A string of a remaining kind. */
struct report_string {
    unsigned kind, document;
    size_t at, length;
    uint64_t hash;
};

enum {
    QUASI_AGE,
    QUASI_DATE,
    QUASI_JOB,
    QUASI_PLACE,
    QUASI_SEX,
    QUASI_ZIP3,
    QUASI_COUNT
};

struct report_item {
    int64_t id;
    bool gone, same;
    struct curate_item call;
    struct buf answer, group;
    const struct scrub_known *known; /* of its conversation */
    struct buf talk, bound; /* the conversation; what surrogates go by */
    struct buf stored[REPORT_DOCUMENTS], clean[REPORT_DOCUMENTS];
    struct buf blank[REPORT_DOCUMENTS]; /* clean, without its surrogates */
    struct buf arena;
    struct report_piece *piece;
    size_t pieces, piece_cap;
    uint64_t *reported; /* by rule */
    struct report_hit *hit;
    size_t hits, hit_cap;
    size_t missed[REPORT_DOCUMENTS]; /* bytes of views not searched */
    struct report_string *string;
    size_t strings, string_cap;
    uint64_t quasi[QUASI_COUNT]; /* hash of the first of each, or 0 */
};

/* A value and what it is taken for. */
struct report_value {
    struct slice text; /* valid once settled */
    unsigned type;
    bool word;      /* may be an ordinary word, a date, a place */
    bool full;      /* a person's name of two words or more */
    bool common;    /* a word of the language, or a short number */
    uint32_t shown; /* 1 + its place in the list of survivors; 0: none */
};

struct report_values {
    struct names *names;
    struct map *known;  /* type, value: index */
    struct map *scopes; /* hash of scope, index */
    struct report_value *item;
    size_t count, cap, most;
};

MUST_CHECK int report_values_begin(struct report_values *v, struct err *err);
void report_values_release(struct report_values *v);
/* The index of a value of a type, and that the scope has it. SIZE_MAX: it is
 * new, and `most` are there. */
size_t report_values_add(struct report_values *v, unsigned type,
                         const char *type_name, struct slice text,
                         struct slice scope);
/* Once all are there: texts, which live in the map from now on. */
void report_values_settle(struct report_values *v);
/* "annasmith", "anna-smith" and the like of a person's full name: how many of
 * them are in out, each of which the caller releases; 0: it is none. */
#define REPORT_JOINED 4
size_t report_value_joined(const char *type_name, struct slice text,
                           struct buf out[REPORT_JOINED]);
/* SIZE_MAX: not known. */
size_t report_values_find(const struct report_values *v, const char *type_name,
                          struct slice text);
bool report_values_has(const struct report_values *v, struct slice scope,
                       size_t value);

/* Escapes of JSON undone, whatever their depth. */
void report_unescape(struct slice raw, struct buf *out);
/* Where byte `at` of a document stands: "request /messages/0/content". */
void report_place(struct curate_place *p, int64_t call, unsigned document,
                  struct slice text, size_t at);

/* What is left in a document without surrogates. */
void report_rest_look(struct report_item *it, unsigned document);
const char *report_rest_kind(unsigned kind);
const char *report_quasi_name(unsigned attribute);
/* The occupation that the article at `at` leads to: "a retired nurse"; empty:
 * none, or no article. */
struct slice report_job(struct slice t, size_t at);

/* The canaries: samples are documents of real calls. */
struct report_samples {
    struct buf *request;
    size_t count, seen;
    struct rng rng;
};
struct report_worker {
    struct curate_judge judge;
    struct json json;
    struct buf blank;
};

struct report_run {
    struct store *s;
    const struct curate_report_options *o;
    struct curate_report *r;
    struct err *err;
    struct pool *pool;
    struct report_worker *worker;
    unsigned threads;
    struct crypto_key hash_key;
    struct curate_evidence *evidence;
    struct curate_dialogues *dialogues;
    struct scrub_worker **scrubber; /* of workers */
    struct report_item *item;
    size_t count;
    int64_t high, total;
    struct report_values values;
    unsigned *type_of; /* by rule */
    const struct scrub_leaks *leaks;
    size_t *joined_of; /* value of each text that is sought behind all values */
    struct report_samples samples;
    struct map *rests[CURATE_RESTS], *quasi, *talks;
    uint64_t done;
};

void report_item_release(struct report_item *it);
/* The next examples by id into k->item; k->count of them. */
MUST_CHECK int report_batch_read(struct report_run *k);
/* A task of the pool: pieces, documents without surrogates, is it the same? */
void report_item_scrub(void *ctx, size_t task, unsigned worker);

/* What a conversation tells of a person, over all its calls. */
struct report_talk {
    uint64_t quasi[QUASI_COUNT];
    int64_t call;
};
void report_talk_add(struct report_run *k, struct report_talk **talks,
                     size_t *cap, const struct report_item *it);
void report_talk_count(struct report_run *k, const struct report_talk *talks);

MUST_CHECK int report_canaries(const struct report_samples *samples,
                               const struct curate_report_options *o,
                               struct curate_report *r, struct err *err);

/* Fills r->category from the types that were replaced, and those of rules. */
void report_harbor(const struct scrub_rules *rules, struct curate_report *r);

/* Splits, groups and drops, from the tables. */
MUST_CHECK int report_splits(struct store *s, struct curate_report *r,
                             struct err *err);

#endif
