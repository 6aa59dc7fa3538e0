/*
 * agent_schema.c - the agent's databases, from a text file
 *
 * "orders/order: customer_id>customers total:n" is a table; each starts with
 * an id column that is not written.
 */
#include "agent.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int schema_find(const struct table *t, const char *column)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->columns[i].name, column) == 0)
            return (int)i;
    return -1;
}

static bool parse_column(struct table *t, char *word, char *refers,
                         size_t refers_size)
{
    struct column *c = &t->columns[t->count];
    char *mark = strpbrk(word, ":>");
    if (!mark || t->count == MAX_COLUMNS || mark - word >= 40)
        return false;
    c->type = *mark == '>' ? COLUMN_REF : (enum column_type)mark[1];
    if (*mark == '>')
        snprintf(refers, refers_size, "%s", mark + 1);
    *mark = '\0';
    snprintf(c->name, sizeof c->name, "%s", word);
    t->count++;
    return true;
}

static bool parse_table(struct table *t, const char *line, char *refers,
                        size_t refers_size)
{
    char text[256], *rest, *word;

    snprintf(text, sizeof text, "%s", line);
    char *colon = strstr(text, ": ");
    char *slash = strchr(text, '/');
    if (!colon || !slash || slash > colon || slash - text >= 32 ||
        colon - slash > 32)
        return false;
    *colon = *slash = '\0';
    *t = (struct table){ .refers = -1, .count = 1 };
    memcpy(t->name, text, strlen(text) + 1);
    memcpy(t->one, slash + 1, strlen(slash + 1) + 1);
    t->columns[0] = (struct column){ .name = "id", .type = COLUMN_ID };
    for (word = strtok_r(colon + 2, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        if (!parse_column(t, word, refers, refers_size))
            return false;
    return true;
}

static bool parse_schema(const struct texts *t, const char *name,
                         struct schema *s)
{
    char refers[MAX_TABLES][32] = { "" };

    *s = (struct schema){ .rare = strstr(name, " rare") != NULL };
    snprintf(s->name, sizeof s->name, "%.*s", (int)strcspn(name, " "), name);
    size_t lines = texts_count(t, name);
    if (lines == 0 || lines > MAX_TABLES)
        return false;
    for (; s->count < lines; s->count++)
        if (!parse_table(&s->tables[s->count], texts_line(t, name, s->count),
                         refers[s->count], sizeof refers[0]))
            return false;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->count; k++)
            if (strcmp(refers[i], s->tables[k].name) == 0)
                s->tables[i].refers = (int)k;
    return true;
}

int schemas_load(const char *dir, const char *name, struct schemas *out,
                 struct err *err)
{
    struct texts *t = NULL;
    int rc = texts_load(dir, name, &t, err);
    if (rc != 0)
        return rc;
    struct schemas s = { .count = texts_sections(t) };
    s.items = mem_array(s.count, sizeof *s.items);
    for (size_t i = 0; rc == 0 && i < s.count; i++)
        if (!parse_schema(t, texts_section(t, i), &s.items[i]))
            rc = err_set(err, ERR_FORMAT, "%s/%s: bad table in [%s]", dir, name,
                         texts_section(t, i));
    texts_free(t);
    if (rc != 0)
        schemas_release(&s);
    else
        *out = s;
    return rc;
}

/* "old new" of the section, put in place of a name that is the old one. */
static void change_name(const struct texts *t, const char *section, char *name,
                        size_t size)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < texts_count(t, section); i++) {
        const char *line = texts_line(t, section, i);
        if (strncmp(line, name, n) == 0 && line[n] == ' ') {
            snprintf(name, size, "%s", line + n + 1);
            return;
        }
    }
}

int schemas_change(const char *dir, const char *name, struct schemas *s,
                   struct err *err)
{
    struct texts *t = NULL;
    int rc = texts_load(dir, name, &t, err);

    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        s->items[i].changed = true;
        for (size_t k = 0; k < s->items[i].count; k++) {
            struct table *at = &s->items[i].tables[k];
            change_name(t, "names", at->name, sizeof at->name);
            change_name(t, "names", at->one, sizeof at->one);
            for (size_t c = 1; c < at->count; c++)
                change_name(t, "names", at->columns[c].name,
                            sizeof at->columns[c].name);
        }
    }
    texts_free(t);
    return rc;
}

void schemas_release(struct schemas *s)
{
    free(s->items);
    *s = (struct schemas){ 0 };
}

void schema_render(const struct schema *s, struct buf *out)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct table *t = &s->tables[i];
        buf_printf(out, "%s(", t->name);
        for (size_t c = 0; c < t->count; c++)
            buf_printf(out, "%s%s", c ? ", " : "", t->columns[c].name);
        buf_str(out, ")\n");
    }
}
