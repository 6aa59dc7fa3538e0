/*
 * score_price.c - what hosted models cost
 *
 * Reads the project's table (tab-separated) or LiteLLM's JSON, whichever the
 * file is. A model is found by the longest name that begins the logged one and
 * ends at a joint, so that dated versions find their family and no model finds
 * its cheaper sister.
 */
#include "assets/assets.h"
#include "base/io.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"
#include "scoring/scoring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PRICES_MAX_BYTES ((size_t)32 << 20)
#define PRICES_MAX_ROWS 100000
#define FIELDS 7

struct score_prices {
    struct score_price *list;
    size_t count, cap;
    size_t odd; /* models with a price that cannot be one */
    char *what; /* the first of them */
};

static void price_add(struct score_prices *p, struct score_price price)
{
    mem_grow((void **)&p->list, &p->cap, p->count + 1, sizeof(*p->list));
    p->list[p->count++] = price;
}

/* "-" is unknown: NaN. */
static bool amount_read(struct slice s, double *out)
{
    char *text = slice_dup(s), *end;
    bool fine;

    *out = strtod(text, &end);
    fine = s.n > 0 && *end == '\0' && isfinite(*out) && *out >= 0;
    if (slice_is(s, "-")) {
        *out = (double)NAN;
        fine = true;
    }
    free(text);
    return fine;
}

static size_t fields_split(struct slice line, struct slice *out, size_t max)
{
    size_t n = 0;

    for (size_t from = 0; n < max; n++) {
        const char *tab = memchr(line.p + from, '\t', line.n - from);
        size_t end = tab ? (size_t)(tab - line.p) : line.n;

        out[n] = slice_trim((struct slice){ line.p + from, end - from });
        if (!tab)
            return n + 1;
        from = end + 1;
    }
    return n;
}

static int line_read(struct score_prices *p, struct slice line,
                     const char *name, size_t number, struct err *err)
{
    struct slice f[FIELDS];
    struct score_price price;

    if (fields_split(line, f, FIELDS) != FIELDS || f[0].n == 0)
        return err_set(err, ERR_FORMAT, "%s:%zu: want %d tab-separated fields",
                       name, number, FIELDS);
    if (!amount_read(f[1], &price.input) || !amount_read(f[2], &price.cached) ||
        !amount_read(f[3], &price.output))
        return err_set(
            err, ERR_FORMAT,
            "%s:%zu: the price of %.*s is negative or no number, and "
            "not -",
            name, number, (int)(f[0].n < 80 ? f[0].n : 80), f[0].p);
    if (p->count >= PRICES_MAX_ROWS)
        return err_set(err, ERR_LIMIT, "%s: more than %d rows", name,
                       PRICES_MAX_ROWS);
    price.model = slice_dup(f[0]);
    price.date = slice_dup(f[4]);
    price.kind = slice_dup(f[5]);
    price.source = slice_dup(f[6]);
    price_add(p, price);
    return ERR_OK;
}

static int table_read(struct score_prices *p, struct slice text,
                      const char *name, struct err *err)
{
    size_t number = 0;

    for (size_t i = 0; i < text.n;) {
        const char *end = memchr(text.p + i, '\n', text.n - i);
        size_t n = end ? (size_t)(end - text.p) - i : text.n - i;
        struct slice line = { text.p + i, n };
        int rc = ERR_OK;

        number++;
        if (slice_trim(line).n > 0 && line.p[0] != '#')
            rc = line_read(p, line, name, number, err);
        if (rc < 0)
            return rc;
        i += n + 1;
    }
    return ERR_OK;
}

/* *odd: the key, where its value cannot be a price. Images and sound have none
 * of tokens: that is no fault. */
static double token_price(const struct json *j, json_ref model, const char *key,
                          const char **odd)
{
    json_ref value = json_get(j, model, key);
    double v;

    if (!json_present(value) || json_is(j, value, JSON_NULL))
        return (double)NAN;
    if (json_double(j, value, &v) && isfinite(v) && v >= 0)
        return v * 1e6;
    if (!*odd)
        *odd = key;
    return (double)NAN;
}

/* Names and values as they stand in the file, without line breaks. */
static void odd_add(struct score_prices *p, const struct json *j,
                    json_ref model, const char *key, const char *name)
{
    struct slice id = json_raw(j, json_key(j, model));
    json_ref v = json_get(j, model, key);
    struct slice value = json_raw(j, v);

    if (slice_is(id, "\"sample_spec\"") || p->odd++)
        return; /* the first row tells what rows may have */
    if (!json_is(j, v, JSON_STRING) && !json_is(j, v, JSON_NUMBER))
        value = slice_of("no number");
    p->what = mem_printf("%s: model %.*s: %s is %.*s, which is no price", name,
                         (int)(id.n < 80 ? id.n : 80), id.p, key,
                         (int)(value.n < 40 ? value.n : 40), value.p);
}

static void litellm_model(struct score_prices *p, const struct json *j,
                          json_ref m, const char *name)
{
    const char *odd = NULL;
    struct score_price price = {
        .input = token_price(j, m, "input_cost_per_token", &odd),
        .cached = token_price(j, m, "cache_read_input_token_cost", &odd),
        .output = token_price(j, m, "output_cost_per_token", &odd),
    };

    if (odd)
        odd_add(p, j, m, odd, name);
    if (odd || isnan(price.input) || isnan(price.output) ||
        p->count >= PRICES_MAX_ROWS)
        return;
    price.model = json_strdup(j, json_key(j, m));
    price.date = mem_strdup("-");
    price.kind = mem_strdup("second");
    price.source = mem_strdup(name);
    price_add(p, price);
}

static int litellm_read(struct score_prices *p, struct slice text,
                        const char *name, struct err *err)
{
    struct json j = { 0 };
    int rc = json_parse(&j, text.p, text.n, err);

    if (rc < 0)
        rc = err_wrap(err, "%s", name);
    for (json_ref m = rc < 0 ? JSON_NONE : json_first(&j, 0); m != JSON_NONE;
         m = json_next(&j, 0, m))
        litellm_model(p, &j, m, name);
    json_release(&j);
    return rc;
}

static int prices_read(struct score_prices *p, struct slice text,
                       const char *name, struct err *err)
{
    int rc = slice_starts(slice_trim(text), "{")
                 ? litellm_read(p, text, name, err)
                 : table_read(p, text, name, err);

    if (rc == ERR_OK && p->odd && !p->count)
        return err_set(err, ERR_FORMAT, "%s; it has no other prices", p->what);
    if (rc == ERR_OK && !p->count)
        return err_set(
            err, ERR_FORMAT,
            "%s: there are no prices of tokens in it; give LiteLLM's "
            "table, or lines of %d fields with tabs",
            name, FIELDS);
    return rc;
}

int score_prices_open(const char *path, struct score_prices **out,
                      struct err *err)
{
    struct score_prices *p = mem_zalloc(sizeof(*p));
    const struct asset *shipped = assets_find("prices.tsv");
    struct buf file = { 0 };
    int rc;

    if (path) {
        rc = io_read_file(path, PRICES_MAX_BYTES, &file, err);
        if (rc == ERR_OK)
            rc = prices_read(p, buf_slice(&file), path, err);
    } else {
        rc = prices_read(p, shipped ? assets_text(shipped) : slice_of(NULL),
                         "prices.tsv", err);
    }
    buf_release(&file);
    if (rc < 0)
        score_prices_free(p);
    else
        *out = p;
    return rc;
}

void score_prices_free(struct score_prices *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->count; i++) {
        free(p->list[i].model);
        free(p->list[i].date);
        free(p->list[i].kind);
        free(p->list[i].source);
    }
    free(p->list);
    free(p->what);
    free(p);
}

size_t score_prices_odd(const struct score_prices *p, const char **what)
{
    *what = p->what;
    return p->odd;
}

/* The rest of a version's name: nothing, or a joint and a date or a tag that
 * is no name of its own ("-mini" is). */
static bool is_version(const char *rest)
{
    if (*rest == '\0' || *rest == '@' || *rest == ':')
        return true;
    if (*rest != '-')
        return false;
    return (rest[1] >= '0' && rest[1] <= '9') || strcmp(rest, "-latest") == 0 ||
           strcmp(rest, "-preview") == 0 || strncmp(rest, "-instruct", 9) == 0;
}

const struct score_price *score_prices_find(const struct score_prices *p,
                                            const char *model)
{
    const struct score_price *best = NULL;
    const char *slash = strrchr(model, '/'); /* openai/gpt-4o */
    size_t length = 0;

    for (size_t i = 0; i < p->count; i++) {
        const char *name = p->list[i].model;
        size_t n = strlen(name);

        if (n > length && strncmp(model, name, n) == 0 &&
            is_version(model + n)) {
            best = &p->list[i];
            length = n;
        }
    }
    return best || !slash ? best : score_prices_find(p, slash + 1);
}

double score_price_calls(const struct score_price *p, double tokens_in,
                         double tokens_cached, double tokens_out)
{
    double cached = isnan(p->cached) ? p->input : p->cached;

    tokens_cached =
        fmin(tokens_cached, tokens_in); /* logs say what they like */
    return 1000 *
           ((tokens_in - tokens_cached) * p->input + tokens_cached * cached +
            tokens_out * p->output) /
           1e6;
}
