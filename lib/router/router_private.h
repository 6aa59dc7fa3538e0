/* router_private.h - champions and the memory of requests, shared by files */
#ifndef ROUTER_PRIVATE_H
#define ROUTER_PRIVATE_H

#include "crypto/crypto.h"
#include "router/router.h"

#include <pthread.h>

/* Columns of a head, and their values: the vector's, then the signals'. */
size_t router_columns(bool prompts, bool answers);
void router_columns_fill(const float *vector, const struct stats_signals *s,
                         float *x);

/* A head over x[n, router_columns()]. */
int router_columns_fit(const float *x, const double *y, size_t n, bool prompts,
                       bool answers, double *w, struct err *err);

/* router_cross.c: items, what was wrong of them, and their folds. */
#define ROUTER_FOLDS 5
#define ROUTER_LEVEL 0.9 /* of limits, one-sided */
struct router_cross {
    const struct router_item *item;
    size_t n;
    double *y;           /* [n] wrong: 1 - slm */
    unsigned char *fold; /* [n] */
    bool prompts;
    struct err *err;
};
void router_cross_deal(struct router_cross *x);
bool router_cross_is_even(const struct router_cross *x);
/* The head of all items. answers: with signals, not of the prompt alone. */
int router_cross_head(const struct router_cross *x, bool answers, double *head);
/* raw[n]: what heads of other folds say, as one of all items would. */
int router_cross_single(const struct router_cross *x, bool answers,
                        double *raw);
/* P(wrong) of each answer, by heads and steps of other folds alone. */
int router_cross_nested(const struct router_cross *x, double *p);

/* Requests whose system prompt, tools and format were seen, by their bytes. */
#define ROUTER_KEY 16
#define ROUTER_MEMO 4096
#define ROUTER_MEMO_WAYS 4
struct router_memo {
    struct {
        unsigned char key[ROUTER_KEY];
        int64_t task; /* 0: the place is free */
        float novelty;
        uint64_t used;
    } entry[ROUTER_MEMO];
    uint64_t time;
    pthread_mutex_t lock;
};
struct router_memo *router_memo_new(void);
void router_memo_free(struct router_memo *m); /* NULL is fine */
int64_t router_memo_get(struct router_memo *m, const unsigned char *key,
                        float *novelty);
void router_memo_put(struct router_memo *m, const unsigned char *key,
                     int64_t task, float novelty);
/* Of the bytes that decide a task for all requests that share them. */
void router_request_key(const struct crypto_key *by, const struct json *j,
                        json_ref request, unsigned char *key);

#define ROUTER_PREFIX 32
struct router_champion {
    int64_t task, model;
    char *task_name, *task_kind, *model_name;
    double expected;            /* NaN: no evaluation */
    char prefix[ROUTER_PREFIX]; /* of the ids of its tool calls */
    enum router_mode mode;
    double percent;
    bool stepped_back, is_calibrated;
    size_t context; /* tokens; 0: unknown */
    struct router_calibration calibration;
};

struct router {
    struct tasks_index *index; /* NULL: no tasks */
    bool one_at_a_time;        /* the embedder is not for two threads */
    pthread_mutex_t lock;
    struct router_champion *champion;
    size_t champions, cap;
    double audit, novelty, gap;
    struct crypto_key key;
    struct router_memo *memo;
};

/* NULL: none. */
const struct router_champion *router_champion_of(const struct router *r,
                                                 int64_t task);
const struct router_champion *router_champion_model(const struct router *r,
                                                    int64_t model);

#endif
