/*
 * fuzz_names.c - names in arbitrary text
 *
 * The first line is the level, a digit, and the key of the value; the text is
 * behind it, or all where there is no such line. Spans must be in order, not
 * empty and inside of the text, a second look must find the same, and with
 * nothing to look for nothing may be found. What was found is drawn for.
 */
#include "base/ascii.h"
#include "base/mem.h"
#include "names/names.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct names *names;
static struct names_worker *worker;

static void begin(void)
{
    if (worker)
        return;
    if (names_open(&names, NULL) < 0)
        abort();
    worker = names_worker_new(names);
}

static void draw_for(struct slice name, uint64_t random)
{
    char initial = ascii_lower(name.p[0]);

    for (enum names_list l = 0; l <= NAMES_LIST_ORGANIZATION; l++)
        if (!names_draw_like(names, l, name, random).n ||
            (ascii_is_lower(initial) &&
             !names_draw_initial(names, l, initial, random).n))
            abort();
    for (enum names_list l = 0; l <= NAMES_LIST_FOREIGN; l++)
        if (names_is(names, l, name) && !names_in(names, name))
            abort();
}

static size_t look(enum names_level level, struct slice text, struct slice key)
{
    const struct names_span *s;
    size_t count, bytes = 0;

    names_find(worker, level, text, key, &s, &count);
    if (level == NAMES_OFF && count)
        abort();
    for (size_t i = 0; i < count; i++) {
        if (s[i].start >= s[i].end || s[i].end > text.n ||
            (i && s[i].start < s[i - 1].end) || s[i].class >= NAMES_CLASSES ||
            s[i].tier < 1 || s[i].tier > 3)
            abort();
        bytes = bytes * 31 + s[i].start * 7 + s[i].end + s[i].class;
        draw_for((struct slice){ text.p + s[i].start, s[i].end - s[i].start },
                 bytes);
    }
    return bytes;
}

/* A copy of just its bytes, so that a sanitizer sees what is read behind. */
static struct slice copy_of(const char *p, size_t n)
{
    char *copy = mem_alloc(n);

    if (n)
        memcpy(copy, p, n);
    return (struct slice){ copy, n };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *in = (const char *)data;
    const char *line = size ? memchr(in, '\n', size) : NULL;
    enum names_level level = NAMES_TAGGER;
    struct slice text, key = { NULL, 0 };
    size_t head = 0, found;

    if (line && in[0] >= '0' && in[0] <= '3') {
        level = (enum names_level)(in[0] - '0');
        head = (size_t)(line + 1 - in);
        key = copy_of(in + 1, head - 2);
    }
    begin();
    text = copy_of(in + head, size - head);
    found = look(level, text, key);
    (void)names_key_tells(key);
    (void)look(NAMES_PARANOID, text, key);
    if (look(level, text, key) != found)
        abort();
    free((char *)(uintptr_t)text.p);
    free((char *)(uintptr_t)key.p);
    return 0;
}
