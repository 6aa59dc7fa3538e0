/*
 * regex.c - PCRE2 with JIT, low limits and failing closed
 *
 * Limits live in the match context of the scratch, so no pattern can raise
 * them by (*LIMIT_MATCH=...): PCRE2 only lets a pattern lower them.
 */
#include "regex/regex.h"

#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

struct regex {
    pcre2_code *code;
    bool jit, utf;
    /* What every match begins with, and what it must hold behind that: a text
     * without it need not be matched. Not used with UTF-8. */
    bool has_first, has_last;
    uint8_t first[32], last, last_other;
};

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static uint32_t pcre_options(unsigned flags)
{
    uint32_t o = PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;

    if (flags & REGEX_UTF)
        o |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    if (flags & REGEX_UCP)
        o |= PCRE2_UCP;
    if (flags & REGEX_CASELESS)
        o |= PCRE2_CASELESS;
    if (flags & REGEX_ANCHORED)
        o |= PCRE2_ANCHORED;
    if (flags & REGEX_UNTIL)
        o |= PCRE2_USE_OFFSET_LIMIT;
    return o;
}

static const char *pcre_message(int code, char out[160])
{
    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)out, 160) < 0)
        out[0] = '\0';
    return out;
}

static void add_byte(uint8_t map[32], unsigned c)
{
    map[c / 8] |= (uint8_t)(1u << c % 8);
}

bool regex_first(const struct regex *r, uint8_t map[32])
{
    uint32_t type = 0, unit = 0;
    const uint8_t *bits = NULL;

    (void)pcre2_pattern_info(r->code, PCRE2_INFO_FIRSTCODETYPE, &type);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_FIRSTCODEUNIT, &unit);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_FIRSTBITMAP, &bits);
    memset(map, 0, 32);
    if (type == 0 && bits)
        memcpy(map, bits, 32);
    if (type == 1) { /* it is not told whether case counts */
        add_byte(map, unit & 0xFF);
        if ((unit | 0x20) >= 'a' && (unit | 0x20) <= 'z')
            add_byte(map, (unit & 0xFF) ^ 0x20);
    }
    return type == 1 || (type == 0 && bits);
}

static void read_musts(struct regex *r)
{
    uint32_t type = 0, unit = 0;

    if (r->utf)
        return;
    r->has_first = regex_first(r, r->first);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_LASTCODETYPE, &type);
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_LASTCODEUNIT, &unit);
    r->has_last = type == 1 && unit < 0x80;
    r->last = r->last_other = (uint8_t)unit;
    if ((unit | 0x20) >= 'a' && (unit | 0x20) <= 'z')
        r->last_other ^= 0x20; /* it is not told whether case counts */
}

int regex_compile(struct slice pattern, unsigned flags, struct regex **out,
                  struct err *err)
{
    struct regex *r;
    pcre2_code *code;
    char text[160];
    int error = 0;
    PCRE2_SIZE at = 0;

    if (pattern.n > REGEX_MAX_PATTERN)
        return err_set(err, ERR_LIMIT, "pattern is longer than %u bytes",
                       REGEX_MAX_PATTERN);
    code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, pcre_options(flags),
                         &error, &at, NULL);
    if (!code)
        return err_set(err, ERR_FORMAT, "pattern, byte %zu: %s", (size_t)at,
                       pcre_message(error, text));
    r = mem_zalloc(sizeof(*r));
    r->code = code;
    r->utf = flags & REGEX_UTF;
    r->jit = !(flags & REGEX_NO_JIT) &&
             pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    read_musts(r);
    *out = r;
    return ERR_OK;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    free(r);
}

struct regex_scratch *regex_scratch_new(void)
{
    struct regex_scratch *s = mem_zalloc(sizeof(*s));

    s->data = pcre2_match_data_create(REGEX_GROUPS, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->data || !s->context) {
        regex_scratch_free(s);
        return mem_zalloc(sizeof(*s)); /* regex_find then answers NOMEM */
    }
    (void)pcre2_set_match_limit(s->context, REGEX_MATCH_LIMIT);
    (void)pcre2_set_depth_limit(s->context, REGEX_DEPTH_LIMIT);
    (void)pcre2_set_heap_limit(s->context, REGEX_HEAP_LIMIT_KIB);
    /* Without a stack of its own JIT code has 32 KiB of the machine's. */
    s->stack = pcre2_jit_stack_create(32u << 10, REGEX_STACK_MAX, NULL);
    if (s->stack)
        pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

void regex_scratch_free(struct regex_scratch *s)
{
    if (!s)
        return;
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    pcre2_jit_stack_free(s->stack);
    free(s);
}

static void take_groups(struct regex_scratch *s, int rc, struct regex_match *m)
{
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->data);

    /* 0: more groups than the vector holds; those that fit are there. */
    m->count = rc == 0 ? REGEX_GROUPS : (unsigned)rc;
    for (unsigned i = 0; i < m->count; i++) {
        m->group[i].start = v[2 * i];
        m->group[i].end = v[2 * i + 1];
    }
}

int regex_find(const struct regex *r, struct regex_scratch *s,
               struct slice subject, size_t from, struct regex_match *m,
               struct err *err)
{
    char text[160];
    int rc;

    if (!s->data || !s->context)
        return err_set(err, ERR_NOMEM, "no memory to match a pattern");
    if (from > subject.n)
        return 0;
    /* JIT code asks for nothing that pcre2_match checks before it. */
    rc = (r->jit && !r->utf ? pcre2_jit_match : pcre2_match)(
        r->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, from, 0,
        s->data, s->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return err_set(err, ERR_LIMIT, "pattern gave up: %s",
                       pcre_message(rc, text));
    take_groups(s, rc, m);
    return 1;
}

/* False: no match begins within [from, until]. */
static bool may_match(const struct regex *r, struct slice t, size_t from,
                      size_t until)
{
    const unsigned char *p = (const unsigned char *)t.p;
    size_t end = until < t.n ? until + 1 : t.n;

    if (r->has_first) {
        while (from < end && !(r->first[p[from] / 8] >> p[from] % 8 & 1))
            from++;
        if (from >= end)
            return false;
    }
    return !r->has_last || from >= t.n ||
           memchr(p + from, r->last, t.n - from) ||
           (r->last_other != r->last &&
            memchr(p + from, r->last_other, t.n - from));
}

int regex_find_until(const struct regex *r, struct regex_scratch *s,
                     struct slice subject, size_t from, size_t until,
                     struct regex_match *m, struct err *err)
{
    int rc;

    if (!may_match(r, subject, from, until))
        return 0;
    if (s->context)
        (void)pcre2_set_offset_limit(s->context, until);
    rc = regex_find(r, s, subject, from, m, err);
    if (s->context)
        (void)pcre2_set_offset_limit(s->context, PCRE2_UNSET);
    return rc;
}
