/*
 * engine.h - chat requests answered by one base model and its adapters
 *
 * Texts around a session of lib/model: one thread decodes, one prepares
 * prompts and forms, any thread submits. The queue is bounded, and what fails,
 * fails alone. It knows neither HTTP nor where a request came from.
 * May use: base json crypto stats compute weights tokenizer constrain jinja
 * template model.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "base/buf.h"
#include "base/err.h"
#include "compute/compute.h"
#include "model/model.h"
#include "stats/stats.h"
#include "template/template.h"

#include <stdint.h>

#define ENGINE_STOPS 16       /* stop texts of a request */
#define ENGINE_STOP_BYTES 256 /* of each */
#define ENGINE_TOP 20         /* top_logprobs */
#define ENGINE_CALL_PREFIX 64 /* bytes of call_prefix, its NUL too */
#define ENGINE_FORMS 64       /* forms that are kept */

/* What answers: the base, or an adapter over it (a PEFT directory). */
struct engine_model {
    const char *name; /* for messages */
    const char *adapter;
};
struct model_prefixes_options;
struct engine_options {
    const char *dir;      /* the base: weights, tokenizer, template */
    enum model_kept kept; /* how its matrices are kept */
    const struct engine_model *models;
    size_t count;
    struct compute *compute;      /* the engine's alone while it is open */
    size_t slots;                 /* 0: 16 */
    size_t queue;                 /* requests that wait; 0: 64 */
    size_t cache_bytes, capacity; /* as in model_session_options */
    int64_t default_tokens;       /* where a request does not say; 0: 1,024 */
    /* Of the forms that are kept; those that answers are made with may take
     * more. 0: 256 MiB. */
    size_t form_bytes;
    bool unconstrained; /* answers keep to no forms */
    bool plain;         /* no drafts, as in model_session_options */
    /* Files of what prompts begin with; NULL: none. */
    const struct model_prefixes_options *prefixes;
};
struct engine;
MUST_CHECK int engine_open(const struct engine_options *o, struct engine **out,
                           struct err *err);
/* Ends what waits or runs with ENGINE_STOPPED; who waits in
 * engine_models_load or engine_reload gets ERR_BUSY. No other call may begin
 * once this has. Sets of models go with it. NULL is fine. */
void engine_close(struct engine *e);

/* Other models over the same base, beside those that are there. Waits for the
 * pass that runs; any thread but the callbacks'. */
struct engine_models;
MUST_CHECK int engine_models_load(struct engine *e,
                                  const struct engine_model *models,
                                  size_t count, struct engine_models **out,
                                  struct err *err);
/* Once more to drop. Any thread. */
void engine_models_hold(struct engine *e, struct engine_models *m);
/* For who loaded it: no request names it from now on; those that did keep it.
 * Any thread, does not wait. NULL is fine. */
void engine_models_drop(struct engine *e, struct engine_models *m);
/* Loads models for requests that name no set, from now on; those before keep
 * theirs. On failure nothing has changed. */
MUST_CHECK int engine_reload(struct engine *e,
                             const struct engine_model *models, size_t count,
                             struct err *err);

/* A call comes as its id, its name, then its arguments (JSON), whole. */
enum engine_piece {
    ENGINE_TEXT,
    ENGINE_THOUGHT,
    ENGINE_CALL_ID,
    ENGINE_CALL_NAME,
    ENGINE_CALL_ARGUMENTS
};
enum engine_finish {
    ENGINE_STOP,
    ENGINE_LENGTH,
    ENGINE_TOOL_CALLS,
    ENGINE_MALFORMED, /* it began a call that is none; the message has it as
                       * text */
    ENGINE_CANCELLED,
    ENGINE_FAILED,
    ENGINE_STOPPED
};
struct engine_usage {
    size_t prompt, cached, completion;
    int64_t queue_us, first_us, total_us; /* since it was submitted */
    struct slice stop; /* the text to stop at that ended it; empty: none */
};
/* Log probabilities of a token and of the likeliest. bytes: what it adds to
 * the text, empty for special ones. */
struct engine_chance {
    struct slice bytes;
    float logp;
};
struct engine_logprob {
    struct engine_chance chosen;
    const struct engine_chance *top;
    size_t top_count;
};

struct engine_request {
    /* An OpenAI chat request in JSON: messages, tools, tool_choice,
     * parallel_tool_calls, response_format, stop, seed, temperature (without
     * one: 0), top_p, max_tokens, max_completion_tokens, logprobs,
     * top_logprobs; others are not looked at. Copied. */
    struct slice chat;
    /* A prompt that is gone on with as it is; the settings are chat's, which
     * needs no messages then. Its p NULL: a chat. */
    struct slice raw_prompt;
    struct engine_models *models; /* NULL: the options', or the last reload's */
    size_t model;                 /* its index among them */
    /* What answers of this task are where the request does not say; NULL:
     * nothing is known. Copied. */
    const struct template_content *content;
    const char *call_prefix; /* of the ids of calls; NULL: "call_" */
    bool whole;              /* no pieces, the end alone */
    /* May be NULL. Texts are whole characters; together they are what the
     * message says. With tools, or a template that thinks, they come at the
     * end. lp: of the tokens since the last piece, where asked for. */
    void (*piece)(void *ctx, enum engine_piece kind, size_t call,
                  struct slice text, const struct engine_logprob *lp,
                  size_t lp_count);
    /* Once for each request that was taken. message: an assistant message in
     * JSON, of what there is; err: why, or NULL. */
    void (*end)(void *ctx, enum engine_finish why, struct slice message,
                const struct engine_usage *u, const struct stats_signals *s,
                const struct err *err);
    void *ctx;
};
/* From any thread. Callbacks come from the engine's own thread, which they must
 * not keep waiting; they may submit and cancel. ERR_LIMIT: the queue is full,
 * *retry_ms says when there may be room. ERR_INVALID, ERR_UNSUPPORTED,
 * ERR_FORMAT: the request; the message begins with the field. */
MUST_CHECK int engine_submit(struct engine *e, const struct engine_request *r,
                             uint64_t *id, int64_t *retry_ms, struct err *err);
/* From any thread: it ends with ENGINE_CANCELLED, unless it has ended. */
void engine_cancel(struct engine *e, uint64_t id);

struct engine_stats {
    size_t waiting, active, slots;
    uint64_t prompt_tokens, cached_tokens, generated, passes, refused;
    uint64_t drafted, accepted;
    /* Forms that are kept, what they hold, and how many were made so far. */
    size_t forms, form_bytes;
    uint64_t forms_made;
};
/* Tokens that a prompt and its answer may have together. Any thread. */
size_t engine_context(const struct engine *e);
void engine_stats(struct engine *e, struct engine_stats *out);

#endif
