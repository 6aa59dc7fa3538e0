/*
 * tasks_payload.c - how far a text is from those that share no template
 *
 * Where calls have neither a system prompt nor a template in common, only
 * their words can tell that another job came. A word counts by its rarity, and
 * what is far is learnt from the calls themselves, each held against the
 * others: 0.5 is what one call in fifty of them reaches.
 */
#include "tasks/tasks_private.h"

#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define USUAL_SHARE 0.98 /* of the calls are nearer than 0.5 */
#define USUAL_LEAST 0.3F /* a new name or two is usual */
#define USUAL_MOST 0.9F

static int compare_buckets(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The different words of the user's text. Caller frees. */
static uint32_t *buckets_of(const struct tasks_prompt *p, size_t *count)
{
    size_t n = p->tokens > p->user_at ? p->tokens - p->user_at : 0, kept = 0;
    uint32_t *b = mem_array(n + 1, sizeof(*b));

    for (size_t i = 0; i < n; i++) {
        const uint32_t *token = &p->token[p->user_at + i];
        uint64_t h = hash_stable(token, sizeof(*token), 13);

        b[i] = (uint32_t)((h ^ h >> 31) % TASKS_PAYLOAD_BUCKETS);
    }
    qsort(b, n, sizeof(*b), compare_buckets);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || b[i] != b[kept - 1])
            b[kept++] = b[i];
    *count = kept;
    return b;
}

/* 0: no call has the word; 255: all have. */
static unsigned char level_of(uint32_t calls, size_t n)
{
    return (unsigned char)ceil(255 * log1p(calls) / log1p((double)n));
}

/* Share of the unknown among the words, by rarity. */
static float unknown_of(const struct tasks_prompt *p,
                        unsigned char (*level)(const void *ctx,
                                               uint32_t bucket),
                        const void *ctx)
{
    double unknown = 0, all = 0;
    size_t count;
    uint32_t *b = buckets_of(p, &count);

    for (size_t i = 0; i < count; i++) {
        unsigned char l = level(ctx, b[i]);

        unknown += l == 0;
        all += 1 - l / 255.0;
    }
    free(b);
    return all > 0 ? (float)(unknown / all) : 0;
}

struct counted {
    const uint32_t *calls;
    size_t n;
};

/* For a text that is one of those counted, which then does not count. */
static unsigned char level_counted(const void *ctx, uint32_t bucket)
{
    const struct counted *c = ctx;

    return level_of(c->calls[bucket] - 1, c->n - 1);
}

static unsigned char level_known(const void *ctx, uint32_t bucket)
{
    return ((const unsigned char *)ctx)[bucket];
}

void tasks_payload_fit(const struct tasks_prompt *const *p, size_t n,
                       struct tasks_payload *out)
{
    uint32_t *calls = mem_zalloc(TASKS_PAYLOAD_BUCKETS * sizeof(*calls));
    float *far = mem_array(n + 1, sizeof(*far));
    struct counted counted = { calls, n };

    for (size_t i = 0; i < n; i++) {
        size_t count;
        uint32_t *b = buckets_of(p[i], &count);

        for (size_t k = 0; k < count; k++)
            calls[b[k]]++;
        free(b);
    }
    for (size_t i = 0; i < n; i++)
        far[i] = n > 1 ? unknown_of(p[i], level_counted, &counted) : 1;
    qsort(far, n, sizeof(*far), compare_floats);
    out->usual = n ? far[(size_t)(USUAL_SHARE * (double)(n - 1))] : 1;
    out->usual = fminf(USUAL_MOST, fmaxf(USUAL_LEAST, out->usual));
    out->level = mem_alloc(TASKS_PAYLOAD_BUCKETS);
    for (size_t i = 0; i < TASKS_PAYLOAD_BUCKETS; i++)
        out->level[i] = level_of(calls[i], n);
    free(calls);
    free(far);
}

float tasks_payload_novelty(const struct tasks_payload *w,
                            const struct tasks_prompt *p)
{
    float u = unknown_of(p, level_known, w->level);

    return u <= w->usual ? u / w->usual / 2
                         : 0.5F + (u - w->usual) / (1 - w->usual) / 2;
}

void tasks_payload_release(struct tasks_payload *w)
{
    free(w->level);
    *w = (struct tasks_payload){ 0 };
}
