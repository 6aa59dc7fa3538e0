/*
 * names_make.c - sentences made of templates and lists
 *
 * What public texts with labels lack: how people write to agents, forms,
 * letters, and texts without any name. Names come from the lists, or are made
 * of syllables, so that the words around them have to be learnt.
 */
#include "names_tool.h"

#include "base/io.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAKE_FILE_MAX ((size_t)64 << 20)

enum {
    LIST_FEMALE,
    LIST_MALE,
    LIST_LAST,
    LIST_FIRST_ANY,
    LIST_LAST_ANY,
    LIST_CITY,
    LIST_COUNTRY,
    LISTS,
};
static const char *const list_files[LISTS] = {
    "popular_female", "popular_male", "popular_last", "first",
    "last",           "city",         "country",
};

struct lists {
    struct buf text[LISTS];
    struct slice *word[LISTS];
    size_t count[LISTS];
};

static int read_list(struct lists *l, size_t i, const char *folder,
                     struct err *err)
{
    char *path = io_path(folder, list_files[i]);
    int rc = io_read_file(path, MAKE_FILE_MAX, &l->text[i], err);
    struct slice t = buf_slice(&l->text[i]);
    size_t cap = 0;

    free(path);
    for (size_t at = 0; rc == ERR_OK && at < t.n;) {
        const char *end = memchr(t.p + at, '\n', t.n - at);
        size_t n = end ? (size_t)(end - t.p) - at : t.n - at;
        void *all = l->word[i];

        mem_grow(&all, &cap, l->count[i] + 1, sizeof(*l->word[i]));
        l->word[i] = all;
        if (n)
            l->word[i][l->count[i]++] = (struct slice){ t.p + at, n };
        at += n + 1;
    }
    if (rc == ERR_OK && !l->count[i])
        rc = err_set(err, ERR_FORMAT, "%s/%s: no words", folder, list_files[i]);
    return rc;
}

static void lists_release(struct lists *l)
{
    for (size_t i = 0; i < LISTS; i++) {
        buf_release(&l->text[i]);
        free(l->word[i]);
    }
}

struct maker {
    const struct lists *lists;
    struct rng rng;
    struct buf text, label;
    unsigned tag; /* of what is added now; 0: outside */
};

static void put(struct maker *m, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_char(&m->text, p[i]);
        buf_char(&m->label, (char)m->tag);
    }
}

static void put_str(struct maker *m, const char *s)
{
    put(m, s, strlen(s));
}

/* The next word of the same name. */
static void go_on(struct maker *m)
{
    put_str(m, " ");
    if (m->tag & 1)
        m->tag++;
}

static bool chance(struct maker *m, unsigned percent)
{
    return rng_below(&m->rng, 100) < percent;
}

/* A word of the list, "_" as blanks, its first letters as capitals. */
static void put_listed(struct maker *m, size_t list)
{
    struct slice w =
        m->lists->word[list][rng_below(&m->rng, m->lists->count[list])];
    bool begin = true;

    for (size_t i = 0; i < w.n; i++) {
        char c = w.p[i];

        if (c == '_') {
            go_on(m);
            begin = true;
            continue;
        }
        if (begin)
            c = (char)toupper((unsigned char)c);
        put(m, &c, 1);
        begin = c == '-';
    }
}

/* A name that nobody has. */
static void put_made_up(struct maker *m)
{
    static const char *const begin[] = {
        "Ver", "Qua", "Tri", "Nex", "Zor", "Kal", "Mir",  "Bel", "Dra",
        "Fos", "Gri", "Hal", "Jen", "Lum", "Nor", "Pel",  "Ras", "Sol",
        "Tav", "Ulm", "Vis", "Wex", "Yar", "Ald", "Bren", "Cor", "Est",
    };
    static const char *const middle[] = {
        "a",  "e",  "i",   "o",   "u",   "ar", "en", "il",
        "on", "ut", "ina", "ero", "adi", "",   "",   "",
    };
    static const char *const end[] = {
        "tech", "soft", "ex",  "ia",  "um",   "on",     "ix",  "ware",
        "ova",  "sen",  "ski", "vic", "yan",  "dottir", "nen", "ez",
        "ly",   "is",   "er",  "al",  "ston", "by",     "ham", "feld",
    };
    size_t b = sizeof(begin) / sizeof(*begin);

    put_str(m, begin[rng_below(&m->rng, b)]);
    put_str(m, middle[rng_below(&m->rng, sizeof(middle) / sizeof(*middle))]);
    put_str(m, end[rng_below(&m->rng, sizeof(end) / sizeof(*end))]);
}

static void put_first(struct maker *m)
{
    if (chance(m, 8))
        put_made_up(m);
    else if (chance(m, 60))
        put_listed(m, chance(m, 50) ? LIST_FEMALE : LIST_MALE);
    else
        put_listed(m, LIST_FIRST_ANY);
}

static void put_last(struct maker *m)
{
    if (chance(m, 10))
        put_made_up(m);
    else
        put_listed(m, chance(m, 50) ? LIST_LAST : LIST_LAST_ANY);
}

static void put_person(struct maker *m)
{
    char initial[] = { (char)('A' + rng_below(&m->rng, 26)), '.', '\0' };

    if (chance(m, 4)) {
        put_str(m, initial);
    } else {
        put_first(m);
        if (chance(m, 22))
            return;
        if (chance(m, 12)) {
            go_on(m);
            put_str(m, initial);
        }
    }
    go_on(m);
    put_last(m);
    if (chance(m, 4)) {
        go_on(m);
        put_last(m);
    }
}

static void put_organization(struct maker *m)
{
    static const char *const heads[] = {
        "Inc",      "Ltd",       "LLC",        "GmbH",        "Group",
        "Bank",     "Systems",   "Partners",   "Corporation", "Associates",
        "Holdings", "Hospital",  "University", "School",      "Foundation",
        "Airlines", "Insurance", "Solutions",  "Stores",      "& Sons",
    };
    unsigned how = (unsigned)rng_below(&m->rng, 100);

    if (how < 30) {
        put_made_up(m);
        return;
    }
    if (how < 65) {
        if (chance(m, 40))
            put_made_up(m);
        else
            put_listed(m, chance(m, 60) ? LIST_LAST_ANY : LIST_CITY);
        go_on(m);
        put_str(m, heads[rng_below(&m->rng, sizeof(heads) / sizeof(*heads))]);
        return;
    }
    if (how < 75) {
        put_str(m, chance(m, 50) ? "Bank" : "University");
        go_on(m);
        put_str(m, "of ");
        put_listed(m, LIST_CITY);
        return;
    }
    put_last(m);
    if (how < 90) {
        put_str(m, how < 82 ? "," : "");
        go_on(m);
        if (how < 82) {
            put_last(m);
            go_on(m);
        }
        put_str(m, how & 1 ? "and " : "& ");
    } else {
        put_str(m, "-");
    }
    put_last(m);
}

static void put_place(struct maker *m)
{
    if (chance(m, 8))
        put_made_up(m);
    else
        put_listed(m, LIST_CITY);
}

static void put_number(struct maker *m)
{
    size_t n = 1 + rng_below(&m->rng, 5);

    while (n--) {
        char c = (char)('1' + rng_below(&m->rng, 9));

        put(m, &c, 1);
    }
}

/* One letter in braces says what to put there. */
static void put_slot(struct maker *m, char slot)
{
    static const struct {
        char slot;
        unsigned tag;
        void (*put)(struct maker *m);
    } slots[] = {
        { 'P', TAG_B_PERSON, put_person },
        { 'F', TAG_B_PERSON, put_first },
        { 'L', TAG_B_PERSON, put_last },
        { 'G', TAG_B_PLACE, put_place },
        { 'O', TAG_B_ORGANIZATION, put_organization },
        { '9', TAG_O, put_number },
    };

    if (slot == 'N') {
        m->tag = TAG_B_PLACE;
        put_listed(m, LIST_COUNTRY);
    }
    for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++)
        if (slots[i].slot == slot) {
            m->tag = slots[i].tag;
            slots[i].put(m);
        }
    m->tag = TAG_O;
}

static void lower_case(struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        b->data[i] = (char)tolower((unsigned char)b->data[i]);
}

static void make_sentence(struct maker *m, struct names_corpus *c,
                          struct slice t)
{
    unsigned how = (unsigned)rng_below(&m->rng, 100);

    for (size_t i = 0; i < t.n; i++) {
        if (t.p[i] == '{' && i + 2 < t.n && t.p[i + 2] == '}') {
            put_slot(m, t.p[i + 1]);
            i += 2;
        } else if (t.p[i] == '\\' && i + 1 < t.n && t.p[i + 1] == 'n') {
            put(m, chance(m, 50) ? "\n" : " ", 1);
            i++;
        } else {
            put(m, t.p + i, 1);
        }
    }
    if (how < 9)
        lower_case(&m->text);
    names_corpus_add(c, &m->text, &m->label, true, how & 1);
}

int names_corpus_make(struct names_corpus *c, const char *templates,
                      const char *lists, size_t times, uint64_t seed,
                      struct err *err)
{
    struct lists l = { 0 };
    struct maker m = { .lists = &l };
    struct buf text = { 0 };
    int rc = io_read_file(templates, MAKE_FILE_MAX, &text, err);

    rng_init(&m.rng, seed);
    for (size_t i = 0; rc == ERR_OK && i < LISTS; i++)
        rc = read_list(&l, i, lists, err);
    for (size_t at = 0; rc == ERR_OK && at < text.len;) {
        const char *p = text.data + at;
        const char *end = memchr(p, '\n', text.len - at);
        size_t n = end ? (size_t)(end - p) : text.len - at;
        bool slots = memchr(p, '{', n) != NULL;

        for (size_t k = 0; n && p[0] != '#' && k < (slots ? times : 4); k++)
            make_sentence(&m, c, (struct slice){ p, n });
        at += n + 1;
    }
    lists_release(&l);
    buf_release(&text);
    buf_release(&m.text);
    buf_release(&m.label);
    return rc;
}
