/* tasks_describe.c - what clusters are, for those who have no store */
#include "tasks/tasks_answer.h"
#include "tasks/tasks_label.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

static char *unique(struct map *names, char *slug)
{
    bool fresh;
    uint64_t *count = map_put(names, slug, strlen(slug), &fresh);
    char *name;

    ++*count;
    if (fresh)
        return slug;
    name = mem_printf("%s-%llu", slug, (unsigned long long)*count);
    free(slug);
    return name;
}

/* The members of one cluster, gathered in p and a. */
static void describe(const struct tasks_prompt *const *p,
                     const struct tasks_answer *const *a, size_t n,
                     const struct tasks_words *words, struct map *names,
                     struct tasks_summary *out)
{
    struct buf text = { 0 };
    struct json_writer w;
    struct tasks_label label;

    json_writer_init(&w, &text, false);
    json_begin_object(&w, NULL);
    tasks_label_make(p, n, words, &w, &label);
    out->kind = tasks_answers_kind(a, n, &w);
    json_end_object(&w);
    out->name = unique(names, mem_strdup(label.name));
    out->repetitive = label.repetitive;
    out->members = n;
    tasks_label_release(&label);
    buf_release(&text);
}

void tasks_describe(const struct tasks_prompt *const *p,
                    const struct slice *response, const uint32_t *cluster,
                    size_t n, struct tasks_summary *out, size_t clusters)
{
    struct tasks_answer *read = mem_zalloc((n + 1) * sizeof(*read));
    const struct tasks_answer **a = mem_array(n + 1, sizeof(*a));
    const struct tasks_prompt **q = mem_array(n + 1, sizeof(*q));
    struct tasks_words words = { 0 };
    struct map *names = map_new();

    for (size_t i = 0; i < n; i++) {
        tasks_answer_read(response[i], &read[i]);
        tasks_words_add(&words, p[i]);
    }
    for (size_t c = 0; c < clusters; c++) {
        size_t m = 0;

        out[c] = (struct tasks_summary){ 0 };
        for (size_t i = 0; i < n; i++)
            if (cluster[i] == c) {
                q[m] = p[i];
                a[m++] = &read[i];
            }
        if (m)
            describe(q, a, m, &words, names, &out[c]);
        else
            out[c].name = mem_strdup("");
    }
    for (size_t i = 0; i < n; i++)
        tasks_answer_release(&read[i]);
    tasks_words_release(&words);
    map_free(names);
    free(read);
    free(a);
    free(q);
}
