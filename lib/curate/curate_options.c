/*
 * curate_options.c - what a person may say about curating, as text
 *
 * Names of reasons and splits, shares, filters. A filter is a reason that may
 * be let pass; what makes a call useless is no filter.
 */
#include "curate/curate_priv.h"

#include <stdio.h>
#include <string.h>

enum kind { FIXED, ON, OFF };

static const struct {
    enum kind kind;
    const char *name, *help;
} reasons[] = {
#define X(name, kind, text, help) { kind, text, help },
    CURATE_REASONS(X)
#undef X
};

const char *curate_reason_name(enum curate_reason r)
{
    return r == CURATE_KEPT ? "kept" : reasons[r].name;
}

const char *curate_reason_help(enum curate_reason r)
{
    return reasons[r].help;
}

const char *curate_split_name(enum curate_split s)
{
    static const char *const names[] = { "train", "validation", "test" };

    return names[s];
}

uint64_t curate_filters_default(void)
{
    uint64_t f = 0;

    for (size_t i = 0; i < CURATE_REASON_COUNT; i++)
        if (reasons[i].kind == ON)
            f |= UINT64_C(1) << i;
    return f;
}

bool curate_drops(const struct curate_options *o, enum curate_reason r)
{
    return (curate_filters_default() ^ o->changed) >> r & 1;
}

static uint64_t all_filters(void)
{
    uint64_t f = 0;

    for (size_t i = 0; i < CURATE_REASON_COUNT; i++)
        if (reasons[i].kind != FIXED)
            f |= UINT64_C(1) << i;
    return f;
}

static int unknown_filter(struct slice word, struct err *err)
{
    struct buf names = { 0 };
    int rc;

    for (size_t i = 0; i < CURATE_REASON_COUNT; i++)
        if (reasons[i].kind != FIXED)
            buf_printf(&names, " %s", reasons[i].name);
    rc = err_set(err, ERR_INVALID,
                 "\"%.*s\" is no filter; these are:%s; default, all, none; a - "
                 "before a name switches it off",
                 (int)(word.n < 64 ? word.n : 64), word.p, names.data);
    buf_release(&names);
    return rc;
}

static int parse_filter(struct slice word, uint64_t *f, struct err *err)
{
    bool off = word.n > 1 && *word.p == '-';
    struct slice name = { word.p + off, word.n - off };

    if (slice_is(word, "default") || slice_is(word, "all") ||
        slice_is(word, "none")) {
        *f = slice_is(word, "all")    ? all_filters()
             : slice_is(word, "none") ? 0
                                      : curate_filters_default();
        return ERR_OK;
    }
    for (size_t i = 1; i < CURATE_REASON_COUNT; i++) {
        uint64_t bit = UINT64_C(1) << i;

        if (reasons[i].kind == FIXED || !slice_is(name, reasons[i].name))
            continue;
        *f = off ? *f & ~bit : *f | bit;
        return ERR_OK;
    }
    return unknown_filter(word, err);
}

int curate_filters_parse(const char *text, uint64_t *changed, struct err *err)
{
    uint64_t f = curate_filters_default();
    int rc = ERR_OK;

    while (rc == ERR_OK && *text) {
        size_t n = strcspn(text, ",");

        rc = parse_filter(slice_trim((struct slice){ text, n }), &f, err);
        text += n + (text[n] == ',');
    }
    if (rc == ERR_OK)
        *changed = f ^ curate_filters_default();
    return rc;
}

void curate_filters_put(uint64_t changed, struct buf *out)
{
    const char *comma = "";

    if (!changed)
        buf_str(out, "default");
    for (size_t i = 0; i < CURATE_REASON_COUNT; i++)
        if (changed >> i & 1) {
            buf_printf(out, "%s%s%s", comma, reasons[i].kind == ON ? "-" : "",
                       reasons[i].name);
            comma = ",";
        }
}

int curate_shares_parse(const char *text, unsigned shares[3], struct err *err)
{
    unsigned v[3];
    int used = 0;

    if (strspn(text, "0123456789,") != strlen(text) ||
        sscanf(text, "%3u,%3u,%3u%n", &v[0], &v[1], &v[2], &used) != 3 ||
        text[used] || v[0] + v[1] + v[2] != 100)
        return err_set(
            err, ERR_INVALID,
            "\"%s\": three percentages, whole numbers of sum 100, are "
            "expected, as in 80,10,10",
            text);
    memcpy(shares, v, sizeof(v));
    return ERR_OK;
}
