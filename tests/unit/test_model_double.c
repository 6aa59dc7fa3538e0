/* test_model_double.c - a decoder written plainly in double, from the
 * formulas: the engine's logits must agree with it, and the engine's
 * gradients with its finite differences, tensor by tensor */
#include "ok.h"
#include "suite.h"

#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 23
#define MAX_TENSORS 64

/* The plain decoder: values of every tensor by name. */
struct plain {
    struct model_config c;
    const char *names[2 * MAX_TENSORS];
    double *values[2 * MAX_TENSORS];
    size_t counts[2 * MAX_TENSORS], count;
    double scale; /* of the adapter */
    const struct model_batch *b;
    double *logits;
};

static double *tensor(const struct plain *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->names[i], name) == 0)
            return p->values[i];
    return NULL;
}

static double *part(const struct plain *p, size_t layer, const char *name)
{
    char full[128];

    (void)snprintf(full, sizeof(full), "model.layers.%zu.%s", layer, name);
    return tensor(p, full);
}

static void product(double *y, const double *x, const double *w, size_t n,
                    size_t k)
{
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        for (size_t j = 0; j < k; j++)
            y[i] += w[i * k + j] * x[j];
    }
}

/* y = W x + b + scale B A x */
static void linear(const struct plain *p, size_t layer, const char *module,
                   double *y, const double *x, size_t n, size_t k)
{
    char name[64];
    double *a, *b, *bias, low[8], delta[64];

    (void)snprintf(name, sizeof(name), "%s.weight", module);
    product(y, x, part(p, layer, name), n, k);
    (void)snprintf(name, sizeof(name), "%s.bias", module);
    bias = part(p, layer, name);
    (void)snprintf(name, sizeof(name), "%s.lora_A.weight", module);
    a = part(p, layer, name);
    (void)snprintf(name, sizeof(name), "%s.lora_B.weight", module);
    b = part(p, layer, name);
    if (a) {
        product(low, x, a, 3, k);
        product(delta, low, b, n, 3);
    }
    for (size_t i = 0; i < n; i++)
        y[i] += (bias ? bias[i] : 0) + (a ? p->scale * delta[i] : 0);
}

static void norm(const struct plain *p, double *y, const double *x,
                 const double *w)
{
    size_t d = (size_t)p->c.hidden;
    double s = 0;

    for (size_t i = 0; i < d; i++)
        s += x[i] * x[i];
    s = 1 / sqrt(s / (double)d + p->c.norm_eps);
    for (size_t i = 0; i < d; i++)
        y[i] = x[i] * s * w[i];
}

static double frequency(const struct model_config *c, size_t i)
{
    double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
    double wave = 2 * M_PI / f, original = (double)c->rope_original, smooth;

    if (c->rope == MODEL_ROPE_LINEAR)
        return f / c->rope_factor;
    if (c->rope == MODEL_ROPE_YARN) {
        /* of pairs 0..3, the first turns fast and the last slowly */
        double part = fmin((double)i / 3, 1);

        return f / c->rope_factor * part + f * (1 - part);
    }
    if (c->rope == MODEL_ROPE_DEFAULT || wave < original / c->rope_high)
        return f;
    if (wave > original / c->rope_low)
        return f / c->rope_factor;
    smooth = (original / wave - c->rope_low) / (c->rope_high - c->rope_low);
    return (1 - smooth) * f / c->rope_factor + smooth * f;
}

static void rope(const struct plain *p, double *x, size_t heads, int32_t at)
{
    size_t dim = (size_t)p->c.head_dim, half = dim / 2;
    double by = p->c.rope_attention > 0 ? p->c.rope_attention : 1;

    for (size_t h = 0; h < heads; h++, x += dim)
        for (size_t i = 0; i < half; i++) {
            double t = at * frequency(&p->c, i), a = x[i], b = x[i + half];

            x[i] = (a * cos(t) - b * sin(t)) * by;
            x[i + half] = (b * cos(t) + a * sin(t)) * by;
        }
}

struct qkv {
    double q[ROWS][64], k[ROWS][64], v[ROWS][64];
};

static void attend(const struct plain *p, const struct qkv *s, int32_t from,
                   int32_t row, double *o)
{
    size_t dim = (size_t)p->c.head_dim, heads = (size_t)p->c.heads;
    size_t group = heads / (size_t)p->c.kv_heads;

    memset(o, 0, heads * dim * sizeof(*o));
    for (size_t h = 0; h < heads; h++) {
        size_t kv = h / group * dim;
        double w[ROWS], sum = 0;

        for (int32_t j = from; j <= row; j++) {
            double dot = 0;

            for (size_t i = 0; i < dim; i++)
                dot += s->q[row][h * dim + i] * s->k[j][kv + i];
            sum += w[j] = exp(dot / sqrt((double)dim));
        }
        for (int32_t j = from; j <= row; j++)
            for (size_t i = 0; i < dim; i++)
                o[h * dim + i] += w[j] / sum * s->v[j][kv + i];
    }
}

static void layer(const struct plain *p, size_t l, double (*x)[64])
{
    static struct qkv s;
    size_t d = (size_t)p->c.hidden, f = (size_t)p->c.ffn;
    size_t q = (size_t)(p->c.heads * p->c.head_dim);
    size_t kv = (size_t)(p->c.kv_heads * p->c.head_dim);
    double n[64], o[64], y[64], gate[64], up[64];

    for (size_t r = 0; r < ROWS; r++) {
        norm(p, n, x[r], part(p, l, "input_layernorm.weight"));
        linear(p, l, "self_attn.q_proj", s.q[r], n, q, d);
        linear(p, l, "self_attn.k_proj", s.k[r], n, kv, d);
        linear(p, l, "self_attn.v_proj", s.v[r], n, kv, d);
        rope(p, s.q[r], (size_t)p->c.heads, p->b->positions[r]);
        rope(p, s.k[r], (size_t)p->c.kv_heads, p->b->positions[r]);
    }
    for (int32_t r = 0; r < ROWS; r++) {
        attend(p, &s, r - p->b->positions[r], r, o);
        linear(p, l, "self_attn.o_proj", y, o, d, q);
        for (size_t i = 0; i < d; i++)
            x[r][i] += y[i];
        norm(p, n, x[r], part(p, l, "post_attention_layernorm.weight"));
        linear(p, l, "mlp.gate_proj", gate, n, f, d);
        linear(p, l, "mlp.up_proj", up, n, f, d);
        for (size_t i = 0; i < f; i++)
            up[i] *= gate[i] / (1 + exp(-gate[i]));
        linear(p, l, "mlp.down_proj", y, up, d, f);
        for (size_t i = 0; i < d; i++)
            x[r][i] += y[i];
    }
}

/* Mean loss over the labelled rows; fills p->logits. */
static double plain_loss(struct plain *p)
{
    size_t d = (size_t)p->c.hidden, vocab = (size_t)p->c.vocab, labelled = 0;
    const double *embed = tensor(p, "model.embed_tokens.weight");
    const double *head = p->c.tied ? embed : tensor(p, "lm_head.weight");
    double x[ROWS][64], n[64], loss = 0;

    for (size_t r = 0; r < ROWS; r++)
        memcpy(x[r], embed + (size_t)p->b->ids[r] * d, d * sizeof(double));
    for (size_t l = 0; l < (size_t)p->c.layers; l++)
        layer(p, l, x);
    for (size_t r = 0; r < ROWS; r++) {
        double *row = p->logits + r * vocab, sum = 0;

        norm(p, n, x[r], tensor(p, "model.norm.weight"));
        product(row, n, head, vocab, d);
        if (p->b->labels[r] < 0)
            continue;
        for (size_t v = 0; v < vocab; v++)
            sum += exp(row[v]);
        loss += log(sum) - row[p->b->labels[r]];
        labelled++;
    }
    return loss / (double)labelled;
}

static void plain_take(struct plain *p, struct model *m, bool adapter)
{
    const struct model_tensor *t;
    size_t n = model_tensors(m, adapter, &t);

    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * (size_t)(t[i].cols ? t[i].cols : 1);
        float *x = mem_array(count, sizeof(*x));
        double *v = mem_array(count, sizeof(*v));

        model_download(m, t[i].value, x, count);
        for (size_t k = 0; k < count; k++)
            v[k] = (double)x[k];
        free(x);
        p->names[p->count] = t[i].name;
        p->counts[p->count] = count;
        p->values[p->count++] = v;
    }
}

/* Random values where a new model has constants. */
static void stir(struct compute *c, struct model *m, bool adapter)
{
    const struct model_tensor *t;
    size_t n = model_tensors(m, adapter, &t);
    struct rng rng;

    rng_init(&rng, 11);
    for (size_t i = 0; i < n; i++) {
        size_t count = (size_t)t[i].rows * (size_t)(t[i].cols ? t[i].cols : 1);
        float *x = mem_array(count, sizeof(*x));

        for (size_t k = 0; k < count; k++)
            x[k] = (float)(0.3 * rng_normal(&rng) + (t[i].cols ? 0 : 0.8));
        c->ops->upload(c, t[i].value, x, count);
        free(x);
    }
}

static void check_tensor(struct plain *p, struct model *m, size_t at,
                         struct compute_span grad, struct rng *rng)
{
    size_t count = p->counts[at];
    float *g = mem_array(count, sizeof(*g));
    double top = 0;

    model_download(m, grad, g, count);
    for (size_t i = 0; i < count; i++)
        top = fmax(top, fabs((double)g[i]));
    for (int n = 0; n < 6; n++) {
        size_t i = rng_below(rng, count);
        double *x = &p->values[at][i], old = *x, up, down;

        *x = old + 1e-5;
        up = plain_loss(p);
        *x = old - 1e-5;
        down = plain_loss(p);
        *x = old;
        ck_assert_msg(fabs((double)g[i] - (up - down) / 2e-5) <=
                          1e-4 * top + 1e-8,
                      "%s[%zu]: %g, not %g", p->names[at], i, (double)g[i],
                      (up - down) / 2e-5);
    }
    free(g);
}

static const struct model_config configs[] = {
    { .family = "llama",
      .vocab = 37,
      .hidden = 20,
      .ffn = 28,
      .layers = 2,
      .heads = 6,
      .kv_heads = 2,
      .head_dim = 6,
      .context = 64,
      .norm_eps = 1e-5,
      .rope_theta = 10000,
      .tied = true,
      .init_range = 0.3 },
    { .family = "llama",
      .vocab = 33,
      .hidden = 18,
      .ffn = 30,
      .layers = 2,
      .heads = 3,
      .kv_heads = 3,
      .head_dim = 8,
      .context = 64,
      .norm_eps = 1e-6,
      .rope_theta = 500,
      .attn_bias = true,
      .mlp_bias = true,
      .init_range = 0.3,
      .rope = MODEL_ROPE_LLAMA3,
      .rope_factor = 4,
      .rope_low = 1,
      .rope_high = 4,
      .rope_original = 16 },
    { .family = "llama",
      .vocab = 33,
      .hidden = 16,
      .ffn = 17,
      .layers = 1,
      .heads = 2,
      .kv_heads = 1,
      .head_dim = 4,
      .context = 64,
      .norm_eps = 1e-6,
      .rope_theta = 100,
      .tied = true,
      .init_range = 0.3,
      .rope = MODEL_ROPE_LINEAR,
      .rope_factor = 2.5 },
    { .family = "llama",
      .vocab = 33,
      .hidden = 16,
      .ffn = 17,
      .layers = 1,
      .heads = 2,
      .kv_heads = 1,
      .head_dim = 8,
      .context = 64,
      .norm_eps = 1e-6,
      .rope_theta = 100,
      .tied = true,
      .init_range = 0.3,
      .rope = MODEL_ROPE_YARN,
      .rope_factor = 4,
      .rope_low = 1,
      .rope_high = 8,
      .rope_original = 64,
      .rope_attention = 1.14 },
};

/* Two documents; every third row has no label. */
struct batch {
    int32_t ids[ROWS], labels[ROWS], positions[ROWS], starts[3];
    struct model_batch b;
};

static void fill_batch(struct batch *x, int32_t vocab)
{
    for (int32_t i = 0; i < ROWS; i++) {
        x->ids[i] = (i * 7 + 3) % vocab;
        x->labels[i] = i % 3 == 0 ? -100 : (i * 5 + 1) % vocab;
        x->positions[i] = i < 9 ? i : i - 9;
    }
    x->starts[0] = 0;
    x->starts[1] = 9;
    x->starts[2] = ROWS;
    x->b = (struct model_batch){ x->ids, x->labels, x->positions,
                                 ROWS,   x->starts, 2 };
}

static void check_logits(struct plain *p, struct model *m)
{
    size_t n = ROWS * (size_t)p->c.vocab;
    float *x = mem_array(n, sizeof(*x));
    double top = 0, worst = 0;

    OK(model_batch_logits(m, p->b, x, &err));
    for (size_t i = 0; i < n; i++) {
        top = fmax(top, fabs(p->logits[i]));
        worst = fmax(worst, fabs(p->logits[i] - (double)x[i]));
    }
    ck_assert_msg(worst < 1e-5 * top, "logits %g of %g", worst, top);
    free(x);
}

static void check_model(const struct model_config *config, const char *kernels,
                        bool adapter)
{
    struct compute_options opt = { .kernels = kernels, .threads = 2 };
    struct model_adapter a = { .rank = 3, .scale = 0.7 };
    struct plain p = { .c = *config, .scale = 0.7 };
    struct batch batch;
    struct compute *c;
    struct model *m;
    struct model_trained t;
    const struct model_tensor *list;
    struct rng rng;
    double nll, loss;
    size_t count, n;

    if (compute_open(&opt, &c, &err) < 0) {
        (void)printf("skip: %s: %s\n", kernels, err.msg);
        return;
    }
    rng_init(&rng, 5);
    fill_batch(&batch, (int32_t)config->vocab);
    OK(model_new(config, c, 2, &m, &err));
    stir(c, m, false);
    if (adapter) {
        OK(model_adapter_new(m, &a, &err));
        stir(c, m, true);
    }
    OK(model_train_begin(m, adapter, &t, &err));
    plain_take(&p, m, false);
    plain_take(&p, m, true);
    p.b = &batch.b;
    p.logits = mem_array(ROWS * (size_t)config->vocab, sizeof(double));
    OK(model_step(m, &batch.b, 1.0 / 15, &nll, &count, &err));
    loss = plain_loss(&p);
    ck_assert_uint_eq(count, 15);
    ck_assert_msg(fabs(nll / 15 - loss) < 1e-5, "loss %g, not %g", nll / 15,
                  loss);
    check_logits(&p, m);
    n = model_tensors(m, adapter, &list);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p.count; k++)
            if (p.names[k] == list[i].name)
                check_tensor(&p, m, k, list[i].grad, &rng);
    for (size_t i = 0; i < p.count; i++)
        free(p.values[i]);
    free(p.logits);
    model_free(m);
    compute_close(c);
}

static const char *const sets[] = { "generic", "avx2", "avx512" };

START_TEST(all_weights_have_the_gradients_of_finite_differences)
{
    check_model(&configs[_i / 3], sets[_i % 3], false);
}
END_TEST

START_TEST(adapters_have_the_gradients_of_finite_differences)
{
    check_model(&configs[_i / 3], sets[_i % 3], true);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("model_double");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, all_weights_have_the_gradients_of_finite_differences,
                        0, 12);
    tcase_add_loop_test(t, adapters_have_the_gradients_of_finite_differences, 0,
                        12);
    return suite_run("model_double", t);
}
