/* curate_priv.h - what the files of lib/curate share; nobody else includes it
 */
#ifndef CURATE_PRIV_H
#define CURATE_PRIV_H

#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "curate/curate.h"
#include "dedup/dedup.h"
#include "json/json.h"

#define CURATE_HASH 16

/* From so many bytes on an id names a conversation whatever the client, which
 * may hand it over; shorter ones are what each client counts for itself. */
#define CURATE_TALK_ID 8
/* Calls without an id that go on from one another have a name instead, which
 * begins with this. */
#define CURATE_DIALOGUE '\x1f'

/* Raised whenever the same call may be judged otherwise. */
#define CURATE_ENGINE "10"

/* A call on its way. */
struct curate_item {
    int64_t id, time_us, latency_us; /* -1: unknown */
    struct buf dialect, status, finish, client, conversation, workload;
    bool cut; /* not all of it was logged */
    bool own; /* a small model's answer, and no outcome has another */
    struct buf request, response; /* bodies as logged; once judged, as chat */
    enum curate_reason reason;
    char why[CURATE_WHY_BYTES]; /* it is QUARANTINED */
    int64_t duplicate_of;
    int64_t supersedes; /* a call written before, dropped for this one */
    unsigned char input[CURATE_HASH], answer[CURATE_HASH];
    bool hashed;
    char group[2 * CURATE_HASH + 1];
    struct buf clean_request, clean_response;
    struct buf sketch; /* what it is compared by, see curate_sketch */
    struct buf values; /* hashes of what was replaced, 8 bytes each */
    const struct scrub_known *known; /* of its conversation */
    uint64_t spans;
};

/* What a thread needs to judge calls. */
struct curate_judge {
    struct json request, response, arguments;
    struct buf text, canonical;
    struct scrub_worker *scrubber;
    uint64_t *by_rule;
    uint64_t filters, seed;
    struct buf tagged_request, tagged_response;
    struct dedup_shingles shingles;
};

/* An answer, for the filters of quality. */
struct curate_answer {
    struct slice text;    /* decoded */
    struct slice asked;   /* the last user's text, decoded */
    struct slice request; /* as JSON */
    bool calls;           /* a tool */
    bool broken;          /* a string that no text can hold */
};
/* KEPT, or the first fault of those that the filters look for. */
enum curate_reason curate_judge_quality(const struct curate_answer *a,
                                        uint64_t filters);

/* Text of a message: a string, or the text of its parts; appended. */
void curate_text(const struct json *j, json_ref content, struct buf *out);
/* The last message of a user; JSON_NONE: there is none. */
json_ref curate_last_user(const struct json *j, json_ref messages);

/* What an example is compared by, from the view of tags: surrogates of two
 * clients differ. All hashes are keyed. Bytes: the numbers in their order,
 * then the shingles. */
#define CURATE_SHINGLES_MAX 4096 /* exact up to here, a sample beyond */
struct curate_sketch {
    uint64_t task;    /* workload, beginning of system prompt, tools */
    uint64_t context; /* all but the variable part: prompt, tools, earlier */
    uint64_t stratum; /* task, and the tools that the answer calls */
    uint32_t words;   /* of the variable part */
    bool multi;       /* there were turns before */
    bool cut;         /* the set is a sample */
    uint32_t count;
    const char *hashes; /* little-endian, ascending */
};
/* Of a call that was just scrubbed by the worker of g; appended. */
void curate_sketch_make(struct curate_judge *g, const struct curate_item *it,
                        struct buf *out);
/* False: no such bytes. */
bool curate_sketch_read(struct slice bytes, struct curate_sketch *out);

/* Sets reason (KEPT so far) and, where it is KEPT, the hashes. */
void curate_judge_call(struct curate_judge *j, const struct crypto_key *key,
                       struct curate_item *it);

/* True if all tool calls of an answer (message) fit the tools of the request.
 */
bool curate_tool_calls_fit(struct curate_judge *j, json_ref message);

/* A message without drawn ids, in a form in which equal ones are equal;
 * appended to g->canonical. */
void curate_put_message(struct curate_judge *g, const struct json *j,
                        json_ref m);

/* Calls without a conversation whose messages begin with all messages of
 * another such call, or that name the answer they go on from; of calls up to
 * `last`. */
struct curate_dialogues;
MUST_CHECK int curate_dialogues_open(struct store *s, int64_t last,
                                     struct curate_dialogues **out,
                                     struct err *err);
void curate_dialogues_free(struct curate_dialogues *d); /* NULL is fine */
/* Those calls, dialogue after dialogue and the latest first, and what theirs is
 * called, appended. */
size_t curate_dialogues_calls(const struct curate_dialogues *d);
int64_t curate_dialogues_call(const struct curate_dialogues *d, size_t i,
                              struct buf *name);
/* A call without a conversation gets its dialogue's name, if it has one. The
 * name lasts as long as d does. d may be NULL. */
void curate_dialogues_name(const struct curate_dialogues *d, int64_t call,
                           struct buf *conversation);
bool curate_is_dialogue(struct slice conversation);
/* Equal: one conversation; appended. */
void curate_talk_put(struct slice client, struct slice conversation,
                     struct buf *out);

/* Inputs and conversations seen so far. */
struct curate_index;
MUST_CHECK int curate_index_load(struct store *s, int64_t high,
                                 const struct curate_dialogues *dialogues,
                                 const struct crypto_key *key, uint64_t filters,
                                 struct curate_index **out, struct err *err);
void curate_index_free(struct curate_index *x);
/* The group alone, of a call that comes after its turn. */
void curate_index_group(struct curate_index *x, struct curate_item *it);
/* Duplicates, retries and group of the next call, in order of ids.
 * *superseded: a call whose example is to be dropped as retried, or 0;
 * *instead: a duplicate of that, which stands for it from now on, or 0. */
void curate_index_add(struct curate_index *x, struct curate_item *it,
                      int64_t *superseded, int64_t *instead);
/* The call that stands for all with its input and answer; 0: none can. */
int64_t curate_index_head(struct curate_index *x, int64_t call);
/* A call has no example, although it was good. */
void curate_index_gone(struct curate_index *x, int64_t call);
/* A call was written, although it was dropped. */
void curate_index_back(struct curate_index *x, int64_t call);
/* The next example, from *at on, that was written with another number of calls
 * with its input; from now on it counts as written. False: there is none. */
bool curate_index_stale(struct curate_index *x, size_t *at, int64_t *call,
                        uint32_t *repeats);

/* Are calls with this fault dropped? */
bool curate_drops(const struct curate_options *o, enum curate_reason r);

/* Values that most conversations of a kind have in common, though they were
 * replaced: a template's, such as labels in the message of a user, are most
 * likely no person's. Looked at are the first conversations of each kind. */
struct curate_common;
struct curate_common *curate_common_new(void);
void curate_common_free(struct curate_common *c); /* NULL is fine */
/* Of an example that was just scrubbed. */
void curate_common_add(struct curate_common *c, const struct curate_item *it);
/* How many there are; *call: one that has the first of them. */
uint64_t curate_common_count(const struct curate_common *c, int64_t *call);

/* Writes what a pass has found. */
struct curate_writer {
    struct store *store;
    struct curate_index *index;
    const char *rules, *key_id, *version;
    struct err *err;
};
MUST_CHECK int curate_write_batch(struct curate_writer *k,
                                  const struct curate_item *item, size_t count);
/* Texts of examples that are there, scrubbed anew; answers of outcomes follow.
 */
MUST_CHECK int curate_write_again(struct curate_writer *k,
                                  const struct curate_item *item, size_t count);
/* How often the input of each example came, where that has changed. */
MUST_CHECK int curate_write_repeats(struct curate_writer *k);
/* Duplicates of which another one is kept now: call to call. */
MUST_CHECK int curate_write_links(struct curate_writer *k,
                                  const struct map *links);
/* Calls that were dropped and are examples now, or quarantined. */
MUST_CHECK int curate_write_back(struct curate_writer *k,
                                 const struct curate_item *item, size_t count);

/* Duplicates whose example is gone, retried, erased or quarantined: those that
 * are to be examples in its place, and of the others what they are like now. */
MUST_CHECK int curate_orphans(struct store *s, struct curate_index *index,
                              struct map *due, struct map *links,
                              struct err *err);

/* Settles all examples of the store if there is reason to: see curate.h. */
MUST_CHECK int curate_settle(struct store *s, const struct curate_options *o,
                             const struct curate_dialogues *dialogues,
                             struct pool *pool, struct curate_result *r,
                             struct err *err);
/* Counts what the store has, and proves that nothing straddles. */
MUST_CHECK int curate_count(struct store *s,
                            const struct curate_dialogues *dialogues,
                            struct curate_result *r, struct err *err);

/* The JSON pointer (RFC 6901) of the value, or of the value of the key, that
 * holds byte `at`, appended; returns the node that holds it. */
json_ref curate_pointer(const struct json *j, size_t at, struct buf *out);

/* What all calls of a conversation hold, for scrubbing each of them. Wanted
 * ones are gathered together, and stay until `begin` makes room. */
struct curate_evidence;
/* Of calls up to `last`. */
MUST_CHECK int curate_evidence_open(struct store *s, int64_t last,
                                    const struct curate_dialogues *dialogues,
                                    struct curate_evidence **out,
                                    struct err *err);
void curate_evidence_free(struct curate_evidence *e); /* NULL is fine */
/* The last call of a conversation; 0: it has no two. */
int64_t curate_evidence_last(struct curate_evidence *e, struct slice client,
                             struct slice conversation);
void curate_evidence_begin(struct curate_evidence *e);
void curate_evidence_want(struct curate_evidence *e, struct slice client,
                          struct slice conversation);
/* workers: one a thread of the pool. */
MUST_CHECK int curate_evidence_gather(struct curate_evidence *e,
                                      struct pool *pool,
                                      struct scrub_worker *const *workers,
                                      struct err *err);
/* Once gathered; NULL: the conversation has no two calls. */
const struct scrub_known *curate_evidence_known(struct curate_evidence *e,
                                                struct slice client,
                                                struct slice conversation);
/* Conversations gathered so far that are larger than what is looked at. */
uint64_t curate_evidence_limited(const struct curate_evidence *e);
/* The group of a call's example. */
MUST_CHECK int curate_group_of(struct store *s, int64_t call,
                               char group[2 * CURATE_HASH + 1],
                               struct err *err);

/* Scrubs n documents of a call, appended to out, with what is known of its
 * conversation. */
MUST_CHECK int curate_scrub(struct scrub_worker *w, struct slice scope,
                            const struct slice *own, size_t n,
                            const struct scrub_known *known, struct buf *out,
                            const struct scrub_span **spans, size_t *count,
                            struct err *err);

/* {"spans": [...]}, appended; j: the line parsed, empty for plain text. */
void curate_put_spans(const struct scrub_rules *rules, const struct json *j,
                      const struct scrub_span *spans, size_t count,
                      struct buf *out);

/* What bounds the consistency of surrogates: the conversation, or the client,
 * else the group; nothing for the whole data set. *out holds the text. */
struct slice curate_scope(enum scrub_scope scope, struct slice client,
                          struct slice conversation, struct slice group,
                          struct buf *out);
/* The same of a line of --filter, which may name client_id and conversation_id
 * or session_id. */
struct slice curate_line_scope(enum scrub_scope scope, const struct json *line,
                               struct buf *out);
/* Scrubs the answers and labels of outcomes that no run has seen, each as part
 * of its call. *done, *failed: how many, and how many could not be. */
MUST_CHECK int curate_corrections(struct store *s, struct scrub_worker *w,
                                  struct curate_evidence *evidence,
                                  const struct curate_dialogues *dialogues,
                                  const struct curate_options *o,
                                  uint64_t *done, uint64_t *failed,
                                  struct err *err);

#endif
