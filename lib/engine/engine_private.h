/*
 * engine_private.h - private to lib/engine: requests on their way
 *
 * A job belongs to the thread that its stage says; stages, the list and
 * everything that both threads see change under the engine's mutex.
 */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include "engine/engine.h"

#include "json/json.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

#include <pthread.h>

/* Models that were loaded together. */
struct engine_models {
    struct engine_models *next; /* of the engine's; under its mutex */
    size_t count, users; /* users: jobs, who loaded it, the engine's current */
    size_t *adapter;     /* of each model: its number in the bank */
    struct model_bank *bank;
};

/* Models that somebody waits for; on that thread's stack. */
struct engine_order {
    struct engine_order *next;
    const struct engine_model *models;
    size_t count;
    struct engine_models *out;
    struct err *err;
    int rc;
    bool done;
};

/* A form that requests share. */
struct engine_form {
    struct buf key;
    struct constrain *form; /* NULL: an answer is free */
    size_t users;
    uint64_t used;
};

enum engine_stage {
    ENGINE_WAITS,
    ENGINE_PREPARES, /* the other thread's */
    ENGINE_READY,    /* from here on the decoding thread's */
    ENGINE_RUNS
};

struct engine_job {
    struct engine *e;
    struct engine_job *next;
    uint64_t id;
    enum engine_stage stage;
    bool cancelled;
    struct engine_models *models;
    size_t model;
    /* The request. */
    struct engine_request r; /* callbacks and ctx */
    struct buf chat, raw;
    struct json json; /* of chat */
    struct template_content content;
    struct slice *labels;
    char call_prefix[ENGINE_CALL_PREFIX];
    struct model_sampling sampling;
    struct buf stops[ENGINE_STOPS];
    size_t stop_count, longest_stop;
    bool logprobs, tools;
    unsigned top;
    /* Prepared. */
    struct token_list prompt;
    struct engine_form *form;
    struct err err;
    int rc;
    /* The answer. */
    int slot;
    size_t cached, completion;
    struct token_list out;
    struct tokenizer_stream *stream;
    struct buf text; /* decoded */
    size_t sent;     /* bytes of it */
    bool streams, stopped;
    size_t stop; /* of stops, where it stopped */
    struct stats_signals signals;
    struct engine_told {
        int32_t id[ENGINE_TOP + 1]; /* the chosen one first */
        float logp[ENGINE_TOP + 1];
        unsigned top;
    } * told;
    size_t told_count, told_cap;
    int64_t submitted_ns, begun_ns, first_ns;
};

struct engine {
    struct engine_options o;
    struct tokenizer *tokenizer;
    struct template *template; /* NULL: there is none */
    struct model *model;
    struct model_prefixes *prefixes;
    struct model_session *session;
    int32_t stop; /* the template's end of a turn */
    pthread_mutex_t mutex;
    pthread_cond_t work, prepare, loaded;
    pthread_t threads[2];
    unsigned started;
    bool stopping;
    struct engine_job *jobs; /* oldest first */
    size_t waiting, running;
    uint64_t last_id, seed;
    double mean_s; /* that an answer takes */
    struct engine_stats stats;
    struct engine_models *models, *all_models; /* the current ones; all */
    struct engine_order *orders;               /* oldest first */
    size_t askers; /* threads that wait for an order */
    /* The preparing thread's. */
    struct constrain_vocab *vocab;
    struct engine_form *forms[ENGINE_FORMS];
    uint64_t form_clock;
};

/* engine_models.c. Reads a set, which has one user. The decoding thread's, or
 * before there is one. */
MUST_CHECK int engine_models_new(struct engine *e,
                                 const struct engine_model *models,
                                 size_t count, struct engine_models **out,
                                 struct err *err);
/* Under the mutex: one user less. The decoding thread frees it then. */
void engine_models_leave(struct engine *e, struct engine_models *m);
/* Of the decoding thread, under the mutex, which the first lets go meanwhile:
 * an order is served, or a set freed (true: look again); all orders are
 * refused. */
bool engine_models_serve(struct engine *e);
void engine_models_refuse(struct engine *e);
void engine_models_free_all(struct engine *e); /* no thread is left */

/* engine_request.c. Takes the request over, or refuses it. */
MUST_CHECK int engine_request_read(struct engine_job *job,
                                   const struct engine_request *r,
                                   int64_t default_tokens, struct err *err);
void engine_job_free(struct engine_job *job);

/* engine_prepare.c: prompt, stops and form; job->rc tells. */
void engine_job_prepare(struct engine_job *job);
void engine_forms_free(struct engine *e);
/* Under the mutex. */
void engine_forms_count(const struct engine *e, size_t *count, size_t *bytes);

/* engine_answer.c */
void engine_answer_begin(struct engine_job *job);
int engine_answer_token(struct engine_job *job, const struct model_token *t);
/* Calls back, for the last time. */
void engine_answer_end(struct engine_job *job, enum engine_finish why,
                       const struct err *err);

#endif
