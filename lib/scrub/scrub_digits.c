/*
 * scrub_digits.c - clusters of digits, and which rules are asked about them
 *
 * A cluster is digits with separators between them. What its groups can add up
 * to and which separators it has pick the rules that could match; of those,
 * the ones that need context are asked only where some of theirs is near. A
 * cluster that nobody took is shown to the others in order of rank, so that
 * the first whose shape it has is counted.
 */
#include "scrub/scrub_priv.h"

#include "base/ascii.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define SPREAD_MIN_DIGITS 6
#define CLUSTER_MIN_DIGITS 4
#define SUM_MAX 63 /* digits; more count as these */

/* A run of digits with separators between them. */
struct cluster {
    size_t start, end, first; /* first: the first digit */
    size_t digits, dots;
    uint64_t sums;   /* bit n: groups that follow each other have n digits */
    uint64_t groups; /* bit n: a group has n digits */
    unsigned separators;
};

/* Order of rank: what scrub_resolve would let stand. */
static int by_priority(const void *a, const void *b, void *ctx)
{
    const struct scrub_rule *rule = ctx;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    if (rule[x].priority != rule[y].priority)
        return rule[x].priority > rule[y].priority ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Bytes that a match begins with, if they are none of a cluster. Not known of
 * patterns that are compiled later. */
static void read_lead(const struct scrub_rule *x, struct scrub_shape *out)
{
    static const char own[] = "0123456789" SCRUB_SEPARATORS;

    out->led = x->regex && regex_first(x->regex, out->lead);
    for (const char *p = own; *p && out->led; p++)
        out->led = !(out->lead[*p / 8] >> *p % 8 & 1);
}

/* Does one of them stand before the cluster, within the rule's reach? */
static bool is_led(const struct scrub_shape *x, struct slice t, size_t start,
                   size_t before)
{
    for (size_t i = start > before ? start - before : 0; i < start; i++)
        if (x->lead[(unsigned char)t.p[i] / 8] >> (unsigned char)t.p[i] % 8 & 1)
            return true;
    return false;
}

void scrub_digits_finish(struct scrub_rules *r)
{
    qsort_r(r->digit_rule, r->digit_count, sizeof(*r->digit_rule), by_priority,
            r->rule);
    r->digit_width = (r->digit_count + 63) / 64;
    r->shape = mem_zalloc((r->digit_count + 1) * sizeof(*r->shape));
    r->by_sum =
        mem_zalloc((SUM_MAX + 1) * (r->digit_width + 1) * sizeof(*r->by_sum));
    for (size_t i = 0; i < r->digit_count; i++) {
        const struct scrub_rule *x = &r->rule[r->digit_rule[i]];

        scrub_shape_read(buf_slice(&x->pattern), x->digits, &r->shape[i]);
        read_lead(x, &r->shape[i]);
        if (x->caseless) {
            r->shape[i].begins = scrub_char_fold(r->shape[i].begins);
            r->shape[i].ends = scrub_char_fold(r->shape[i].ends);
            r->shape[i].letters = scrub_char_fold(r->shape[i].letters);
        }
        for (size_t n = 0; n <= SUM_MAX; n++)
            if (r->shape[i].digits >> n & 1)
                r->by_sum[n * r->digit_width + i / 64] |= UINT64_C(1) << i % 64;
    }
}

/* Sums of groups that follow each other; each step adds a digit or more, so a
 * group is looked at 64 times at most. */
static uint64_t sums_of(struct slice t, struct cluster *c)
{
    uint64_t sums = 0, open = 0; /* open: sums that end with this group */
    size_t i = c->first;

    while (i < c->end) {
        size_t n = 0;

        for (; i < c->end && scrub_is_digit(t.p[i]); i++)
            n++;
        if (n > SUM_MAX)
            n = SUM_MAX;
        c->groups |= UINT64_C(1) << n;
        open = (open | 1) << n |
               (n && open >> (SUM_MAX + 1 - n) ? UINT64_C(1) << SUM_MAX : 0);
        sums |= open;
        while (i < c->end && !scrub_is_digit(t.p[i]))
            i++;
    }
    return sums;
}

/* c->first is the first digit. Returns where to go on. */
static size_t read_cluster(struct slice t, struct cluster *c)
{
    size_t gap = 0, dots = 0, i = c->first;
    unsigned separators = 0;

    c->start = i;
    while (c->start && i - c->start < 2 &&
           (t.p[c->start - 1] == '+' || t.p[c->start - 1] == '(')) {
        c->start--;
        c->separators |= scrub_separator_bit(t.p[c->start]);
    }
    for (; i < t.n; i++) {
        unsigned bit;

        if (scrub_is_digit(t.p[i])) {
            c->digits++;
            c->dots += dots;
            c->separators |= separators;
            c->end = i + 1;
            gap = dots = separators = 0;
        } else if (gap < 3 && (bit = scrub_separator_bit(t.p[i])) != 0) {
            gap++;
            dots += t.p[i] == '.';
            separators |= bit;
        } else {
            break;
        }
    }
    return i;
}

static bool begins_iban(struct slice t, size_t digit)
{
    const char *p = t.p + digit;

    return digit >= 2 && digit + 1 < t.n && scrub_is_digit(p[1]) &&
           scrub_is_alnum(p[-1]) && scrub_is_alnum(p[-2]) &&
           (digit == 2 || !scrub_is_alnum(p[-3])) &&
           idnumber_iban_length(p - 2);
}

static void open_window(struct scrub_search *s, uint32_t rule,
                        const struct cluster *c)
{
    const struct scrub_rule *r = &s->w->rules->rule[rule];

    scrub_add_window(s, (struct scrub_window){
                            c->start > r->before ? c->start - r->before : 0,
                            c->end, c->end + r->after, rule });
}

static void keep_cluster(struct scrub_worker *w, const struct cluster *c,
                         const uint64_t *rules)
{
    size_t width = w->rules->digit_width;
    void *all = w->clusters, *sets = w->cluster_sets;

    mem_grow(&all, &w->cluster_cap, w->cluster_count + 1, sizeof(*w->clusters));
    w->clusters = all;
    mem_grow(&sets, &w->cluster_set_cap, (w->cluster_count + 1) * width,
             sizeof(*w->cluster_sets));
    w->cluster_sets = sets;
    w->clusters[w->cluster_count] =
        (struct scrub_window){ c->start, c->end, c->end, 0 };
    memcpy(w->cluster_sets + w->cluster_count++ * width, rules,
           width * sizeof(*rules));
}

/* Rules that could match by the digits and separators of the cluster. */
static bool find_candidates(const struct scrub_rules *r,
                            const struct cluster *c, uint64_t *out)
{
    uint64_t any = 0;

    memset(out, 0, r->digit_width * sizeof(*out));
    for (uint64_t sums = c->sums; sums; sums &= sums - 1) {
        const uint64_t *set =
            r->by_sum + (size_t)__builtin_ctzll(sums) * r->digit_width;

        for (size_t k = 0; k < r->digit_width; k++)
            any |= out[k] |= set[k];
    }
    return any != 0;
}

/* Can a match have the cluster's digits and separators, and begin and end
 * beside it? */
static bool may_match(const struct scrub_rule *x, const struct scrub_shape *p,
                      struct slice t, const struct cluster *c,
                      const struct scrub_edges *e)
{
    if (x->digits > c->digits || p->must & ~c->separators ||
        !(p->first & c->groups))
        return false;
    if (x->before <= SCRUB_EDGE && x->after <= SCRUB_EDGE &&
        (p->needs & ~e->separators || (p->letters && !(p->letters & e->bytes))))
        return false;
    if (p->guard && x->before <= SCRUB_EDGE &&
        !(e->begins[x->before][p->guard - 1] & p->begins))
        return false;
    if (p->barred && x->after <= SCRUB_EDGE && !(e->ends[x->after] & p->ends))
        return false;
    return !p->led || is_led(p, t, c->start, x->before);
}

static void ask_rules(struct scrub_search *s, const struct cluster *c)
{
    const struct scrub_rules *r = s->w->rules;
    uint64_t near[SCRUB_SET], set[SCRUB_SET], rest[SCRUB_SET] = { 0 };
    struct scrub_edges edges;
    bool left = false;

    if (!find_candidates(r, c, set))
        return;
    scrub_edges_read(s->text, c->start, c->end, &edges);
    scrub_context_near(s, c->start, c->end, near);
    for (size_t k = 0; k < r->digit_width; k++) {
        for (; set[k]; set[k] &= set[k] - 1) {
            size_t i = 64 * k + (size_t)__builtin_ctzll(set[k]);
            uint32_t rule = r->digit_rule[i];
            const struct scrub_rule *x = &r->rule[rule];

            if (!may_match(x, &r->shape[i], s->text, c, &edges))
                continue;
            if (x->tier == 1 || s->w->strict || scrub_set_has(near, rule)) {
                open_window(s, rule, c);
            } else {
                rest[k] |= UINT64_C(1) << i % 64;
                left = true;
            }
        }
    }
    if (left)
        keep_cluster(s->w, c, rest);
}

static void cluster_windows(struct scrub_search *s, const struct cluster *c)
{
    const struct scrub_rules *r = s->w->rules;
    bool iban = begins_iban(s->text, c->first);

    for (size_t i = 0; i < r->other_count && (iban || c->dots >= 3); i++) {
        uint32_t rule = r->other_rule[i];
        const struct scrub_rule *x = &r->rule[rule];

        if (x->gate == GATE_DOTS && c->dots >= 3)
            open_window(s, rule, c);
        else if (x->gate == GATE_IBAN && iban)
            scrub_add_window(s, (struct scrub_window){ c->first - 2, c->first,
                                                       c->first + x->after,
                                                       rule });
    }
    if (c->digits >= CLUSTER_MIN_DIGITS && r->digit_count)
        ask_rules(s, c);
}

static const uint64_t *known_number(struct scrub_worker *w, struct slice v,
                                    scrub_norm_fn *norm)
{
    buf_reset(&w->norm);
    norm(v, &w->norm);
    return w->norm.len < SPREAD_MIN_DIGITS
               ? NULL
               : map_get(w->spread.digits, w->norm.data, w->norm.len);
}

/* Second pass: digits that the record holds as somebody's number. */
static int seek_digits(struct scrub_search *s, size_t start, size_t end)
{
    struct scrub_worker *w = s->w;
    struct slice v = { s->text.p + start, end - start };
    const uint64_t *rule;

    rule = known_number(w, v, scrub_norm_long);
    if (!rule)
        rule = known_number(w, v, scrub_norm_phone);
    if (!rule)
        return ERR_OK;
    return scrub_push_hit(s, (struct scrub_hit){ .start = start,
                                                 .end = end,
                                                 .rule = (uint32_t)*rule,
                                                 .tier = 1 });
}

static int seek_cluster(struct scrub_search *s, const struct cluster *c)
{
    size_t i = c->start;
    int rc;

    if (c->digits < SPREAD_MIN_DIGITS)
        return ERR_OK;
    rc = seek_digits(s, c->start, c->end);
    while (rc == ERR_OK && i < c->end) {
        size_t from = i;

        while (i < c->end && scrub_is_digit(s->text.p[i]))
            i++;
        if (i - from >= SPREAD_MIN_DIGITS && i - from < c->end - c->start)
            rc = seek_digits(s, from, i);
        i += i < c->end;
    }
    return rc;
}

void scrub_digit_windows(struct scrub_search *s)
{
    size_t i = ascii_digit_next(s->text, 0);

    while (i < s->text.n) {
        struct cluster c = { .first = i };

        i = read_cluster(s->text, &c);
        c.sums = sums_of(s->text, &c);
        cluster_windows(s, &c);
        i = ascii_digit_next(s->text, i);
    }
}

int scrub_digits_seek(struct scrub_search *s)
{
    size_t i =
        scrub_spread_digits(s->w) ? ascii_digit_next(s->text, 0) : s->text.n;
    int rc = ERR_OK;

    while (rc == ERR_OK && i < s->text.n) {
        struct cluster c = { .first = i };

        i = read_cluster(s->text, &c);
        rc = seek_cluster(s, &c);
        i = ascii_digit_next(s->text, i);
    }
    return rc;
}

/* Is any of the text's finds within [start, end)? Those are in w->hits from
 * s->first on, sorted up to now. */
static int by_place(const void *a, const void *b)
{
    const struct scrub_hit *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static int count_shape(struct scrub_search *s, const struct scrub_window *c,
                       const uint64_t *set)
{
    const struct scrub_rules *r = s->w->rules;
    size_t before = s->w->hits.count;
    int rc = ERR_OK;

    for (size_t k = 0; k < r->digit_width; k++) {
        for (uint64_t left = set[k]; left; left &= left - 1) {
            uint32_t rule =
                r->digit_rule[64 * k + (size_t)__builtin_ctzll(left)];
            const struct scrub_rule *x = &r->rule[rule];
            struct scrub_window w = {
                c->start > x->before ? c->start - x->before : 0, c->end,
                c->end + x->after < s->text.n ? c->end + x->after : s->text.n,
                rule
            };

            s->w->reached[rule] = 0;
            rc = scrub_run_window(s, w);
            if (rc < 0 || s->w->hits.count > before)
                return rc;
        }
    }
    return ERR_OK;
}

int scrub_digit_shapes(struct scrub_search *s)
{
    struct scrub_worker *w = s->w;
    size_t n = w->hits.count, i = s->first, reached = 0;
    int rc = ERR_OK;

    if (w->cluster_count && n - s->first > 1)
        qsort(w->hits.item + s->first, n - s->first, sizeof(*w->hits.item),
              by_place);
    for (size_t k = 0; rc == ERR_OK && k < w->cluster_count; k++) {
        const struct scrub_window *c = &w->clusters[k];

        for (; i < n && w->hits.item[i].start < c->end; i++)
            if (w->hits.item[i].end > reached)
                reached = w->hits.item[i].end;
        if (reached <= c->start)
            rc = count_shape(s, c, w->cluster_sets + k * w->rules->digit_width);
    }
    return rc;
}

static bool is_hex(char c)
{
    return scrub_is_digit(c) || (c >= 'a' && c <= 'f') ||
           (c >= 'A' && c <= 'F');
}

/* "::" or five colons between hexadecimal digits. */
static size_t colon_window(struct scrub_search *s, size_t at)
{
    const struct scrub_rules *r = s->w->rules;
    struct slice t = s->text;
    size_t start = at, end = at, colons = 0;
    bool twice = false;

    while (start && at - start < 5 && is_hex(t.p[start - 1]))
        start--;
    while (end < t.n && (is_hex(t.p[end]) || t.p[end] == ':')) {
        if (t.p[end] == ':') {
            colons++;
            twice |= end > start && t.p[end - 1] == ':';
        }
        end++;
    }
    if (!twice && colons < 5)
        return end;
    for (size_t i = 0; i < r->other_count; i++)
        if (r->rule[r->other_rule[i]].gate == GATE_COLONS)
            scrub_add_window(s, (struct scrub_window){ start, end, end + 2,
                                                       r->other_rule[i] });
    return end;
}

void scrub_colon_windows(struct scrub_search *s)
{
    size_t i = 0;

    while (i < s->text.n) {
        const char *hit = memchr(s->text.p + i, ':', s->text.n - i);

        if (!hit)
            return;
        i = (size_t)(hit - s->text.p);
        if (i + 1 < s->text.n && (is_hex(hit[1]) || hit[1] == ':') &&
            (hit[1] == ':' || (i && is_hex(hit[-1]))))
            i = colon_window(s, i);
        else
            i++;
    }
}
