/*
 * names.c - opening the lists, asking and drawing
 *
 * The names that surrogates take stand in one text, sections of a list in one
 * script; the rest is the table of words.
 */
#include "names/names_priv.h"

#include "assets/assets.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const list_names[DRAW_LISTS] = {
    "first_female", "first_male", "last", "city", "country", "organization",
};
static const char *const script_names[SCRIPTS] = {
    "ascii", "latin",  "cyrillic", "greek",    "arabic", "hebrew",
    "han",   "hangul", "armenian", "georgian", "khmer",
};

static struct slice next_line(struct slice *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct slice line = { rest->p, end ? (size_t)(end - rest->p) : rest->n };
    size_t used = line.n + (end != NULL);

    rest->p += used;
    rest->n -= used;
    return line;
}

/* "= list script" */
static struct names_draws *section(struct names *m, struct slice line)
{
    for (size_t i = 0; i < DRAW_LISTS; i++)
        for (size_t k = 0; k < SCRIPTS; k++) {
            size_t n = strlen(list_names[i]);

            if (line.n > n + 3 && !memcmp(line.p + 2, list_names[i], n) &&
                line.p[n + 2] == ' ' &&
                slice_is((struct slice){ line.p + n + 3, line.n - n - 3 },
                         script_names[k]))
                return &m->draw[i][k];
        }
    return NULL;
}

static char initial_of(struct slice name)
{
    return name.n > 1 && !memchr(name.p, ' ', name.n) ? (char)(name.p[0] | 0x20)
                                                      : '\0';
}

/* Items that begin with a letter, by that letter. */
static void sort_initials(struct names_draws *d)
{
    size_t count[27] = { 0 }, at = 0;

    for (size_t i = 0; i < d->count; i++)
        if (d->initial[i] >= 'a' && d->initial[i] <= 'z')
            count[d->initial[i] - 'a']++;
    for (size_t c = 0; c < 27; c++) {
        d->from[c] = at;
        at += count[c];
        count[c] = d->from[c];
    }
    for (size_t i = 0; i < d->count; i++)
        if (d->initial[i] >= 'a' && d->initial[i] <= 'z')
            d->order[count[d->initial[i] - 'a']++] = (uint32_t)i;
}

static int read_draws(struct names *m, struct slice text, struct err *err)
{
    struct slice rest = text;
    struct names_draws *open = NULL;
    size_t lines = 0, n = 0;

    for (size_t i = 0; i < text.n; i++)
        lines += text.p[i] == '\n';
    m->drawn = mem_array(lines + 1, sizeof(*m->drawn));
    m->initials = mem_array(lines + 1, 1);
    m->orders = mem_array(lines + 1, sizeof(*m->orders));
    while (rest.n) {
        struct slice line = next_line(&rest);

        if (slice_starts(line, "= ")) {
            open = section(m, line);
            if (!open)
                return err_set(err, ERR_FORMAT, "names to draw: no list '%.*s'",
                               (int)line.n, line.p);
            open->item = m->drawn + n;
            open->initial = m->initials + n;
            open->order = m->orders + n;
        } else if (open && line.n) {
            m->initials[n] = initial_of(line);
            m->drawn[n++] = line;
            open->count++;
        }
    }
    for (size_t i = 0; i < DRAW_LISTS; i++) {
        if (!m->draw[i][SCRIPT_ASCII].count)
            return err_set(err, ERR_FORMAT, "names to draw: no %s",
                           list_names[i]);
        sort_initials(&m->draw[i][SCRIPT_ASCII]);
    }
    return ERR_OK;
}

static int asset_text(const char *name, struct slice *out, struct err *err)
{
    const struct asset *a = assets_find(name);

    if (!a)
        return err_set(err, ERR_NOTFOUND, "%s is not part of the program",
                       name);
    *out = assets_text(a);
    return ERR_OK;
}

int names_open(struct names **out, struct err *err)
{
    struct names *m = mem_zalloc(sizeof(*m));
    struct slice words, draws, weights;
    int rc = asset_text("names/words.bin", &words, err);

    if (rc == ERR_OK)
        rc = asset_text("names/draw.txt", &draws, err);
    if (rc == ERR_OK)
        rc = asset_text("names/weights.bin", &weights, err);
    if (rc == ERR_OK &&
        (weights.n != sizeof(WEIGHTS_MAGIC) - 1 + (size_t)TAG_ROWS * TAG_ROW ||
         !slice_starts(weights, WEIGHTS_MAGIC)))
        rc = err_set(err, ERR_FORMAT, "names/weights.bin: not of namestool");
    if (rc == ERR_OK)
        m->weights = (const signed char *)weights.p + sizeof(WEIGHTS_MAGIC) - 1;
    if (rc == ERR_OK)
        rc = names_words_open(words, &m->words, err);
    if (rc == ERR_OK)
        rc = read_draws(m, draws, err);
    if (rc < 0)
        names_close(m);
    else
        *out = m;
    return rc;
}

uint64_t names_data_hash(void)
{
    static const char *const files[] = { "names/words.bin", "names/draw.txt",
                                         "names/weights.bin" };
    uint64_t h = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        const struct asset *a = assets_find(files[i]);

        if (a)
            h = names_hash(a->data, a->size, h);
    }
    return h;
}

void names_close(struct names *m)
{
    if (!m)
        return;
    names_words_close(&m->words);
    free(m->drawn);
    free(m->initials);
    free(m->orders);
    free(m);
}

static unsigned lists_of(const struct names *m, struct slice word)
{
    char folded[WORD_MAX];
    size_t n;

    if (word.n && word.p[word.n - 1] == '.')
        word.n--;
    n = names_fold(word, folded);
    return n ? names_words_get(&m->words, folded, n) : 0;
}

static const unsigned flags[] = {
    [NAMES_LIST_FIRST_FEMALE] = W_FEMALE, [NAMES_LIST_FIRST_MALE] = W_MALE,
    [NAMES_LIST_LAST] = W_LAST,           [NAMES_LIST_CITY] = W_CITY,
    [NAMES_LIST_COUNTRY] = W_REGION,      [NAMES_LIST_ORGANIZATION] = W_ORG,
    [NAMES_LIST_FIRST] = W_GIVEN,         [NAMES_LIST_PLACE] = W_PLACE,
    [NAMES_LIST_NATIONALITY] = W_NATION,  [NAMES_LIST_TITLE] = W_TITLE,
    [NAMES_LIST_COMMON] = W_COMMON,       [NAMES_LIST_FOREIGN] = W_FOREIGN,
};

bool names_is(const struct names *m, enum names_list list, struct slice word)
{
    return (lists_of(m, word) & flags[list]) != 0;
}

unsigned names_in(const struct names *m, struct slice word)
{
    unsigned lists = lists_of(m, word), in = 0;

    for (unsigned i = 0; lists && i < sizeof(flags) / sizeof(*flags); i++)
        in |= (unsigned)((lists & flags[i]) != 0) << i;
    return in;
}

struct slice names_draw(const struct names *m, enum names_list list,
                        uint64_t random)
{
    const struct names_draws *d;

    assert(list < DRAW_LISTS);
    d = &m->draw[list][SCRIPT_ASCII];
    return d->item[random % d->count];
}

struct slice names_draw_initial(const struct names *m, enum names_list list,
                                char initial, uint64_t random)
{
    const struct names_draws *d;
    size_t from, n;

    assert(list < DRAW_LISTS && initial >= 'a' && initial <= 'z');
    d = &m->draw[list][SCRIPT_ASCII];
    from = d->from[initial - 'a'];
    n = d->from[initial - 'a' + 1] - from;
    return d->item[n ? d->order[from + random % n] : random % d->count];
}

static enum names_script script_of(int32_t cp)
{
    static const struct {
        int32_t from, to;
        enum names_script script;
    } ranges[] = {
        { 0x80, 0x24F, SCRIPT_LATIN },       { 0x370, 0x3FF, SCRIPT_GREEK },
        { 0x400, 0x52F, SCRIPT_CYRILLIC },   { 0x530, 0x58F, SCRIPT_ARMENIAN },
        { 0x590, 0x5FF, SCRIPT_HEBREW },     { 0x600, 0x6FF, SCRIPT_ARABIC },
        { 0x10A0, 0x10FF, SCRIPT_GEORGIAN }, { 0x1780, 0x17FF, SCRIPT_KHMER },
        { 0x1E00, 0x1EFF, SCRIPT_LATIN },    { 0x3400, 0x9FFF, SCRIPT_HAN },
        { 0xAC00, 0xD7AF, SCRIPT_HANGUL },
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (cp >= ranges[i].from && cp <= ranges[i].to)
            return ranges[i].script;
    return SCRIPT_ASCII;
}

bool names_draws(const struct names *m, enum names_list list,
                 struct slice folded)
{
    const struct names_draws *d;

    assert(list < DRAW_LISTS);
    d = &m->draw[list][SCRIPT_ASCII];
    for (size_t i = 0; i < d->count; i++)
        if (d->item[i].n == folded.n &&
            (d->item[i].p[0] | 0x20) == (folded.p[0] | 0x20) &&
            strncasecmp(d->item[i].p, folded.p, folded.n) == 0)
            return true;
    return false;
}

struct slice names_draw_like(const struct names *m, enum names_list list,
                             struct slice original, uint64_t random)
{
    enum names_script script = SCRIPT_ASCII;
    const struct names_draws *d;

    assert(list < DRAW_LISTS);
    for (size_t i = 0, used; i < original.n; i += used) {
        enum names_script s =
            script_of(utf8_decode(original.p + i, original.n - i, &used));

        if (s > script)
            script = s;
    }
    d = &m->draw[list][script];
    if (!d->count)
        d = &m->draw[list][SCRIPT_ASCII];
    return d->item[random % d->count];
}
