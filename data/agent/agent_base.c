/*
 * agent_base.c - the base model's training text
 *
 * Chat lines over databases that are made up word by word, a new one for
 * each line, so that nothing can be learnt by heart but how to read a schema
 * and copy from it. The kinds of task are the agent's, the words, the wording
 * and the databases are not. Exercises in copying, sorting and looking up
 * come between. It refuses table names that the agent has.
 */
#include "agent.h"

#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MADE_UP_PERCENT = 40, TWO_WORDS_PERCENT = 4, PERSONAL_PM = 80 };

struct maker {
    struct rng rng;
    struct texts *words, *wording, *pii;
    struct map *taken; /* the agent's tables */
    struct source source;
    struct buf out;
};

/* The beginning of one word and the end of another. */
static void blend(struct maker *m, char *out, size_t size)
{
    static const char *const sections[] = { "tables", "numbers", "texts",
                                            "persons", "words" };
    const char *a =
        texts_pick(m->words, sections[rng_below(&m->rng, 5)], &m->rng);
    const char *b =
        texts_pick(m->words, sections[rng_below(&m->rng, 5)], &m->rng);
    size_t na = strcspn(a, "/"), nb = strcspn(b, "/");
    size_t head = 1 + rng_below(&m->rng, na < 5 ? na : 5);
    size_t tail = 2 + rng_below(&m->rng, 4);

    tail = tail < nb ? tail : nb;
    snprintf(out, size, "%.*s%.*s", (int)head, a, (int)tail, b + nb - tail);
}

static void put_syllables(struct rng *r, char *out, size_t size)
{
    static const char *const heads[] = { "b",  "br", "c",  "ch", "d", "dr",
                                         "f",  "g",  "gr", "h",  "k", "l",
                                         "m",  "n",  "p",  "pl", "r", "s",
                                         "st", "t",  "tr", "v",  "w", "z" };
    static const char *const cores[] = { "a", "e", "i", "o", "u", "ai", "ea" };
    static const char *const tails[] = { "",  "",  "n", "r",  "l",
                                         "s", "t", "m", "nd", "ck" };
    size_t n = 2 + rng_below(r, 2);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(out);
        snprintf(out + at, size - at, "%s%s%s", heads[rng_below(r, 24)],
                 cores[rng_below(r, 7)],
                 i + 1 < n ? "" : tails[rng_below(r, 10)]);
    }
}

/* A word that is in no list: such words can only be copied, piece by piece,
 * and that is what has to be learnt. */
static void make_up(struct maker *m, char *out, size_t size)
{
    if (rng_below(&m->rng, 3))
        blend(m, out, size);
    else
        put_syllables(&m->rng, out, size);
}

static void random_word(struct maker *m, const char *section, char *out,
                        size_t size)
{
    if (rng_below(&m->rng, 100) < MADE_UP_PERCENT)
        make_up(m, out, size);
    else
        snprintf(out, size, "%s", texts_pick(m->words, section, &m->rng));
}

static bool is_free(const struct maker *m, const struct schema *s,
                    const char *name)
{
    if (map_get(m->taken, name, strlen(name)))
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->tables[i].name, name) == 0)
            return false;
    return true;
}

static void name_table(struct maker *m, const struct schema *s, struct table *t)
{
    char word[64];
    do {
        if (rng_below(&m->rng, 100) < MADE_UP_PERCENT) {
            make_up(m, word, 24);
            memcpy(t->one, word, strlen(word) + 1);
            snprintf(t->name, sizeof t->name, "%.24ss", word);
        } else {
            snprintf(word, sizeof word, "%s",
                     texts_pick(m->words, "tables", &m->rng));
            size_t n = strcspn(word, "/");
            snprintf(t->name, sizeof t->name, "%.*s", (int)n, word);
            snprintf(t->one, sizeof t->one, "%.31s", word + n + 1);
        }
    } while (!is_free(m, s, t->name));
}

static void name_column(struct maker *m, const struct table *t,
                        struct column *c)
{
    static const struct {
        char type;
        const char *section;
        unsigned share;
    } kinds[] = {
        { 'n', "numbers", 42 }, { 'w', "texts", 26 }, { 'p', "persons", 12 },
        { 'y', "places", 9 },   { 'd', "dates", 6 },  { 'e', NULL, 2 },
        { 'f', NULL, 1 },       { 'c', NULL, 1 },     { 's', NULL, 1 },
    };
    size_t k = 0;
    char name[32], second[32];

    do {
        unsigned x = (unsigned)rng_below(&m->rng, 100);
        for (k = 0; x >= kinds[k].share; k++)
            x -= kinds[k].share;
        c->type = (enum column_type)kinds[k].type;
        if (!kinds[k].section) {
            snprintf(c->name, sizeof c->name, "%s",
                     c->type == 'e'   ? "email"
                     : c->type == 'f' ? "phone"
                     : c->type == 'c' ? "card"
                                      : "ssn");
            continue;
        }
        random_word(m, kinds[k].section, name, sizeof name);
        random_word(m, "texts", second, sizeof second);
        if (rng_below(&m->rng, 100) < TWO_WORDS_PERCENT)
            snprintf(c->name, sizeof c->name, "%.18s_%.18s", second, name);
        else
            snprintf(c->name, sizeof c->name, "%s", name);
    } while (schema_find(t, c->name) >= 0);
}

static void make_schema(struct maker *m, struct schema *s)
{
    *s = (struct schema){ .name = "made" };
    size_t n = 2 + (rng_below(&m->rng, 3) == 0);
    while (s->count < n) {
        struct table *t = &s->tables[s->count];
        *t = (struct table){ .refers = -1, .count = 1 };
        name_table(m, s, t);
        t->columns[0] = (struct column){ .name = "id", .type = COLUMN_ID };
        s->count++;
    }
    for (size_t i = 0; i < n; i++) {
        struct table *t = &s->tables[i];
        size_t other = (i + 1) % n, columns = 3 + rng_below(&m->rng, 3);
        bool refers = i + 1 < n || (n > 2 && rng_below(&m->rng, 2));
        size_t at = 1 + rng_below(&m->rng, columns - 1);
        while (t->count < columns) {
            struct column *c = &t->columns[t->count];
            if (refers && t->count == at) {
                struct table target = s->tables[other];
                snprintf(c->name, sizeof c->name, "%s_id", target.one);
                c->type = COLUMN_REF;
                t->refers = (int)other;
            } else {
                name_column(m, t, c);
            }
            t->count++;
        }
    }
}

static void put_turn(struct json_writer *w, const char *role,
                     const struct buf *text)
{
    json_begin_object(w, NULL);
    json_put_string(w, "role", role);
    json_put_slice(w, "content", buf_slice(text));
    json_end_object(w);
}

static void begin_line(struct maker *m, struct json_writer *w,
                       const char *system)
{
    struct buf text = { 0 };

    json_writer_init(w, &m->out, false);
    json_begin_object(w, NULL);
    json_begin_array(w, "messages");
    buf_str(&text, system);
    put_turn(w, "system", &text);
    buf_release(&text);
}

static void end_line(struct maker *m, struct json_writer *w)
{
    json_end_array(w);
    json_end_object(w);
    buf_char(&m->out, '\n');
}

static void put_user(struct maker *m, enum task task, const struct turn *t,
                     bool first, struct buf *out)
{
    if (task == TASK_RERANK) {
        buf_printf(out, "%s\n",
                   texts_pick(m->wording, "head_columns", &m->rng));
        turn_candidates(t, out);
        buf_str(out, "\n");
    } else if (task != TASK_RESEARCH && first) {
        buf_str(out, texts_pick(m->wording, "head_schema", &m->rng));
        buf_char(out, '\n');
        schema_render(t->schema, out);
        buf_char(out, '\n');
    }
    buf_printf(out, "%s ", texts_pick(m->wording, "head_ask", &m->rng));
    if (task == TASK_RESEARCH) {
        prose_ask(t, out);
        buf_printf(out, "\n%s", t->findings.data);
    } else {
        buf_add_slice(out, buf_slice(&t->question));
    }
    if (t->note.len)
        buf_printf(out, "\n%s", t->note.data);
}

static void put_round(struct maker *m, struct json_writer *w, enum task task,
                      const struct turn *t, bool first)
{
    struct buf user = { 0 }, answer = { 0 }, message = { 0 };

    put_user(m, task, t, first, &user);
    put_turn(w, "user", &user);
    if (task == TASK_FIX) {
        buf_printf(&message, "Error: %s", t->message.data);
        log_put_tool_turn(w, t->broken.data, message.data, 0, true);
    }
    if (task == TASK_RESEARCH)
        prose_write(t, &m->rng, false, &answer);
    else
        task_gold(task, t, &answer);
    put_turn(w, "assistant", &answer);
    buf_release(&user);
    buf_release(&answer);
    buf_release(&message);
}

/* Several questions about one database: what is to be read stays, so each
 * answer costs less. */
static void put_task(struct maker *m, enum task task)
{
    static const size_t most[TASKS] = { 6, 4, 6, 4, 2 };
    struct schema s;
    struct json_writer w;
    char section[32];
    size_t rounds = 1 + rng_below(&m->rng, most[task]);

    snprintf(section, sizeof section, "sys_%s", task_names[task]);
    begin_line(m, &w, texts_pick(m->wording, section, &m->rng));
    make_schema(m, &s);
    for (size_t i = 0; i < rounds;) {
        struct turn t;
        turn_make(&s, &m->source, rng_next(&m->rng), &t);
        t.asks_tool = false;
        if (task != TASK_RERANK || t.candidate_count >= 3)
            put_round(m, &w, task, &t, i++ == 0);
        turn_release(&t);
        if (task == TASK_RERANK)
            make_schema(m, &s);
    }
    end_line(m, &w);
}

struct word {
    char text[32];
};

static void make_words(struct maker *m, struct word *w, size_t n)
{
    static const char *const sections[] = { "words",  "numbers", "texts",
                                            "cities", "people",  "persons" };
    for (size_t i = 0; i < n; i++)
        random_word(m, sections[rng_below(&m->rng, 6)], w[i].text,
                    sizeof w[i].text);
}

static int word_order(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    return strcmp(x->text, y->text);
}

enum exercise { COPY, JSON_LIST, LOOK_UP, NEXT, SORT, QUOTED, EXERCISES };

static void put_answer(enum exercise kind, const struct word *w, size_t n,
                       size_t at, struct buf *out)
{
    struct word sorted[8];

    switch (kind) {
    case COPY:
    case JSON_LIST:
    case SORT:
        memcpy(sorted, w, n * sizeof *w);
        if (kind == SORT)
            qsort(sorted, n, sizeof *sorted, word_order);
        buf_str(out, kind == JSON_LIST ? "[" : "");
        for (size_t i = 0; i < n; i++)
            buf_printf(out, kind == JSON_LIST ? "%s\"%s\"" : "%s%s",
                       i ? ", " : "", sorted[i].text);
        buf_str(out, kind == JSON_LIST ? "]" : "");
        break;
    case LOOK_UP: buf_printf(out, "%zu", at + 1); break;
    case NEXT: buf_str(out, w[at + 1].text); break;
    default: buf_printf(out, "'%s'", w[at].text);
    }
}

static void put_exercise(struct maker *m)
{
    static const char *const systems[EXERCISES] = {
        "Copy the words.",
        "Write the words as a JSON array.",
        "Give the number of the word.",
        "Which word comes next?",
        "Sort the words.",
        "Put the word in quotes.",
    };
    enum exercise kind = (enum exercise)rng_below(&m->rng, EXERCISES);
    if (kind == SORT && rng_below(&m->rng, 4))
        kind = COPY;
    struct json_writer w;
    struct buf user = { 0 }, answer = { 0 };
    size_t rounds = 1 + rng_below(&m->rng, 4);

    begin_line(m, &w, systems[kind]);
    for (size_t k = 0; k < rounds; k++) {
        struct word words[8];
        size_t n = kind == SORT ? 3 : 3 + rng_below(&m->rng, 5);
        size_t at = rng_below(&m->rng, n - 1);

        make_words(m, words, n);
        buf_reset(&user);
        buf_reset(&answer);
        for (size_t i = 0; i < n; i++)
            buf_printf(&user, kind == LOOK_UP ? "%s%s: %zu" : "%s%s",
                       i ? ", " : "", words[i].text, i + 1);
        if (kind == LOOK_UP || kind == NEXT || kind == QUOTED)
            buf_printf(&user, "\nWord: %s", words[at].text);
        put_answer(kind, words, n, at, &answer);
        put_turn(&w, "user", &user);
        put_turn(&w, "assistant", &answer);
    }
    end_line(m, &w);
    buf_release(&user);
    buf_release(&answer);
}

static void put_random(struct maker *m)
{
    unsigned x = (unsigned)rng_below(&m->rng, 100);

    if (x < 36)
        put_task(m, TASK_WRITE);
    else if (x < 51)
        put_task(m, TASK_EXTRACT);
    else if (x < 65)
        put_task(m, TASK_RERANK);
    else if (x < 83)
        put_task(m, TASK_FIX);
    else if (x < 86)
        put_task(m, TASK_RESEARCH);
    else
        put_exercise(m);
}

static int maker_open(struct maker *m, const char *data, struct err *err)
{
    struct schemas agent = { 0 };
    int rc = texts_load(data, "base_words.txt", &m->words, err);

    m->taken = map_new();
    if (rc == 0)
        rc = texts_load(data, "base_wording.txt", &m->wording, err);
    if (rc == 0)
        rc = texts_load(data, "pii.txt", &m->pii, err);
    if (rc == 0)
        rc = schemas_load(data, "schemas.txt", &agent, err);
    for (size_t i = 0; rc == 0 && i < agent.count; i++)
        for (size_t k = 0; k < agent.items[i].count; k++) {
            const char *name = agent.items[i].tables[k].name;
            map_put(m->taken, name, strlen(name), NULL);
        }
    schemas_release(&agent);
    return rc;
}

/* About what the recipe reads in one pass. */
#define BASE_BYTES ((size_t)56 << 20)

int base_write(const struct base_options *opt, struct err *err)
{
    struct maker m = { 0 };
    int rc = maker_open(&m, opt->data, err);

    if (rc == 0) {
        rng_init(&m.rng, opt->seed + 0x6261736500);
        prose_use(m.wording);
        m.source = (struct source){ m.wording, m.words, m.pii, PERSONAL_PM };
        while (m.out.len < (opt->bytes ? opt->bytes : BASE_BYTES))
            put_random(&m);
        rc = io_write_file(opt->out, m.out.data, m.out.len, 0644, err);
    }
    texts_free(m.words);
    texts_free(m.wording);
    texts_free(m.pii);
    map_free(m.taken);
    buf_release(&m.out);
    return rc;
}
