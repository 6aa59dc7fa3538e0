/*
 * curate_report_print.c - the leak report as text and as a document
 *
 * Both are made from struct curate_report and say the same. What is printed of
 * a value is its type, its place, and what stands there instead.
 */
#include "curate_print.h"
#include "curate_settings.h"

#include "base/mem.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHOWN 20 /* survivors in the text */

static const char *const by_names[3] = { "type", "position", "encoding" };

/* Known values in these are not looked for. */
static const char *const not_sought[] = {
    "hexadecimal digits",
    "UTF-16 or UTF-32",
    "base32",
    "quoted-printable",
    "replaced letters (ROT13)",
    "compressed or encrypted bytes",
    "what is coded within bytes that are no text",
    "pictures and sounds",
    "numbers in words",
    "letters with blanks between them",
    "moments in seconds since 1970",
    "values that are cut in two",
};
#define NOT_SOUGHT (sizeof(not_sought) / sizeof(*not_sought))

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static const char *cover_name(enum curate_cover c)
{
    return c == CURATE_COVERED   ? "covered"
           : c == CURATE_IN_PART ? "in part"
                                 : "not covered";
}

static const char *or_default(const char *given, const char *otherwise)
{
    return given ? given : otherwise;
}

static bool is_given(const char *path)
{
    return path && strcmp(path, "none") != 0;
}

static void today(char out[24])
{
    time_t now = time(NULL);
    struct tm tm;

    (void)strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

/* A report tells nothing without what it was made under. */
static void put_settings(const struct curate_report *r,
                         const struct scrub_rules *rules, const char *key_id,
                         struct buf *out)
{
    const struct curate_settings *o = &curate_settings;
    size_t from = curate_actions_from(&o->actions);
    char date[24];
    bool any = false;

    today(date);
    buf_printf(out,
               "Settings\nslmctl %s, %s, rules %s, key %s\n--names %s, "
               "--scope %s, --strict %s, --rules %s, --keep %s\n--action",
               SLMCTL_VERSION, date, scrub_rules_version(rules), key_id,
               or_default(o->names, "tagger"),
               or_default(o->scope, "conversation"), o->strict ? "yes" : "no",
               or_default(o->rules, "none"), or_default(o->keep, "none"));
    for (size_t i = from; i < o->actions.count; i++)
        buf_printf(out, " %s", o->actions.items[i]);
    buf_str(out, from < o->actions.count ? "\n" : " none\n");
    for (size_t i = 0; i < r->types; i++)
        if (r->type[i].kept) {
            buf_printf(out, "%s%s",
                       any ? ", " : "KEPT ON PURPOSE: ", r->type[i].type);
            any = true;
        }
    if (any)
        buf_str(out, "; values of these types stand as they are, and are not "
                     "sought.\n");
    if (is_given(o->keep))
        buf_str(out, "What --keep lists stands as it is, and is not sought.\n");
    buf_char(out, '\n');
}

/* What the search cannot say anything about. */
static void put_not_sought(const struct curate_report *r, struct buf *out)
{
    if (r->unsearched)
        buf_printf(out,
                   "%" PRIu64 " bytes in %" PRIu64
                   " examples were coded too deep or too often and were not "
                   "searched, as in call %lld, %s: look at them.\n",
                   r->unsearched, r->unsearched_examples,
                   (long long)r->unsearched_place.call,
                   r->unsearched_place.where);
    buf_str(out, "Not sought: values in ");
    for (size_t i = 0; i < NOT_SOUGHT; i++)
        buf_printf(out, "%s%s",
                   i == 0                ? ""
                   : i + 1 == NOT_SOUGHT ? "; "
                                         : ", ",
                   not_sought[i]);
    buf_str(out, ".\n");
}

/* What was seen and is not taken for a survivor. */
static void put_words(const struct curate_report *r, struct buf *out)
{
    if (r->zones)
        buf_printf(out,
                   "%" PRIu64 " places stand in names of time zones, such as "
                   "Europe/London, which are kept.\n",
                   r->zones);
    if (r->elsewhere)
        buf_printf(out,
                   "%" PRIu64
                   " words, places or dates that were replaced in one "
                   "conversation stand in another, and are "
                   "taken for ordinary ones there.\n",
                   r->elsewhere);
    if (r->own)
        buf_printf(out,
                   "LOOK AT THESE: %" PRIu64
                   " words stand in the VERY conversation where they were "
                   "replaced, in other case or since they are words of the "
                   "language too, as in call %lld, %s.\n",
                   r->own, (long long)r->own_place.call, r->own_place.where);
}

static void put_known(const struct curate_report *r, struct buf *out)
{
    buf_printf(out,
               "Known values\n%" PRIu64 " pieces with %" PRIu64
               " different values were replaced; each was sought in %" PRIu64
               " examples, plain, in other case, with other separators, "
               "escaped, as entities, percent-encoded, in base64 and in "
               "letters that look alike, full names also in one word: %" PRIu64
               " survivor%s.\n",
               r->pieces, r->searched, r->examples, r->survivors,
               plural(r->survivors));
    if (r->unsought)
        buf_printf(out,
                   "NOT SOUGHT: %" PRIu64
                   " more pieces have other values; whether those survive is "
                   "not known. Report on a smaller store.\n",
                   r->unsought);
    if (r->limited)
        buf_printf(out,
                   "%" PRIu64 " conversation%s larger than what is looked at "
                   "to know it: what one call tells of somebody may stand in "
                   "another.\n",
                   r->limited, r->limited == 1 ? " is" : "s are");
    put_not_sought(r, out);
    buf_printf(out,
               "%" PRIu64 " of %" PRIu64
               " examples are byte for byte what the rules give today",
               r->same, r->examples);
    if (r->changed)
        buf_printf(out, "; %" PRIu64 " are not", r->changed);
    if (r->gone)
        buf_printf(out, "; of %" PRIu64 " the call is no longer there",
                   r->gone);
    buf_str(out, ".\n");
    put_words(r, out);
    for (size_t i = 0; i < r->survivors_shown && i < SHOWN; i++)
        buf_printf(out,
                   "  call %lld, %s: a value of type %s (%s), in %" PRIu64
                   " example%s\n",
                   (long long)r->survivor[i].place.call,
                   r->survivor[i].place.where, r->survivor[i].type,
                   r->survivor[i].form, r->survivor[i].examples,
                   plural(r->survivor[i].examples));
    if (r->survivors_shown > SHOWN)
        buf_printf(out, "  and more; --json lists %d\n", CURATE_REPORT_SHOWN);
}

static char *number(uint64_t n)
{
    return mem_printf("%" PRIu64, n);
}

static void type_row(struct cli_table *t, const struct curate_report_type *x)
{
    char *cell[6] = { number(x->pieces),    number(x->values),
                      number(x->reported),  number(x->survivors),
                      number(x->elsewhere), number(x->too_short) };
    char *place = x->place.call
                      ? mem_printf("call %lld %s: %s", (long long)x->place.call,
                                   x->place.where, x->surrogate)
                      : mem_strdup("");

    for (char *p = place; *p; p++)
        if ((unsigned char)*p < 0x20)
            *p = ' ';
    cli_table_row(t, x->type, cell[0], cell[1], cell[2], cell[3], cell[4],
                  cell[5], place, NULL);
    for (int i = 0; i < 6; i++)
        free(cell[i]);
    free(place);
}

static void put_types(const struct curate_report *r, struct buf *out)
{
    struct cli_table *t =
        cli_table_new("lrrrrrrl", "type", "replaced", "values", "shape only",
                      "survive", "elsewhere", "too short", "as in", NULL);
    uint64_t coincide = 0;

    for (size_t i = 0; i < r->types; i++) {
        coincide += r->type[i].coincide;
        if (r->type[i].pieces || r->type[i].reported)
            type_row(t, &r->type[i]);
    }
    buf_str(out, "\nTypes\n");
    cli_table_print(t, out);
    cli_table_free(t);
    buf_str(out,
            "\"shape only\" was reported and left; \"elsewhere\" are words "
            "that are a value in another conversation; \"too short\" is "
            "what nobody can search for.\n");
    if (coincide)
        buf_printf(out,
                   "%" PRIu64
                   " surrogate%s drawn from lists equal%s a value of "
                   "some other conversation.\n",
                   coincide, plural(coincide), coincide == 1 ? "s" : "");
}

static void canary_row(struct cli_table *t, const struct curate_canary *c,
                       bool judged)
{
    char planted[24], survived[24], share[16], interval[64];

    (void)snprintf(planted, sizeof(planted), "%" PRIu64, c->planted);
    (void)snprintf(survived, sizeof(survived), "%" PRIu64, c->survived);
    (void)snprintf(share, sizeof(share), "%.1f",
                   c->planted ? 100.0 * (double)c->survived / (double)c->planted
                              : 0.0);
    (void)snprintf(interval, sizeof(interval), "%.1f to %.1f%s%s", 100 * c->low,
                   100 * c->high, c->kept ? ", by the settings" : "",
                   judged && curate_canary_lost(c) ? ", TOO MANY" : "");
    cli_table_row(t, c->name, planted, survived, share, interval, NULL);
}

static void put_canaries(const struct curate_report *r, struct buf *out)
{
    uint64_t planted = 0;

    for (size_t i = 0; i < r->canaries[CURATE_BY_TYPE]; i++)
        planted += r->canary[CURATE_BY_TYPE][i].planted;
    buf_str(out, "\nCanaries\n");
    if (!planted) {
        buf_str(out, "None was planted.\n");
        return;
    }
    buf_printf(out,
               "Persons who do not exist, planted into copies of calls and "
               "scrubbed in memory; 95 %% intervals. A type of which surely "
               "more than %g %% survive is too many.\n",
               100 * CURATE_CANARIES_LOST);
    for (int by = 0; by < 3; by++) {
        struct cli_table *t = cli_table_new("lrrrl", by_names[by], "planted",
                                            "survive", "%", "interval", NULL);

        for (size_t i = 0; i < r->canaries[by]; i++)
            canary_row(t, &r->canary[by][i], by == CURATE_BY_TYPE);
        cli_table_print(t, out);
        cli_table_free(t);
    }
}

static void put_rest(const struct curate_report *r, struct buf *out)
{
    buf_str(out, "\nWhat is left beside the surrogates\n");
    for (size_t i = 0; i < CURATE_RESTS; i++) {
        const struct curate_rest *x = &r->rest[i];

        buf_printf(out, "%s: %" PRIu64 ", %" PRIu64 " different\n", x->kind,
                   x->strings, x->values);
        for (size_t k = 0; k < x->shown_count; k++)
            buf_printf(out, "  call %lld, %s: %zu characters, #%s\n",
                       (long long)x->shown[k].place.call,
                       x->shown[k].place.where, x->shown[k].length,
                       x->shown[k].hash);
    }
}

static void put_quasi(const struct curate_report *r, struct buf *out)
{
    buf_printf(out,
               "\nIndirect identifiers\n%" PRIu64 " of %" PRIu64
               " conversations still tell age, date, job, place, sex or postal "
               "code. Combinations of two or more that fewer than %d "
               "conversations share:\n",
               r->quasi_conversations, r->conversations, CURATE_QUASI_K);
    if (!r->quasis)
        buf_str(out, "  none\n");
    for (size_t i = 0; i < r->quasis; i++)
        buf_printf(out,
                   "  %s: %" PRIu64 " combination%s in %" PRIu64
                   " conversation%s, the rarest %" PRIu64
                   " time%s, as in call %lld\n",
                   r->quasi[i].attributes, r->quasi[i].rare,
                   plural(r->quasi[i].rare), r->quasi[i].conversations,
                   plural(r->quasi[i].conversations), r->quasi[i].smallest,
                   plural(r->quasi[i].smallest), (long long)r->quasi[i].call);
}

static void put_categories(const struct curate_report *r, struct buf *out)
{
    struct cli_table *t = cli_table_new("lllrl", "", "category", "rules",
                                        "replaced", "how", NULL);

    for (size_t i = 0; i < CURATE_CATEGORIES; i++) {
        const struct curate_category *c = &r->category[i];
        char letter[2] = { c->letter, '\0' };
        char pieces[24];

        (void)snprintf(pieces, sizeof(pieces), "%" PRIu64, c->pieces);
        cli_table_row(t, letter, c->name, cover_name(c->cover), pieces,
                      c->kept ? "some or all kept by --action" : c->how, NULL);
    }
    buf_str(out, "\nIdentifiers of HIPAA's Safe Harbor, 45 CFR 164.514(b)(2): "
                 "what rules look for\n");
    cli_table_print(t, out);
    cli_table_free(t);
}

static void put_splits(const struct curate_report *r, struct buf *out)
{
    buf_printf(out,
               "\nSplits\ntrain %" PRIu64 ", validation %" PRIu64
               ", test %" PRIu64 " examples\n",
               r->splits[0], r->splits[1], r->splits[2]);
    buf_printf(out,
               "in two splits: %" PRIu64 " of %" PRIu64 " groups, %" PRIu64
               " of %" PRIu64 " different inputs, %" PRIu64 " of %" PRIu64
               " clusters of near duplicates\n",
               r->straddling, r->groups, r->inputs_straddling, r->inputs,
               r->clusters_straddling, r->clusters);
    buf_printf(out,
               "dropped: %" PRIu64 " duplicates, %" PRIu64
               " near duplicates, %" PRIu64 " retried calls\n",
               r->duplicates, r->near, r->retried);
}

void curate_report_text(const struct curate_report *r,
                        const struct scrub_rules *rules, const char *key_id,
                        struct buf *out)
{
    put_settings(r, rules, key_id, out);
    if (!r->examples)
        buf_str(out, "There is no example; nothing was shown.\n\n");
    put_known(r, out);
    put_types(r, out);
    put_canaries(r, out);
    put_rest(r, out);
    put_quasi(r, out);
    put_categories(r, out);
    put_splits(r, out);
    buf_str(
        out,
        "\nLimits\nA value that no rule knows is not in this report: a tool "
        "cannot show that there is none. Style, rare events and indirect "
        "identifiers can identify a person again without any name. Look at "
        "examples before you hand them on.\n");
}

static void json_place(struct json_writer *w, const struct curate_place *p)
{
    json_put_int(w, "call", p->call);
    json_put_string(w, "where", p->where);
}

static void json_types(struct json_writer *w, const struct curate_report *r)
{
    json_begin_array(w, "types");
    for (size_t i = 0; i < r->types; i++) {
        const struct curate_report_type *x = &r->type[i];

        if (!x->pieces && !x->reported)
            continue;
        json_begin_object(w, NULL);
        json_put_string(w, "type", x->type);
        json_put_int(w, "replaced", (int64_t)x->pieces);
        json_put_int(w, "values", (int64_t)x->values);
        json_put_int(w, "shape_only", (int64_t)x->reported);
        json_put_int(w, "survivors", (int64_t)x->survivors);
        json_put_int(w, "elsewhere", (int64_t)x->elsewhere);
        json_put_int(w, "too_short", (int64_t)x->too_short);
        json_put_int(w, "surrogates_of_others", (int64_t)x->coincide);
        if (x->place.call) {
            json_begin_object(w, "example");
            json_place(w, &x->place);
            json_put_string(w, "surrogate", x->surrogate);
            json_end_object(w);
        }
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_survivors(struct json_writer *w, const struct curate_report *r)
{
    json_put_int(w, "survivors", (int64_t)r->survivors);
    json_put_int(w, "elsewhere", (int64_t)r->elsewhere);
    json_put_int(w, "own_conversation", (int64_t)r->own);
    json_put_int(w, "time_zones", (int64_t)r->zones);
    json_put_int(w, "unsearched_bytes", (int64_t)r->unsearched);
    json_put_int(w, "unsearched_examples", (int64_t)r->unsearched_examples);
    json_begin_array(w, "not_sought");
    for (size_t i = 0; i < NOT_SOUGHT; i++)
        json_put_string(w, NULL, not_sought[i]);
    json_end_array(w);
    json_begin_array(w, "survivor");
    for (size_t i = 0; i < r->survivors_shown; i++) {
        json_begin_object(w, NULL);
        json_place(w, &r->survivor[i].place);
        json_put_int(w, "example", r->survivor[i].example);
        json_put_int(w, "examples", (int64_t)r->survivor[i].examples);
        json_put_string(w, "type", r->survivor[i].type);
        json_put_string(w, "form", r->survivor[i].form);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_canaries(struct json_writer *w, const struct curate_report *r)
{
    json_begin_object(w, "canaries");
    for (int by = 0; by < 3; by++) {
        json_begin_array(w, by_names[by]);
        for (size_t i = 0; i < r->canaries[by]; i++) {
            const struct curate_canary *c = &r->canary[by][i];

            json_begin_object(w, NULL);
            json_put_string(w, "name", c->name);
            json_put_int(w, "planted", (int64_t)c->planted);
            json_put_int(w, "survived", (int64_t)c->survived);
            json_put_double(w, "low", c->low);
            json_put_double(w, "high", c->high);
            json_put_bool(w, "too_many",
                          by == CURATE_BY_TYPE && curate_canary_lost(c));
            json_put_bool(w, "kept", c->kept);
            json_end_object(w);
        }
        json_end_array(w);
    }
    json_end_object(w);
}

static void json_rest(struct json_writer *w, const struct curate_report *r)
{
    json_begin_array(w, "left");
    for (size_t i = 0; i < CURATE_RESTS; i++) {
        const struct curate_rest *x = &r->rest[i];

        json_begin_object(w, NULL);
        json_put_string(w, "kind", x->kind);
        json_put_int(w, "strings", (int64_t)x->strings);
        json_put_int(w, "values", (int64_t)x->values);
        json_begin_array(w, "examples");
        for (size_t k = 0; k < x->shown_count; k++) {
            json_begin_object(w, NULL);
            json_place(w, &x->shown[k].place);
            json_put_int(w, "characters", (int64_t)x->shown[k].length);
            json_put_string(w, "hash", x->shown[k].hash);
            json_end_object(w);
        }
        json_end_array(w);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_quasi(struct json_writer *w, const struct curate_report *r)
{
    json_begin_object(w, "indirect");
    json_put_int(w, "k", CURATE_QUASI_K);
    json_put_int(w, "conversations", (int64_t)r->conversations);
    json_put_int(w, "with_attributes", (int64_t)r->quasi_conversations);
    json_begin_array(w, "rare");
    for (size_t i = 0; i < r->quasis; i++) {
        json_begin_object(w, NULL);
        json_put_string(w, "attributes", r->quasi[i].attributes);
        json_put_int(w, "combinations", (int64_t)r->quasi[i].rare);
        json_put_int(w, "conversations", (int64_t)r->quasi[i].conversations);
        json_put_int(w, "rarest", (int64_t)r->quasi[i].smallest);
        json_put_int(w, "call", r->quasi[i].call);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static void json_categories(struct json_writer *w,
                            const struct curate_report *r)
{
    json_begin_array(w, "safe_harbor");
    for (size_t i = 0; i < CURATE_CATEGORIES; i++) {
        const struct curate_category *c = &r->category[i];
        char letter[2] = { c->letter, '\0' };

        json_begin_object(w, NULL);
        json_put_string(w, "category", letter);
        json_put_string(w, "name", c->name);
        json_put_string(w, "rules", cover_name(c->cover));
        json_put_bool(w, "kept", c->kept);
        json_put_string(w, "how", c->how);
        json_put_int(w, "replaced", (int64_t)c->pieces);
        json_end_object(w);
    }
    json_end_array(w);
}

static void json_splits(struct json_writer *w, const struct curate_report *r)
{
    json_begin_object(w, "splits");
    for (size_t i = 0; i < 3; i++)
        json_put_int(w, curate_split_name((enum curate_split)i),
                     (int64_t)r->splits[i]);
    json_put_int(w, "groups", (int64_t)r->groups);
    json_put_int(w, "groups_in_two", (int64_t)r->straddling);
    json_put_int(w, "inputs", (int64_t)r->inputs);
    json_put_int(w, "inputs_in_two", (int64_t)r->inputs_straddling);
    json_put_int(w, "clusters", (int64_t)r->clusters);
    json_put_int(w, "clusters_in_two", (int64_t)r->clusters_straddling);
    json_put_int(w, "duplicates", (int64_t)r->duplicates);
    json_put_int(w, "near_duplicates", (int64_t)r->near);
    json_put_int(w, "retried", (int64_t)r->retried);
    json_end_object(w);
}

static void json_settings(struct json_writer *w, const struct curate_report *r,
                          const struct scrub_rules *rules, const char *key_id)
{
    const struct curate_settings *o = &curate_settings;
    char date[24];

    today(date);
    json_begin_object(w, "settings");
    json_put_string(w, "date", date);
    json_put_string(w, "rules_version", scrub_rules_version(rules));
    json_put_string(w, "key", key_id);
    json_put_string(w, "names", or_default(o->names, "tagger"));
    json_put_string(w, "scope", or_default(o->scope, "conversation"));
    json_put_bool(w, "strict", o->strict);
    json_put_string(w, "rules", or_default(o->rules, "none"));
    json_put_string(w, "keep", or_default(o->keep, "none"));
    json_begin_array(w, "actions");
    for (size_t i = curate_actions_from(&o->actions); i < o->actions.count; i++)
        json_put_string(w, NULL, o->actions.items[i]);
    json_end_array(w);
    json_begin_array(w, "kept_types");
    for (size_t i = 0; i < r->types; i++)
        if (r->type[i].kept)
            json_put_string(w, NULL, r->type[i].type);
    json_end_array(w);
    json_end_object(w);
}

void curate_report_json(const struct curate_report *r,
                        const struct scrub_rules *rules, const char *key_id,
                        struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.curate-report/1");
    json_put_bool(&w, "passes", curate_report_passes(r));
    json_settings(&w, r, rules, key_id);
    json_put_int(&w, "examples", (int64_t)r->examples);
    json_put_int(&w, "examples_as_today", (int64_t)r->same);
    json_put_int(&w, "examples_changed", (int64_t)r->changed);
    json_put_int(&w, "examples_without_call", (int64_t)r->gone);
    json_put_int(&w, "replaced", (int64_t)r->pieces);
    json_put_int(&w, "values", (int64_t)r->values);
    json_put_int(&w, "pieces_not_sought", (int64_t)r->unsought);
    json_put_int(&w, "conversations_limited", (int64_t)r->limited);
    json_survivors(&w, r);
    json_types(&w, r);
    json_canaries(&w, r);
    json_rest(&w, r);
    json_quasi(&w, r);
    json_categories(&w, r);
    json_splits(&w, r);
    json_end_object(&w);
    buf_char(out, '\n');
}

int curate_write_report(struct cli *cli, struct store *s,
                        const struct scrub_rules *rules,
                        const struct crypto_key *key, const char *file,
                        unsigned canaries, int *code, struct err *err)
{
    struct curate_report_options o = { rules, key, cli->threads, canaries,
                                       &cli->progress };
    struct curate_report r = { 0 };
    struct curate_output out = { 0 };
    struct buf text = { 0 };
    int rc = curate_report_run(s, &o, &r, err);

    cli_progress_end(cli);
    if (rc == ERR_OK) {
        char key_id[9];

        crypto_key_id(key, key_id);
        if (cli->json)
            curate_report_json(&r, rules, key_id, &text);
        else
            curate_report_text(&r, rules, key_id, &text);
        rc = curate_output_open(&out, file, err);
        if (rc == ERR_OK)
            rc = out.sink.put(out.sink.ctx, buf_slice(&text), err);
        rc = curate_output_close(&out, rc, err);
    }
    if (rc == ERR_OK && !r.examples)
        cli_warn(cli, "no example is kept: the report says nothing");
    if (rc == ERR_OK && !curate_report_passes(&r))
        *code = EXIT_FAILED;
    buf_release(&text);
    curate_report_release(&r);
    return rc;
}
