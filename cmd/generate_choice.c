/*
 * generate_choice.c - what may be written, where it stops, how it is chosen
 *
 * The parts of generating that the shell's user sets and the engine does not
 * know: files with forms, texts that end an answer, what a model's directory
 * says about sampling.
 */
#include "generate_choice.h"

#include "base/io.h"
#include "base/mem.h"
#include "json/json.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)1 << 20)

static int labels_open(const struct constrain_vocab *v, const char *list,
                       struct constrain **out, struct err *err)
{
    size_t count = 1, n = 0;
    struct slice *labels;
    int rc;

    for (const char *p = list; *p; p++)
        count += *p == ',';
    labels = mem_array(count, sizeof(*labels));
    for (const char *p = list; n < count; n++) {
        const char *end = strchrnul(p, ',');

        labels[n] = (struct slice){ p, (size_t)(end - p) };
        p = end + (*end == ',');
    }
    rc = constrain_labels(v, labels, count, out, err);
    free(labels);
    return rc < 0 ? err_wrap(err, "--labels") : rc;
}

int generate_form_open(const struct tokenizer *t, const char *schema_file,
                       const char *labels, const char *regex,
                       struct generate_form *out, struct err *err)
{
    struct buf text = { 0 };
    int rc = ERR_OK;

    if (!schema_file && !labels && !regex)
        return ERR_OK;
    rc = constrain_vocab_new(t, &out->vocab, err);
    if (rc == ERR_OK && schema_file)
        rc = io_read_file(schema_file, CONSTRAIN_MAX_TEXT, &text, err);
    if (rc == ERR_OK && schema_file) {
        rc = constrain_schema(out->vocab, buf_slice(&text), &out->form, err);
        if (rc < 0)
            rc = err_wrap(err, "%s", schema_file);
    } else if (rc == ERR_OK && labels) {
        rc = labels_open(out->vocab, labels, &out->form, err);
    } else if (rc == ERR_OK) {
        rc = constrain_regex(out->vocab, slice_of(regex), &out->form, err);
    }
    buf_release(&text);
    return rc;
}

void generate_form_release(struct generate_form *f)
{
    constrain_free(f->form);
    constrain_vocab_free(f->vocab);
}

/* The first stop in the text held; where it begins. */
static bool find_stop(const struct generate_stops *s, size_t *at)
{
    bool found = false;

    for (size_t i = 0; i < s->texts.count; i++) {
        const char *stop = s->texts.items[i];
        const char *hit = memmem(s->held.data, s->held.len, stop, strlen(stop));

        if (hit && (!found || (size_t)(hit - s->held.data) < *at)) {
            *at = (size_t)(hit - s->held.data);
            found = true;
        }
    }
    return found;
}

/* Bytes at the end of the text held that a stop begins with. */
static size_t open_stop(const struct generate_stops *s)
{
    size_t longest = 0;

    for (size_t i = 0; i < s->texts.count; i++) {
        const char *stop = s->texts.items[i];
        size_t n = strlen(stop) - 1;

        if (n > s->held.len)
            n = s->held.len;
        while (n > longest &&
               memcmp(s->held.data + s->held.len - n, stop, n) != 0)
            n--;
        if (n > longest)
            longest = n;
    }
    return longest;
}

void generate_stops_add(struct generate_stops *s, struct slice text,
                        struct buf *out)
{
    size_t at = 0, keep = 0;

    if (s->found || !text.n)
        return;
    buf_add_slice(&s->held, text);
    s->found = find_stop(s, &at);
    if (!s->found) {
        keep = open_stop(s);
        at = s->held.len - keep;
    }
    buf_add(out, s->held.data, at);
    memmove(s->held.data, s->held.data + at, keep);
    s->held.len = keep;
}

void generate_stops_end(struct generate_stops *s, struct buf *out)
{
    if (!s->found)
        buf_add_slice(out, buf_slice(&s->held));
    buf_release(&s->held);
}

/* Keep the likeliest ids of a row, an equal one behind those before it. */
static void rank(const float *logits, size_t n, double all, size_t top,
                 int32_t *ids, double *values)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        double x = (double)logits[i] - all;
        size_t k = count < top ? count++ : top;

        if (k == top && !(x > values[top - 1]))
            continue;
        k -= k == top;
        for (; k > 0 && values[k - 1] < x; k--) {
            values[k] = values[k - 1];
            ids[k] = ids[k - 1];
        }
        values[k] = x;
        ids[k] = (int32_t)i;
    }
}

void generate_logprobs_take(void *ctx, const float *logits, int32_t id)
{
    struct generate_logprobs *l = ctx;
    double all = 0, most = (double)logits[0];

    for (size_t i = 1; i < l->vocab; i++)
        most = fmax(most, (double)logits[i]);
    for (size_t i = 0; i < l->vocab; i++)
        all += exp((double)logits[i] - most);
    all = log(all) + most;
    if (l->count == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->chosen = mem_realloc(l->chosen, l->cap, sizeof(*l->chosen));
        l->ids = mem_realloc(l->ids, l->cap * l->top + 1, sizeof(*l->ids));
        l->values =
            mem_realloc(l->values, l->cap * l->top + 1, sizeof(*l->values));
    }
    l->chosen[l->count] = (double)logits[id] - all;
    if (l->top > 0)
        rank(logits, l->vocab, all, l->top, l->ids + l->count * l->top,
             l->values + l->count * l->top);
    l->count++;
}

void generate_logprobs_release(struct generate_logprobs *l)
{
    free(l->chosen);
    free(l->ids);
    free(l->values);
}

void generate_logprobs_put(struct json_writer *w, const struct tokenizer *t,
                           int32_t id, double logprob)
{
    struct buf bytes = { 0 };

    json_put_double(w, "logprob", logprob);
    if (!tokenizer_bytes(t, id, &bytes)) {
        json_put_null(w, "bytes");
        return;
    }
    json_begin_array(w, "bytes");
    for (size_t i = 0; i < bytes.len; i++)
        json_put_int(w, NULL, (unsigned char)bytes.data[i]);
    json_end_array(w);
    buf_release(&bytes);
}

static bool is_absent(const struct json *j, json_ref v)
{
    return !json_present(v) || json_is(j, v, JSON_NULL);
}

static int read_id(const struct json *j, json_ref v, int32_t vocab,
                   struct token_list *out, struct err *err)
{
    int64_t id;

    if (!json_int(j, v, &id) || id < 0 || id >= vocab)
        return err_set(err, ERR_FORMAT,
                       "\"eos_token_id\": %.*s is no id of the model's %ld",
                       (int)(json_raw(j, v).n < 40 ? json_raw(j, v).n : 40),
                       json_raw(j, v).p, (long)vocab);
    token_list_add(out, (int32_t)id);
    return ERR_OK;
}

static int read_ids(const struct json *j, int32_t vocab, struct token_list *out,
                    struct err *err)
{
    json_ref v = json_get(j, 0, "eos_token_id");
    int rc = ERR_OK;

    if (is_absent(j, v))
        return ERR_OK;
    if (!json_is(j, v, JSON_ARRAY))
        return read_id(j, v, vocab, out, err);
    for (json_ref e = json_first(j, v); e != JSON_NONE && rc == ERR_OK;
         e = json_next(j, v, e))
        rc = read_id(j, e, vocab, out, err);
    return rc;
}

/* What it asks for; absent members keep what is in *x. */
struct sampling_file {
    bool on;
    double temperature, top_p, top_k, min_p, repetition;
};

static int read_number(const struct json *j, const char *key, double most,
                       double *x, struct err *err)
{
    json_ref v = json_get(j, 0, key);

    if (is_absent(j, v))
        return ERR_OK;
    if (json_double(j, v, x) && *x >= 0 && *x <= most)
        return ERR_OK;
    return err_set(err, ERR_FORMAT, "\"%s\" is no number from 0 to %g", key,
                   most);
}

static int read_sampling(const struct json *j, struct sampling_file *f,
                         struct err *err)
{
    json_ref on = json_get(j, 0, "do_sample");
    int rc;

    if (!is_absent(j, on) && !json_bool(j, on, &f->on))
        return err_set(err, ERR_FORMAT,
                       "\"do_sample\" is neither true nor false");
    rc = read_number(j, "temperature", 1e6, &f->temperature, err);
    if (rc == ERR_OK)
        rc = read_number(j, "top_p", 1, &f->top_p, err);
    if (rc == ERR_OK)
        rc = read_number(j, "top_k", 1e9, &f->top_k, err);
    if (rc == ERR_OK && f->top_k > floor(f->top_k))
        rc = err_set(err, ERR_FORMAT, "\"top_k\" is no whole number");
    if (rc == ERR_OK)
        rc = read_number(j, "min_p", 1, &f->min_p, err);
    return rc == ERR_OK
               ? read_number(j, "repetition_penalty", 1e6, &f->repetition, err)
               : rc;
}

/* What sampling would divide by. */
static int check_sampling(const struct sampling_file *f,
                          const struct model_sampling *opt, struct err *err)
{
    if (f->on && !(opt->temperature > 0) && !(f->temperature > 0))
        return err_set(err, ERR_FORMAT,
                       "\"temperature\" is not above 0; set \"do_sample\" to "
                       "false for the likeliest tokens");
    if (!(opt->repetition > 0) && !(f->repetition > 0))
        return err_set(err, ERR_FORMAT,
                       "\"repetition_penalty\" is not above 0; 1 is none");
    return ERR_OK;
}

static void take_sampling(const struct sampling_file *f,
                          struct model_sampling *opt)
{
    if (f->on && !(opt->temperature > 0))
        opt->temperature = f->temperature;
    if (f->on && !(opt->top_p > 0 && opt->top_p < 1))
        opt->top_p = fmax(f->top_p, DBL_MIN); /* 0 leaves one token */
    if (f->on && opt->top_k == 0)
        opt->top_k = (int64_t)fmin(f->top_k, 1e6);
    if (f->on && !(opt->min_p > 0))
        opt->min_p = f->min_p;
    if (!(opt->repetition > 0))
        opt->repetition = f->repetition;
}

static int read_config(const struct json *j, bool sample, int32_t vocab,
                       struct token_list *stops, struct model_sampling *opt,
                       struct err *err)
{
    /* 50 where the file does not say */
    struct sampling_file f = {
        .temperature = 1, .top_p = 1, .top_k = 50, .repetition = 1
    };
    int rc;

    if (!json_is(j, 0, JSON_OBJECT))
        return err_set(err, ERR_FORMAT, "it is no JSON object");
    rc = read_ids(j, vocab, stops, err);
    if (rc == ERR_OK)
        rc = read_sampling(j, &f, err);
    if (rc == ERR_OK && sample)
        rc = check_sampling(&f, opt, err);
    if (rc == ERR_OK && sample)
        take_sampling(&f, opt);
    return rc;
}

int generate_config_read(const char *dir, bool sample, int32_t vocab,
                         struct token_list *stops, struct model_sampling *opt,
                         struct err *err)
{
    char *path = io_path(dir, "generation_config.json");
    struct json j = { 0 };
    struct buf text = { 0 };
    int rc = ERR_OK;

    if (!io_exists(path))
        goto done;
    rc = io_read_file(path, CONFIG_MAX, &text, err);
    if (rc == ERR_OK)
        rc = json_parse(&j, text.data ? text.data : "", text.len, err);
    if (rc == ERR_OK)
        rc = read_config(&j, sample, vocab, stops, opt, err);
    if (rc < 0)
        rc = err_wrap(err, "%s", path);
done:
    json_release(&j);
    buf_release(&text);
    free(path);
    return rc;
}
