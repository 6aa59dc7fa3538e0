/*
 * store.h - the log store: calls, curated examples, tasks, models, lineage
 *
 * One SQLite database "store.db" in the store directory, beside models/ and
 * runs/. Bodies are cut byte-exactly at the elements of their "messages"
 * array; each piece is a content-addressed blob, a list of pieces a path in a
 * prefix tree, so a conversation costs its length and not its square. Stages
 * that own tables (curate: example, cluster: task and clustering, ...) may
 * use the connection (store_sql) for them; blobs, nodes and calls are entered
 * only through here.
 * May use: base json crypto sql codec assets.
 */
#ifndef STORE_H
#define STORE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/progress.h"
#include "crypto/crypto.h"
#include "json/json.h"
#include "sql/sql.h"

#include <stdint.h>

struct store;

enum store_mode { STORE_READ, STORE_WRITE, STORE_CREATE };

/* What may open an encrypted store, and how a new one begins. */
struct store_access {
    const char *key_file; /* made if absent, where a new store needs it */
    bool plain;           /* a new store is not encrypted */
    bool rotates;         /* store_rotate's own */
    /* A sealed store: what is collected can be read with the private key only,
     * what is curated with the key file. The keys live as long as the store. */
    const struct crypto_key *seal_to;     /* public: a new store is sealed */
    const struct crypto_key *private_key; /* NULL: not held */
    bool collects; /* writes calls, under a data key of its own */
    bool imports;  /* the same, and knows them again: needs the private key */
    bool removes;  /* prune, erase: the same; refused before anything is made */
};

/* STORE_CREATE makes the directory (0700) and the database if absent; the
 * others fail with ERR_NOTFOUND ("DIR: no store here; slmctl collect makes
 * one"). The key file is read if the store is encrypted or new. Without access
 * a new store is plain, and of an encrypted one only what is not encrypted can
 * be read: STORE_READ opens it, the others fail with ERR_INVALID, as all do
 * with another key. */
MUST_CHECK int store_open_with(const char *dir, enum store_mode mode,
                               const struct store_access *access,
                               struct store **out, struct err *err);
MUST_CHECK int store_open(const char *dir, enum store_mode mode,
                          struct store **out, struct err *err);
void store_close(struct store *s); /* NULL is fine */
struct sql *store_sql(struct store *s);
const char *store_dir(const struct store *s);
/* The stage's lock file; ERR_BUSY if another run holds it. Kept until
 * store_close. */
MUST_CHECK int store_lock(struct store *s, const char *stage, struct err *err);
/* Whether another run holds it at this moment; nothing is made. */
bool store_is_locked(const struct store *s, const char *stage);

/* Encrypts a plain store, or gives an encrypted one another key file, which is
 * made if absent, new data keys, or both. ERR_BUSY while any stage runs. One
 * that was cut off is ended by the next; until then nothing else opens the
 * store. In the end no byte of what stood in its database before is left
 * there. key_id: of the key file that opens it now. */
struct store_rotation {
    const char *new_key_file; /* NULL: the one of today */
    bool data;
    const struct progress *progress; /* may be NULL */
    /* Set where the keys have changed but cache/ could not be removed, whose
     * files are of the old key, or plain. */
    struct err *cache_stays;
};
MUST_CHECK int store_rotate(const char *dir, const struct store_access *access,
                            const struct store_rotation *how, char key_id[9],
                            struct err *err);

/* The public key that the store is sealed to; NULL: it is not sealed. */
const struct crypto_key *store_seal_to(const struct store *s);

/* Texts that hold payload are encrypted where they stand. Statements write
 * them as seal_text(value, 'table.column', row...) and read them as
 * open_text(column, 'table.column', row...): SQL functions of the store's
 * connection, which in a plain store give their first argument. peek_text gives
 * NULL where only others have the key. slmctl-store(5)
 * lists the columns; row is what identifies the row (of feedback: its time).
 * Blobs may be given as well. */

/* Group commit: call before each unit of work that may be committed apart.
 * Begins a transaction if none is open; commits one that has lasted
 * STORE_COMMIT_MS and begins the next, so that other writers get their turn.
 * store_group_end commits what is open. After an error: sql_rollback. */
#define STORE_COMMIT_MS 30
MUST_CHECK int store_group_step(struct store *s, struct err *err);
MUST_CHECK int store_group_end(struct store *s, struct err *err);

/* A body in the store. */
struct store_body {
    int64_t skeleton; /* blob id; 0: no body */
    int64_t at;       /* byte of the skeleton where the messages stand */
    int64_t node;     /* last message; 0: the skeleton is the whole body */
};
/* Cut a JSON body at object.messages (or whatever array `member` names) and
 * store it; bytes that are no such JSON are stored whole. Inside the caller's
 * transaction, or one of its own. */
MUST_CHECK int store_body_put(struct store *s, struct slice body,
                              const char *member, struct store_body *out,
                              struct err *err);
/* The exact bytes again, appended to *out. */
MUST_CHECK int store_body_get(struct store *s, struct store_body b,
                              struct buf *out, struct err *err);
/* One blob, appended to *out; id 0 appends nothing. */
MUST_CHECK int store_blob_put(struct store *s, struct slice data, int64_t *id,
                              struct err *err);
MUST_CHECK int store_blob_get(struct store *s, int64_t id, struct buf *out,
                              struct err *err);

/* A call to be logged. Absent numbers are -1, absent texts empty. */
struct store_call {
    struct slice key; /* identity; see slmctl-exchange(5) */
    int64_t source, line;
    int64_t time_us;
    struct slice upstream, dialect, model, workload, client, conversation;
    struct slice response_id;
    struct slice status, phase, finish, error;
    int64_t http_status, latency_us, ttft_us;
    int64_t tokens_in, tokens_out, tokens_cached, tokens_reason;
    struct slice request, response; /* bodies, exact bytes */
    struct slice extra;             /* JSON object or empty */
    struct slice facts;             /* the same, shared by many calls */
};
/* One that has no field yet: all numbers -1. */
struct store_call store_call_none(void);
/* *added false: a call with this key is there already. */
MUST_CHECK int store_call_add(struct store *s, const struct store_call *c,
                              bool *added, struct err *err);
/* id of the call with this key; 0 if there is none, -1 if it was removed. */
MUST_CHECK int store_call_find(struct store *s, struct slice key, int64_t *id,
                               struct err *err);

/* Bulk loading in two steps. Packing cuts, hashes and compresses: each thread
 * has a packer, and any number may pack while one thread adds. Adding writes.
 * The bytes that the call points to must live until its parcel is added. */
struct store_packer;
struct store_parcel;
struct store_packer *store_packer_new(const struct store *s);
void store_packer_free(struct store_packer *p); /* NULL is fine */
struct store_parcel *store_parcel_new(void);
void store_parcel_free(struct store_parcel *p); /* NULL is fine */
/* j, request: where the request stands in a parsed text; a NULL j lets the
 * packer parse it. Replaces what was in *out; c is copied but for its bytes. */
MUST_CHECK int store_pack(struct store_packer *p, const struct store_call *c,
                          const struct json *j, json_ref request,
                          struct store_parcel *out, struct err *err);
/* Inside a transaction. The key may be set only now. */
MUST_CHECK int store_parcel_add(struct store *s, struct store_parcel *p,
                                struct slice key, bool *added, struct err *err);
/* Train a dictionary from bodies that are about to be added if the store has
 * none, or from its own blobs if it has grown to eight times what the last
 * one had seen; later blobs use it. Too little to learn from is no error.
 * Not while packers run; commits an open group before it learns. */
bool store_has_dictionary(const struct store *s);
MUST_CHECK int store_train(struct store *s, const struct slice *bodies,
                           size_t count, struct err *err);

/* Pack anew, with today's dictionary, what was packed before there was one: a
 * step of at most STORE_COMMIT_MS, in a transaction of its own; a small store
 * is written anew after the last. *more: there
 * is more to do. */
MUST_CHECK int store_repack(struct store *s, bool *more, struct err *err);

/* The keyed hash that names blobs and calls of this store. */
void store_hash(const struct store *s, struct slice data,
                unsigned char out[16]);

/* What became known about a call later. Absent: empty, has_reward false. */
struct store_outcome {
    bool came_with_call; /* else the time is noted */
    bool has_reward;
    double reward;
    struct slice label, answer, extra;
};
/* Fields that are there replace those in the store, others stay. What
 * was known already changes nothing: sql_changes is then 0. */
MUST_CHECK int store_outcome_set(struct store *s, int64_t call,
                                 const struct store_outcome *o,
                                 struct err *err);

/* id of a source (a file name, "-", "proxy"), made if absent. */
MUST_CHECK int store_source(struct store *s, const char *name, int64_t *id,
                            struct err *err);

/* Curated examples, the input of cluster, finetune and eval. */
struct store_example {
    int64_t id, call, task; /* task 0: none yet */
    char split;             /* 't' train, 'v' validation, 's' sealed test */
    int64_t time_us;        /* of the call; -1 unknown */
    int64_t latency_us, tokens_in, tokens_out; /* -1 unknown */
    struct slice group;                        /* conversation */
    struct slice model;                        /* the logged LLM's name */
    struct slice request;  /* scrubbed OpenAI chat request, JSON */
    struct slice response; /* scrubbed OpenAI chat response, JSON */
    /* Of its outcome. correction: the answer, else the label, scrubbed; empty
     * also while slmctl curate has not seen it. */
    struct slice correction;
    bool has_answer, has_label, has_reward;
    double reward;
};
struct store_example_query {
    int64_t task; /* 0: any */
    const char
        *splits; /* "tv"; NULL: all. 's' opens the seal: see store_seal */
    bool newest_first;
};
/* Calls fn for each kept example in id order; slices are valid during the
 * call. fn returns 0, or a negative code that ends the walk; it may write to
 * the store. */
MUST_CHECK int store_examples(
    struct store *s, const struct store_example_query *q,
    int (*fn)(void *ctx, const struct store_example *e, struct err *err),
    void *ctx, struct err *err);
/* Writes down that the sealed split was opened; *times counts earlier ones
 * for this task and model. */
MUST_CHECK int store_seal(struct store *s, int64_t task, int64_t model,
                          const char *command, int64_t *times, struct err *err);

/* Names that people choose, of tasks and models: 1 to STORE_NAME_MAX letters,
 * digits, . _ and -, the first a letter or digit, so that each can be a file's
 * name and an option's value. ERR_INVALID; what: "task name", "--as". */
#define STORE_NAME_MAX 64
MUST_CHECK int store_name_check(const char *what, const char *name,
                                struct err *err);

/* The name that is nearest to a text: other signs become _. */
void store_name_make(const char *text, char out[STORE_NAME_MAX + 1]);

/* Where files lie that are the store's own: SQL of its connection writes
 * kept(PATH, '', 0), which makes a path below STORE/models or STORE/runs
 * relative to the store, and reads placed(model.path, '', 0), an absolute one
 * again, wherever the store is by now. What lies elsewhere stays as it is. */

/* Task by name or number; ERR_NOTFOUND names the tasks that exist. */
MUST_CHECK int store_task_find(struct store *s, const char *name, int64_t *id,
                               struct err *err);
/* Model by name; ERR_NOTFOUND says how to add one. path: caller frees. */
MUST_CHECK int store_model_find(struct store *s, const char *name, int64_t *id,
                                char **path, struct err *err);

/* The model answers nothing any more; a champion steps down, so that the LLM
 * answers its tasks. Written down as an event of `command`; reason may be
 * NULL. One that is retired already stays as it is. In a transaction. */
MUST_CHECK int store_model_retire(struct store *s, int64_t model,
                                  const char *command, const char *reason,
                                  struct err *err);

/* settings and stages */
MUST_CHECK int store_setting_get(struct store *s, const char *name,
                                 struct buf *out, bool *found, struct err *err);
MUST_CHECK int store_setting_set(struct store *s, const char *name,
                                 const char *value, struct err *err);
MUST_CHECK int store_stage_set(struct store *s, const char *name, int64_t high,
                               const char *version, const char *detail_json,
                               struct err *err);

/* Reads everything and tells each damage as a line that says what to do, by
 * `tell`. The chain proves calls chain_from to chain_to (none yet if that is
 * lower); those before were logged before there was one. expected: a link noted
 * earlier, may be NULL; expected_call is the last call that it covers, 0 and a
 * finding if the chain does not come by it. */
#define STORE_LINK_BYTES 32
struct store_verify {
    void (*tell)(void *ctx, const char *finding);
    void *ctx;
    struct progress *progress; /* may be NULL */
    const unsigned char *expected;
    int64_t calls, tombstones, blobs, commits, examples; /* seen */
    int64_t chain_from, chain_to, expected_call;
    uint64_t findings;
    unsigned char head[STORE_LINK_BYTES]; /* the last link */
};
MUST_CHECK int store_verify(struct store *s, struct store_verify *v,
                            struct err *err);

/* What was taken out of a store. */
struct store_removed {
    int64_t calls, outcomes, examples, answers; /* answers: of evaluations */
    int64_t pieces, messages;                   /* that nothing used any more */
    int64_t bytes_before, bytes_after;          /* of the database */
    bool log_cut; /* the write-ahead file has 0 bytes */
    bool resumed; /* an erase that was cut off: calls are those of all its runs,
                   * the rest is what was left for this one */
};

/* Takes out the calls that are older than older_than_us, then the oldest
 * until the database is no larger than max_bytes; 0: no such limit. dry_run
 * counts only; by size that is an estimate. keep_examples: calls that became
 * examples stay. Those who log meanwhile wait a few milliseconds at a time.
 * ERR_BUSY: somebody works with the examples. May be killed at any moment and
 * run again. */
struct store_prune {
    int64_t older_than_us, max_bytes;
    bool dry_run, keep_examples;
    struct progress *progress; /* may be NULL */
};
MUST_CHECK int store_prune(struct store *s, const struct store_prune *p,
                           struct store_removed *out, struct err *err);

/* Takes out the calls of a client or of a conversation (one of both is
 * given), with all that was made of them: outcomes, examples, answers of
 * evaluations, texts of tasks, the fitted clustering; dictionaries are learnt
 * anew. Deleted bytes are overwritten. user_print, address_print: how the
 * proxy would have noted the client as a user or an address; may be NULL.
 * `learnt` is called for each data set and model that had a part in it, with
 * kind "dataset" (name: its task) or "model". As store_prune for others who
 * use the store; after a kill the same call goes on, another is
 * ERR_INVALID. */
struct store_erase {
    const char *client, *conversation;
    const char *user_print, *address_print;
    bool dry_run;
    bool retire;               /* the models that learnt from it */
    struct progress *progress; /* may be NULL */
    void (*learnt)(void *ctx, const char *kind, int64_t id, struct slice name);
    void *ctx;
};
MUST_CHECK int store_erase(struct store *s, const struct store_erase *e,
                           struct store_removed *out, struct err *err);

/* A copy of the database that can be opened as store.db, also while others
 * write: written beside `path`, synced and renamed. */
MUST_CHECK int store_backup(struct store *s, const char *path, struct err *err);

/* Files of computed prefixes: where they are (the caller's), the key that they
 * are sealed with (sealed false: none), how many there are. false: they would
 * have to be sealed and the key is not there, or the store is sealed to a
 * public key, which nothing may be kept for. */
char *store_prefix_dir(const struct store *s);
bool store_prefix_key(const struct store *s, struct crypto_key *out,
                      bool *sealed);
void store_prefix_count(const struct store *s, int64_t *files, int64_t *bytes);
/* All that runs keep beside the database and can compute again. */
MUST_CHECK int store_cache_drop(const struct store *s, struct err *err);

/* What is in the store. */
#define STORE_STAGES 7
#define STORE_STATUSES_MAX 16
struct store_status_count {
    char *name;
    int64_t calls;
};
struct store_stage {
    const char *name, *what; /* what is due; NULL: nothing ever is */
    char *version;           /* NULL: none */
    int64_t time_us;         /* 0: has not run */
    int64_t high, due;
};
struct store_status {
    int64_t calls, examples, tasks, models, outcomes;
    int64_t bytes;      /* of the database on disk */
    int64_t raw_bytes;  /* of the requests and responses in the store */
    int64_t read_bytes; /* of the lines imported, known ones included */
    int64_t blobs, dictionaries, dictionary_bytes;
    int64_t prefixes, prefix_bytes; /* computed, in files */
    bool encrypted;
    char key_id[9];  /* of the key file that opens it */
    char seal_id[9]; /* of the public key that it is sealed to, or empty */
    struct store_status_count statuses[STORE_STATUSES_MAX];
    size_t status_count;
    struct store_stage stages[STORE_STAGES];
};
MUST_CHECK int store_status_read(struct store *s, struct store_status *out,
                                 struct err *err);
void store_status_release(struct store_status *st);

#endif
