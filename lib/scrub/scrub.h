/*
 * scrub.h - personal data and secrets out, consistent surrogates in
 *
 * Rules (slmctl-rules(5)) are compiled once and shared by threads. A record is
 * one or more texts or JSON documents that belong together (request and
 * response of a call): every string, number and key in them is looked at, JSON
 * inside strings too, and the same value gets the same surrogate wherever it
 * stands. Surrogates come from HMAC(key, scope, type, value): there is no map
 * to keep and no order of threads that could show. Bytes that are not replaced
 * stay exactly as they were. Whatever fails, fails closed: no output.
 * May use: base json crypto regex assets unicode names idnumber dates address.
 */
#ifndef SCRUB_H
#define SCRUB_H

#include "base/buf.h"
#include "base/err.h"
#include "crypto/crypto.h"
#include "scrub/scrub_vault.h"

#include <stdint.h>

#define SCRUB_MAX_RULES 1024
#define SCRUB_MAX_LITERALS 64          /* of one rule */
#define SCRUB_MAX_RULE_FILE (4u << 20) /* bytes */
#define SCRUB_MAX_LINE 8192            /* bytes of one setting */
#define SCRUB_MAX_NESTING 8            /* JSON in a string in JSON ... */
#define SCRUB_MAX_TEXT ((size_t)256 << 20)
#define SCRUB_MAX_SPANS 1000000 /* of one record */

struct scrub_rules;
struct scrub_worker;

/* What a user decides about all rules. Part of the version. */
enum scrub_scope { SCRUB_CONVERSATION, SCRUB_CLIENT, SCRUB_DATASET };
enum scrub_action {
    SCRUB_SURROGATE, /* another value of the same shape */
    SCRUB_TAG,       /* <TYPE_1>, numbered within the record */
    SCRUB_MASK,      /* a star for every character */
    SCRUB_DROP,      /* nothing */
    SCRUB_KEEP,      /* as it was */
};
enum scrub_names { /* how far to go for names; zero is the default */
                   SCRUB_NAMES_TAGGER,
                   SCRUB_NAMES_OFF,
                   SCRUB_NAMES_RULES,
                   SCRUB_NAMES_PARANOID,
};
struct scrub_settings {
    bool strict; /* what has only the shape (tier 3) acts too */
    /* What bounds equal surrogates; callers choose the scope of a record by
     * it. */
    enum scrub_scope scope;
    enum scrub_names names;
    /* "TYPE=ACTION", TYPE * for all; the last of a type stands, and a type
     * over *. Borrowed until scrub_rules_finish, which tells what is wrong. */
    const char *const *actions;
    size_t action_count;
    struct slice keep; /* values that stay, one a line; borrowed likewise */
};

/* Rule sets: new, add..., finish; read-only from then on. */
struct scrub_rules *scrub_rules_new(void);
void scrub_rules_free(struct scrub_rules *r); /* NULL is fine */
/* Text of one rule file; errors name file, line and what is wrong. */
MUST_CHECK int scrub_rules_add(struct scrub_rules *r, const char *file,
                               struct slice text, struct err *err);
/* The rules that are part of the binary. */
MUST_CHECK int scrub_rules_add_builtin(struct scrub_rules *r, struct err *err);
/* All *.rules of a directory, in order of their names; a rule of a name that
 * is there already replaces it. ERR_NOTFOUND if there is none. */
MUST_CHECK int scrub_rules_add_dir(struct scrub_rules *r, const char *dir,
                                   struct err *err);
MUST_CHECK int scrub_rules_finish(struct scrub_rules *r, struct err *err);
/* Before finish; without it all members are 0. */
void scrub_rules_set(struct scrub_rules *r, const struct scrub_settings *s);
const struct scrub_settings *scrub_rules_settings(const struct scrub_rules *r);
/* Names the engine, the settings, every byte of the rules and of the lists of
 * names: the engine's number, "-" and 12 hex digits, then "+tag", "+mask" and
 * "+drop" if any type is replaced so. */
const char *scrub_rules_version(const struct scrub_rules *r);
size_t scrub_rules_count(const struct scrub_rules *r);
const char *scrub_rules_name(const struct scrub_rules *r, size_t rule);
const char *scrub_rules_type(const struct scrub_rules *r, size_t rule);
enum scrub_action scrub_rules_action(const struct scrub_rules *r, size_t rule);
/* Runs the examples and counter-examples that stand beside each rule; calls
 * fail for each that does not hold and returns how many those are. *examples
 * counts all. */
size_t scrub_rules_check(const struct scrub_rules *r, size_t *examples,
                         void (*fail)(void *ctx, const char *rule,
                                      const char *example, const char *why),
                         void *ctx);

/* One thread's working memory. The rules must outlive it. */
struct scrub_worker *scrub_worker_new(const struct scrub_rules *r,
                                      const struct crypto_key *key);
void scrub_worker_free(struct scrub_worker *w); /* NULL is fine */

/* A replaced piece: bytes [start, end) of the document, JSON escapes
 * included, the rule that asked for it, and what stands there now (escaped
 * as it must be; valid until the worker's next call). */
struct scrub_span {
    size_t start, end;
    unsigned document, rule;
    int tier;
    struct slice surrogate;
};

/* Parses a document whose members the caller needs before it is scrubbed: a
 * record that begins with just these bytes then is not parsed again. *out is
 * the worker's; it is the parsed document also after that record, if it had
 * this one document, until the worker's next call. */
struct json;
MUST_CHECK int scrub_parse(struct scrub_worker *w, struct slice document,
                           const struct json **out, struct err *err);

/* Scrubs n documents that belong together; document i is appended to out[i]
 * (same bytes where nothing was replaced). A document that is JSON stays
 * JSON. Scope: values of different scopes have unrelated surrogates. *spans
 * (may be NULL) is valid until the worker's next call. ERR_LIMIT,
 * ERR_FORMAT: quarantine the record; nothing was appended. */
MUST_CHECK int scrub_record(struct scrub_worker *w, struct slice scope,
                            const struct slice *documents, size_t n,
                            struct buf *out, const struct scrub_span **spans,
                            size_t *count, struct err *err);

/* What records that belong together hold: collected of each, then known to
 * each. Bounded; full: some of it was left out. */
struct scrub_known;
struct scrub_known *scrub_known_new(void);
void scrub_known_free(struct scrub_known *k);      /* NULL is fine */
bool scrub_known_any(const struct scrub_known *k); /* NULL: nothing */
bool scrub_known_full(const struct scrub_known *k);
/* Adds what is found in a record. ERR_LIMIT, ERR_FORMAT: it cannot be scrubbed,
 * and nor can those that it belongs to, since not all of it is known. */
MUST_CHECK int scrub_collect(struct scrub_worker *w,
                             const struct slice *documents, size_t n,
                             struct scrub_known *k, struct err *err);
/* Records that the worker scrubs from now on hold all of that, too; NULL:
 * nothing more. Borrowed. */
void scrub_know(struct scrub_worker *w, const struct scrub_known *k);

/* The worker's last record without surrogates: document `document`, given
 * again, is appended with <TYPE> in place of each piece. For comparing records
 * whose surrogates differ. */
void scrub_tag_view(const struct scrub_worker *w, unsigned document,
                    struct slice in, struct buf *out);
/* Pieces of the last record that only have the shape of the rule's type
 * (tier 3) and were left as they are. */
uint64_t scrub_reported(const struct scrub_worker *w, size_t rule);

/* What the worker's last record held, and what stands there now: each value
 * once, without escapes, in the order of the record. Only surrogates are
 * listed. Valid until the worker's next call. */
size_t scrub_pair_count(const struct scrub_worker *w);
void scrub_pair_at(const struct scrub_worker *w, size_t i, const char **type,
                   struct slice *value, struct slice *surrogate);

/* A key as rules see it: "apiKey" gives "_api_key_". */
void scrub_key_words(struct slice key, struct buf *out);

/* Which known values survive in a text, in any of the forms plain,
 * JSON-escaped (to any depth), case-folded, percent-encoded, base64, and for
 * numbers with other separators or none. */
struct scrub_leaks;
#define SCRUB_LEAK_MIN 4 /* shorter values are refused */
#define SCRUB_LEAK_MAX_VALUES 1000000
MUST_CHECK int scrub_leaks_new(const struct slice *values, size_t n,
                               struct scrub_leaks **out, struct err *err);
void scrub_leaks_free(struct scrub_leaks *l); /* NULL is fine */
/* Calls found for each occurrence: the value's index, the form ("plain",
 * "base64 in json" ...) and the byte where the outermost text holds it. Any
 * bytes are accepted, JSON or not. Returns how many were found. *missed (may
 * be NULL): bytes of views that were not searched, since they are too deep in
 * one another or too many; 0: all were. */
size_t scrub_leaks_search(const struct scrub_leaks *l, struct slice text,
                          void (*found)(void *ctx, size_t value,
                                        const char *form, size_t at),
                          void *ctx, size_t *missed);
/* The same with what tells a value from a word that is spelt like it. */
struct scrub_leak {
    size_t value, at;
    const char *form;
    bool whole; /* no letter or digit stands beside it */
    bool exact; /* in the case of the value, too */
    bool zone;  /* in the name of a time zone ("Europe/London"), which stays */
};
size_t scrub_leaks_look(const struct scrub_leaks *l, struct slice text,
                        void (*found)(void *ctx, const struct scrub_leak *hit),
                        void *ctx, size_t *missed);

#endif
