/*
 * model_draft.c - what may come next, looked up in what was said
 *
 * Answers repeat their prompts: names, numbers, whole lines. Where the last
 * tokens stood before, those that followed there are computed beside the next
 * one, and kept if they are what is chosen (prompt look-up, a case of
 * speculative decoding, arXiv 2211.17192). No second model, and no draft where
 * it would cost more than it saves.
 */
#include "model/model_session.h"

#include <math.h>
#include <string.h>

#define MOST 8        /* tokens of one draft */
#define GRAM 3        /* tokens that must have stood before; then one less */
#define FAR 4096      /* tokens back that are looked at */
#define PASS_ROWS 5.0 /* rows that cost what reading the weights does: 4-6 */
#define LEARN 0.15    /* weight of one try */
#define AGAIN 32      /* tokens after which one is tried at least */

size_t session_draft_rows(size_t slots)
{
    return slots < 4 ? 4 * MOST / 2 : 32;
}

/* Where the last `gram` ids stood before, and what follows is known; the
 * latest such place. 0: nowhere. */
static size_t find(const struct session_slot *q, size_t gram)
{
    size_t least = q->known > FAR ? q->known - FAR : 0;
    const int32_t *last;

    if (q->known < gram + 1)
        return 0;
    last = q->ids + q->known - gram;
    for (size_t at = q->known - gram; at-- > least;)
        if (q->ids[at] == last[0] &&
            memcmp(q->ids + at, last, gram * sizeof(*last)) == 0)
            return at + gram;
    return 0;
}

/* How many are worth their rows in a pass of so many others: the last of them
 * is right often enough. */
static size_t worth(struct session_slot *q, size_t rows)
{
    double least = (double)rows / ((double)rows + PASS_ROWS);
    double n = log(least) / log(q->hits);

    if (n >= 1)
        return n < MOST ? (size_t)n : MOST;
    return q->known - q->tried >= AGAIN && rows < AGAIN;
}

/* Ids after q's; how many. */
static size_t put(struct model_session *s, struct session_slot *q, size_t most)
{
    size_t room = q->limit - q->known - 1, from = find(q, GRAM), n = 0;

    if (from == 0)
        from = find(q, GRAM - 1);
    if (from == 0)
        return 0;
    most = most < room ? most : room;
    while (n < most && from + n < q->known) {
        q->ids[q->known + n] = q->ids[from + n];
        n++;
    }
    /* Their rows are turned as those before. */
    if (n > 0 && model_rope_row(s->m, 0, q->known) !=
                     model_rope_row(s->m, 0, q->known + n))
        n = 0;
    return n;
}

void session_draft(struct model_session *s, size_t n, size_t rows)
{
    size_t left = s->tops - s->slot_count;

    if (left > s->pass_rows - rows)
        left = s->pass_rows - rows;
    for (size_t i = 0; i < n && left > 0; i++) {
        struct session_slot *q = s->order[i];
        size_t most;

        if (q->rows != 1 || q->past + 1 != q->known || q->past < q->prompt ||
            q->known + 1 >= q->limit)
            continue;
        most = worth(q, rows);
        if (most == 0)
            continue;
        q->drafts = put(s, q, most < left ? most : left);
        q->rows += q->drafts;
        left -= q->drafts;
        if (q->drafts > 0)
            q->tried = q->known;
    }
}

void session_draft_learn(struct session_slot *q, size_t drafted,
                         size_t accepted)
{
    for (size_t i = 0; i < drafted && i <= accepted; i++)
        q->hits += LEARN * ((i < accepted ? 0.99 : 0.01) - q->hits);
}
