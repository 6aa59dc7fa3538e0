/*
 * cmd_model_check.c - slmctl model check: the engine against a reference
 *
 * A reference lies beside a model or adapter: expected.safetensors and
 * expected.json. Each quantity has one number, the largest error over the
 * largest reference value, and a quantity of the reference that is not
 * computed here fails too.
 */
#include "device.h"
#include "cmd_model.h"
#include "cmd_model_values.h"
#include "pick_model.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *adapter_dir, *values_path;
static double tolerance = -1; /* the family's */

static const struct opt options[] = {
    { 0, "adapter", OPT_STRING, &adapter_dir, "DIR",
      "check this PEFT adapter on the model", .complete = COMPLETE_DIR },
    { 0, "tolerance", OPT_DOUBLE, &tolerance, "X",
      "largest error that passes, relative to the largest value (default: "
      "the family's)",
      .max = 1 },
    { 0, "values", OPT_STRING, &values_path, "FILE",
      "write what was computed as safetensors", .complete = COMPLETE_FILE },
    DEVICE_OPTIONS,
    OPT_END,
};

struct report {
    struct cli *cli;
    struct cli_table *table;
    struct json_writer json;
    struct buf out;
    unsigned failed;
};

static const struct model_value *find_value(const struct model_values *v,
                                            const char *name)
{
    for (size_t i = 0; i < v->count; i++)
        if (strcmp(v->items[i].name, name) == 0)
            return &v->items[i];
    return NULL;
}

static double at(const struct model_value *v, size_t i)
{
    return v->type == WEIGHTS_I32 ? ((const int32_t *)v->data)[i]
                                  : (double)((const float *)v->data)[i];
}

static bool is_l2(const char *name)
{
    return strncmp(name, "after8.", 7) == 0;
}

/* NAN where either has one. Trained parameters: relative L2 norm, since Adam
 * divides by tiny numbers. */
static double error_of(const struct model_value *v, const double *want,
                       size_t n)
{
    double worst = 0, top = 0, off = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        double d = at(v, i) - want[i];

        if (isnan(d))
            return (double)NAN;
        worst = fmax(worst, fabs(d));
        top = fmax(top, fabs(want[i]));
        off += d * d;
        all += want[i] * want[i];
    }
    if (is_l2(v->name))
        return sqrt(off) / fmax(sqrt(all), 1e-30);
    return worst / fmax(top, 1e-30);
}

/* The trace's parameters are eight steps of rounding away, each of which Adam
 * makes as large as any other change; where a model is steep (Qwen3.5, whose
 * reference rounds to f32 on the way) the last gradients' lengths move by
 * percents. */
static double limit_of(const char *name)
{
    if (strncmp(name, "dequantised.", 12) == 0)
        return 0;
    if (strncmp(name, "trace.grad_norm", 15) == 0)
        return 50 * tolerance;
    if (strcmp(name, "trace.loss") == 0)
        return tolerance / 10;
    return is_l2(name) ? 10 * tolerance : tolerance;
}

/* fault: why there is no error to report; NULL: there is. */
static void report(struct report *r, const char *name, double error,
                   const char *fault)
{
    bool pass = !fault && error <= limit_of(name);
    const char *verdict = pass ? "ok" : fault ? fault : "over";
    char *text = fault ? mem_strdup("-") : mem_printf("%.2e", error);

    r->failed += !pass;
    if (r->cli->json) {
        json_begin_object(&r->json, NULL);
        json_put_string(&r->json, "quantity", name);
        if (!fault && isfinite(error))
            json_put_double(&r->json, "error", error);
        json_put_string(&r->json, "verdict", verdict);
        json_end_object(&r->json);
    } else {
        cli_table_row(r->table, name, text, verdict, NULL);
    }
    free(text);
}

static void compare(struct report *r, const struct model_values *v,
                    const char *name, const double *want, size_t n)
{
    const struct model_value *got = find_value(v, name);

    if (!got)
        report(r, name, 0, "not computed");
    else if (got->count != n)
        report(r, name, 0, "of another shape");
    else
        report(r, name, error_of(got, want, n), NULL);
}

static int compare_tensor(struct report *r, const struct model_values *v,
                          const struct weights_tensor *t, const char *name,
                          struct err *err)
{
    size_t n = (size_t)weights_elements(t);
    float *narrow = mem_array(n, sizeof(*narrow));
    double *want = mem_array(n, sizeof(*want));
    int rc = weights_to_f32(t, narrow, err);

    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        want[i] = (double)narrow[i];
    if (rc == ERR_OK)
        compare(r, v, name, want, n);
    free(narrow);
    free(want);
    return rc;
}

static void compare_numbers(struct report *r, const struct model_values *v,
                            const struct json *j)
{
    static const char *const names[] = { "loss", "full_grad_norm",
                                         "grad_norm" };
    json_ref list = json_get(j, 0, "greedy");
    size_t n = 0;
    double *want, x;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_double(j, json_get(j, 0, names[i]), &x))
            compare(r, v, names[i], &x, 1);
    if (!json_is(j, list, JSON_ARRAY))
        return;
    want = mem_array(json_count(j, list), sizeof(*want));
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        want[n++] = json_double(j, e, &x) ? x : (double)NAN;
    compare(r, v, "greedy", want, n);
    free(want);
}

/* Numbers under `field` of the members or elements of `list`. */
static void compare_field(struct report *r, const struct model_values *v,
                          const struct json *j, json_ref list, const char *name,
                          const char *field)
{
    double *want = mem_array(json_count(j, list) + 1, sizeof(*want));
    size_t n = 0;

    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        n += json_double(j, json_get(j, e, field), &want[n]);
    if (n > 0)
        compare(r, v, name, want, n);
    free(want);
}

static void compare_trace(struct report *r, const struct model_values *v,
                          const struct json *j)
{
    json_ref trace = json_get(j, 0, "trace");

    if (!json_is(j, trace, JSON_ARRAY))
        return;
    compare_field(r, v, j, trace, "trace.loss", "loss");
    compare_field(r, v, j, trace, "trace.grad_norm_before_clip",
                  "grad_norm_before_clip");
}

static int compare_distill(struct report *r, const struct model_values *v,
                           const struct model_reference *own, struct err *err)
{
    const struct json *j = &own->j;
    json_ref all = json_get(j, 0, "distill");
    int rc = ERR_OK;

    for (json_ref e = json_first(j, all); e != JSON_NONE;
         e = json_next(j, all, e)) {
        char *key = json_strdup(j, json_key(j, e));
        char *name = mem_printf("distill.%s.loss", key);
        double x;

        if (json_double(j, json_get(j, e, "loss"), &x))
            compare(r, v, name, &x, 1);
        free(name);
        free(key);
    }
    for (size_t i = 0; i < weights_count(own->distill) && rc == ERR_OK; i++) {
        const struct weights_tensor *t = weights_at(own->distill, i);

        if (strstr(t->name, ".grad."))
            rc = compare_tensor(r, v, t, t->name, err);
    }
    return rc;
}

static int compare_all(struct report *r, const struct model_values *v,
                       const struct model_reference *own, bool adapter,
                       struct err *err)
{
    int rc = ERR_OK;

    if (!own->shared || adapter) {
        compare_numbers(r, v, &own->j);
        compare_trace(r, v, &own->j);
    }
    for (size_t i = 0; i < weights_count(own->tensors) && rc == ERR_OK; i++) {
        const struct weights_tensor *t = weights_at(own->tensors, i);

        if (!model_reference_skips(own, adapter, t->name))
            rc = compare_tensor(r, v, t, t->name, err);
    }
    if (rc == ERR_OK && own->packed && weights_find(own->packed, "logits"))
        rc = compare_tensor(r, v, weights_find(own->packed, "logits"),
                            "packed.logits", err);
    if (rc == ERR_OK && own->distill)
        rc = compare_distill(r, v, own, err);
    return rc;
}

static int write_values(const struct model_values *v, struct err *err)
{
    struct weights_tensor *t = mem_array(v->count, sizeof(*t));
    int rc;

    for (size_t i = 0; i < v->count; i++) {
        const struct model_value *x = &v->items[i];

        t[i] = (struct weights_tensor){ .name = x->name,
                                        .type = x->type,
                                        .dims = x->dims,
                                        .data = x->data,
                                        .bytes = x->count * 4 };
        memcpy(t[i].shape, x->shape, sizeof(x->shape));
    }
    rc = weights_write(values_path, t, v->count, NULL, err);
    free(t);
    return rc;
}

/* Unless one was typed: the family's. */
static int tolerance_set(const char *dir, bool encoder, struct err *err)
{
    struct model_config config;
    int rc = ERR_OK;

    if (tolerance >= 0)
        return ERR_OK;
    tolerance = 1e-4;
    if (!encoder)
        rc = model_config_read(dir, &config, err);
    if (rc == ERR_OK && !encoder)
        tolerance = model_config_tolerance(&config);
    return rc;
}

static int compute_values(const struct picked_model *p,
                          const struct model_reference *base,
                          const struct model_reference *own,
                          struct compute *compute, struct model_values *v,
                          struct err *err)
{
    if (model_encoder_is(p->dir))
        return model_encoder_compute(p->dir, base, compute, v, err);
    return model_values_compute(p->dir, p->adapter, base, own, compute, v, err);
}

/* On the CPU, if "auto" took a GPU on which it does not fit. */
static int compute_where_it_fits(struct cli *cli, const struct picked_model *p,
                                 const struct model_reference *base,
                                 const struct model_reference *own,
                                 struct model_values *v, struct err *err)
{
    struct compute *compute = NULL;
    int rc = device_open(cli, NULL, &compute, err);

    if (rc == ERR_OK)
        rc = compute_values(p, base, own, compute, v, err);
    if (rc < 0 && device_falls_back(compute, err)) {
        model_values_release(v);
        *v = (struct model_values){ 0 };
        rc = device_fall_back(cli, &compute, err);
        if (rc == ERR_OK)
            rc = compute_values(p, base, own, compute, v, err);
    }
    if (rc < 0)
        rc = device_advise(compute, err, "--device cpu takes none");
    compute_close(compute);
    return rc;
}

static int check(struct report *r, const struct picked_model *p,
                 struct err *err)
{
    struct model_reference base = { 0 }, adapted = { 0 };
    const struct model_reference *own = &base;
    struct model_values v = { 0 };
    bool encoder = model_encoder_is(p->dir);
    int rc = ERR_OK;

    if (encoder && p->adapter)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: adapters on an encoder are not supported; leave "
                     "--adapter out",
                     p->dir);
    if (rc == ERR_OK)
        rc = model_reference_open(p->dir, &base, err);
    if (rc == ERR_OK && p->adapter &&
        (!base.shared || model_reference_exists(p->adapter))) {
        rc = model_reference_open(p->adapter, &adapted, err);
        own = &adapted;
    }
    if (rc == ERR_OK)
        rc = tolerance_set(p->dir, encoder, err);
    if (rc == ERR_OK)
        rc = compute_where_it_fits(r->cli, p, &base, own, &v, err);
    if (rc == ERR_OK)
        rc = compare_all(r, &v, own, p->adapter != NULL, err);
    if (rc == ERR_OK && values_path)
        rc = write_values(&v, err);
    model_values_release(&v);
    model_reference_release(&base);
    model_reference_release(&adapted);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct report r = { .cli = cli };
    struct picked_model picked;
    struct err err;
    int rc;

    (void)argc;
    if (values_path && strcmp(values_path, "-") == 0)
        return cli_usage(cli, "--values -: a safetensors file is not written "
                              "to standard output; name a file");
    if (!device_choice.device)
        device_choice.device = "cpu";
    rc = pick_model(cli, argv[0], adapter_dir, NULL, &picked, &err);
    r.table = cli_table_new("lrl", "quantity", "error", "verdict", NULL);
    json_writer_init(&r.json, &r.out, true);
    if (cli->json) {
        json_begin_document(&r.json, "slmctl.model-check/1");
        json_begin_array(&r.json, "quantities");
    }
    if (rc == ERR_OK)
        rc = check(&r, &picked, &err);
    if (rc == ERR_OK && cli->json) {
        json_end_array(&r.json);
        json_end_object(&r.json);
        buf_char(&r.out, '\n');
    } else if (rc == ERR_OK) {
        cli_table_print(r.table, &r.out);
    }
    rc = rc < 0 ? cli_fail(cli, &err) : cli_write(cli, &r.out);
    if (rc == EXIT_DONE && r.failed)
        rc = EXIT_FAILED;
    picked_model_release(&picked);
    cli_table_free(r.table);
    buf_release(&r.out);
    return rc;
}

const struct command model_check = {
    .name = "check",
    .summary = "compare the engine with reference values",
    .operands = "DIR|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_THREADS,
    .complete = COMPLETE_MODEL,
    .run = run,
};
