/*
 * agent_text.c - lists of lines under [section] headers
 *
 * The generator's words live in text files, so that they can be read and
 * changed without touching C. A '#' line is a comment.
 */
#include "agent.h"

#include "base/io.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX_BYTES ((size_t)1 << 20)

struct section {
    char *name;
    char **lines;
    size_t count, cap;
};

struct texts {
    struct section *sections;
    size_t count, cap;
};

static void add_line(struct texts *t, const char *line, size_t n)
{
    if (line[0] == '[' && line[n - 1] == ']') {
        mem_grow((void **)&t->sections, &t->cap, t->count + 1,
                 sizeof *t->sections);
        t->sections[t->count++] =
            (struct section){ .name = mem_strndup(line + 1, n - 2) };
        return;
    }
    struct section *s = &t->sections[t->count - 1];
    mem_grow((void **)&s->lines, &s->cap, s->count + 1, sizeof *s->lines);
    s->lines[s->count++] = mem_strndup(line, n);
}

int texts_load(const char *dir, const char *name, struct texts **out,
               struct err *err)
{
    struct buf text = { 0 };
    char *path = io_path(dir, name);
    int rc = io_read_file(path, TEXTS_MAX_BYTES, &text, err);
    struct texts *t = mem_zalloc(sizeof *t);

    size_t number = 0;
    for (char *p = text.data; rc == 0 && p && *p;) {
        size_t n = strcspn(p, "\n");
        number++;
        if (n > 0 && *p != '#') {
            if (t->count == 0 && *p != '[')
                rc = err_set(err, ERR_FORMAT,
                             "%s line %zu: text before the first [section]",
                             path, number);
            else
                add_line(t, p, n);
        }
        p += n + (p[n] == '\n');
    }
    buf_release(&text);
    free(path);
    if (rc != 0) {
        texts_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void texts_free(struct texts *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct section *s = &t->sections[i];
        for (size_t k = 0; k < s->count; k++)
            free(s->lines[k]);
        free(s->lines);
        free(s->name);
    }
    free(t->sections);
    free(t);
}

static const struct section *find(const struct texts *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->sections[i].name, name) == 0)
            return &t->sections[i];
    return NULL;
}

size_t texts_count(const struct texts *t, const char *section)
{
    const struct section *s = find(t, section);
    return s ? s->count : 0;
}

const char *texts_line(const struct texts *t, const char *section, size_t i)
{
    const struct section *s = find(t, section);
    assert(s && i < s->count);
    return s->lines[i];
}

const char *texts_pick(const struct texts *t, const char *section,
                       struct rng *r)
{
    const struct section *s = find(t, section);
    assert(s && s->count > 0);
    return s->lines[rng_below(r, s->count)];
}

size_t texts_sections(const struct texts *t)
{
    return t->count;
}

const char *texts_section(const struct texts *t, size_t i)
{
    assert(i < t->count);
    return t->sections[i].name;
}
