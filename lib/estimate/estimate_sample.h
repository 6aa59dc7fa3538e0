/* estimate_sample.h - a bounded sample of distinct requests; nobody outside
 * this module includes it */
#ifndef ESTIMATE_SAMPLE_H
#define ESTIMATE_SAMPLE_H

#include "base/map.h"
#include "tasks/tasks.h"

#define SAMPLE_ANSWERS 8 /* different ones that are told apart */

struct sample_entry {
    uint64_t key; /* hash of the request */
    double calls, tokens_in, tokens_out, dollars, longest;
    struct tasks_prompt prompt;
    char *response; /* OpenAI chat; NULL: too long or none */
    uint64_t answer[SAMPLE_ANSWERS];
    uint32_t times[SAMPLE_ANSWERS];
    uint32_t others;
};

/* The requests whose hashes are the lowest: each is drawn with the same
 * chance, whatever its place and its number of calls, and from its first call
 * on. */
struct sample {
    struct sample_entry *entries;
    size_t count, cap, size;
    struct map *index;
    uint64_t limit; /* hashes above are not kept */
};

void sample_init(struct sample *s, size_t size);
void sample_release(struct sample *s);
/* NULL: not in the sample so far. May be asked by many threads. */
struct sample_entry *sample_find(const struct sample *s, uint64_t key);
/* A new one; pointers to others are void. */
struct sample_entry *sample_add(struct sample *s, uint64_t key);
/* Down to `size`, in the order of their hashes. */
void sample_cut(struct sample *s);
void sample_answer(struct sample_entry *e, uint64_t answer);
/* Share of the pairs of calls with the same answer; NaN: one call. */
double sample_same(const struct sample_entry *e);

#endif
