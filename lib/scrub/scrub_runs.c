/*
 * scrub_runs.c - long runs of letters and digits
 *
 * What has no literal to look for, such as an address in base 58, is at least
 * long. Where the last byte that a run from here would need is none of it, no
 * run begins before that byte, so most of a text is never looked at.
 */
#include "scrub/scrub_priv.h"

#include "base/mem.h"

/* Can a match begin with the run's first byte? */
static bool may_begin(const struct scrub_shape *x, struct slice t, size_t start)
{
    char before = start ? t.p[start - 1] : ' ';

    if ((x->guard && before == '_') ||
        (x->guard == 2 && (before == '.' || before == '+' || before == '-')))
        return false;
    return x->begins & scrub_char_bit(t.p[start]);
}

void scrub_runs_finish(struct scrub_rules *r)
{
    r->run_shape = mem_array(r->run_count + 1, sizeof(*r->run_shape));
    for (size_t i = 0; i < r->run_count; i++) {
        const struct scrub_rule *x = &r->rule[r->run_rule[i]];
        struct scrub_shape *shape = &r->run_shape[i];

        scrub_shape_read(buf_slice(&x->pattern), 0, shape);
        if (x->caseless)
            shape->begins = scrub_char_fold(shape->begins);
    }
}

static void open_windows(struct scrub_search *s, size_t start, size_t end)
{
    const struct scrub_rules *r = s->w->rules;

    for (size_t k = 0; k < r->run_count; k++) {
        uint32_t rule = r->run_rule[k];

        if (end - start >= r->rule[rule].digits &&
            may_begin(&r->run_shape[k], s->text, start))
            scrub_add_window(
                s, (struct scrub_window){ start, start,
                                          end + r->rule[rule].after, rule });
    }
}

void scrub_run_windows(struct scrub_search *s)
{
    size_t least = s->w->rules->least_run, i = 0;
    struct slice t = s->text;

    while (least && i + least <= t.n) {
        size_t k = least, end = i + least;

        while (k && scrub_is_alnum(t.p[i + k - 1]))
            k--;
        if (k) {
            i += k;
            continue;
        }
        while (end < t.n && scrub_is_alnum(t.p[end]))
            end++;
        open_windows(s, i, end);
        i = end;
    }
}
