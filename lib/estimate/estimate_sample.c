/* estimate_sample.c - the requests with the lowest hashes */
#include "estimate/estimate_sample.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

void sample_init(struct sample *s, size_t size)
{
    *s = (struct sample){ .size = size,
                          .index = map_new(),
                          .limit = UINT64_MAX };
}

static void entry_release(struct sample_entry *e)
{
    tasks_prompt_release(&e->prompt);
    free(e->response);
}

void sample_release(struct sample *s)
{
    for (size_t i = 0; i < s->count; i++)
        entry_release(&s->entries[i]);
    free(s->entries);
    map_free(s->index);
}

struct sample_entry *sample_find(const struct sample *s, uint64_t key)
{
    const uint64_t *at = map_get(s->index, &key, sizeof(key));

    return at ? &s->entries[*at] : NULL;
}

static int compare_entries(const void *a, const void *b)
{
    const struct sample_entry *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

void sample_cut(struct sample *s)
{
    if (s->count)
        qsort(s->entries, s->count, sizeof(*s->entries), compare_entries);
    if (s->count > s->size)
        s->limit = s->entries[s->size - 1].key;
    while (s->count > s->size)
        entry_release(&s->entries[--s->count]);
    map_clear(s->index);
    for (size_t i = 0; i < s->count; i++)
        *map_put(s->index, &s->entries[i].key, sizeof(uint64_t), NULL) = i;
}

struct sample_entry *sample_add(struct sample *s, uint64_t key)
{
    struct sample_entry *e;

    if (s->count >= s->size + s->size / 4 + 1)
        sample_cut(s);
    mem_grow((void **)&s->entries, &s->cap, s->count + 1, sizeof(*e));
    *map_put(s->index, &key, sizeof(key), NULL) = s->count;
    e = &s->entries[s->count++];
    *e = (struct sample_entry){ .key = key };
    return e;
}

void sample_answer(struct sample_entry *e, uint64_t answer)
{
    for (size_t i = 0; i < SAMPLE_ANSWERS; i++)
        if (e->times[i] == 0 || e->answer[i] == answer) {
            e->answer[i] = answer;
            e->times[i]++;
            return;
        }
    e->others++; /* each taken as an answer of its own */
}

double sample_same(const struct sample_entry *e)
{
    double n = e->others, pairs = 0;

    for (size_t i = 0; i < SAMPLE_ANSWERS; i++) {
        n += e->times[i];
        pairs += (double)e->times[i] * ((double)e->times[i] - 1);
    }
    return n < 2 ? (double)NAN : pairs / (n * (n - 1));
}
