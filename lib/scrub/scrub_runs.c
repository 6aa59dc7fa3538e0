/*
 * scrub_runs.c - long runs of letters and digits
 *
 * What has no literal to look for, such as an address in base 58, is at least
 * long. Where the last byte that a run from here would need is none of it, no
 * run begins before that byte, so most of a text is never looked at.
 */
#include "scrub/scrub_priv.h"

static void open_windows(struct scrub_search *s, size_t start, size_t end)
{
    const struct scrub_rules *r = s->w->rules;

    for (size_t k = 0; k < r->run_count; k++) {
        uint32_t rule = r->run_rule[k];

        if (end - start >= r->rule[rule].digits)
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
