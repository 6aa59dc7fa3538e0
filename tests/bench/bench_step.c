/* bench_step.c - one LoRA training step: tokens a second, FLOP/s beside the
 * machine's peak, memory, and what each kind of operation takes.
 *
 * Operations are timed and counted by a table that stands before the device's
 * own, so the library knows nothing of it. FLOPs are those that the step needs:
 * products as they are called, attention 4 a pair of rows and element of a head
 * forward and 8 backward, the head over labelled rows alone.
 * usage: bench_step [KEY=VALUE...], known ones see below; `dir` keeps models
 * between runs, `lengths=64-200` packs short documents, `neighbour=1` times the
 * same beside a process that does nothing but spin. */
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "limits.h"
#include "model/model.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_STEPS 64

enum part {
    FORWARD,
    BACKWARD,
    ADAPTER,
    ATTENTION,
    ATTENTION_GRAD,
    NORMS,
    ACTIVATIONS,
    ROPE,
    HEAD,
    OPTIMIZER,
    MOVES,
    PARTS
};

static const char *const part_names[PARTS] = {
    "products forward", "products backward",  "adapter's own",
    "attention",        "attention backward", "norms",
    "activations",      "rotations",          "head, cross entropy",
    "optimizer",        "moves, sums",
};

static struct compute_ops own, real;
static double spent[PARTS], flops, cores, fastest, peak_mib;
static double between; /* FLOP/s of the machine, measured between steps */
static long faults;    /* pages that were touched first, a step */
static size_t calls[PARTS];
static struct err err;

static void must(int rc)
{
    if (rc < 0) {
        (void)fprintf(stderr, "bench_step: %s\n", err.msg);
        exit(1);
    }
}

static double seconds(void)
{
    return (double)clock_mono_ns() * 1e-9;
}

static void done(enum part p, double since)
{
    spent[p] += seconds() - since;
    calls[p]++;
}

#define TIMED(part, call)                                                      \
    do {                                                                       \
        double since_ = seconds();                                             \
        call;                                                                  \
        done(part, since_);                                                    \
    } while (0)

/* A product with few rows or columns on the weights' side is an adapter's. */
static enum part part_of(const struct compute_linear *l, enum part p)
{
    return l->n <= 64 || l->k <= 64 ? ADAPTER : p;
}

static void count_linear(const struct compute_linear *l, size_t out)
{
    flops += 2.0 * (double)l->m * (double)l->n * (double)l->k;
    if (l->x2.buf)
        flops += 2.0 * (double)l->m * (double)l->k2 * (double)out;
}

static void time_linear(struct compute *c, const struct compute_linear *l)
{
    count_linear(l, l->n);
    TIMED(part_of(l, FORWARD), real.linear(c, l));
}

static void time_linear_dx(struct compute *c, const struct compute_linear *l)
{
    count_linear(l, l->k);
    TIMED(part_of(l, BACKWARD), real.linear_dx(c, l));
}

static void time_linear_dw(struct compute *c, const struct compute_linear *l)
{
    if (l->w.buf)
        count_linear(l, 0);
    TIMED(part_of(l, BACKWARD), real.linear_dw(c, l));
}

static void count_pairs(const struct compute_attention *a, double each)
{
    for (size_t d = 0; d < a->docs; d++) {
        double n = (double)(a->starts[d + 1] - a->starts[d]);

        flops += each * n * (n + 1) / 2 * (double)(a->heads * a->dim);
    }
}

static void time_attention(struct compute *c, const struct compute_attention *a)
{
    count_pairs(a, 4);
    TIMED(ATTENTION, real.attention(c, a));
}

static void time_attention_grad(struct compute *c,
                                const struct compute_attention_grad *a)
{
    count_pairs(&a->fwd, 8);
    TIMED(ATTENTION_GRAD, real.attention_grad(c, a));
}

static void time_cross_entropy(struct compute *c,
                               const struct compute_cross_entropy *x)
{
    flops += (x->dx.buf ? 4.0 : 2.0) * (double)x->rows * (double)x->vocab *
             (double)x->k;
    TIMED(HEAD, real.cross_entropy(c, x));
}

static void time_rmsnorm(struct compute *c, struct compute_span y,
                         struct compute_span x, struct compute_span w,
                         struct compute_span rstd, size_t rows, size_t dim,
                         float eps)
{
    TIMED(NORMS, real.rmsnorm(c, y, x, w, rstd, rows, dim, eps));
}

static void time_rmsnorm_grad(struct compute *c, struct compute_span dx,
                              struct compute_span dw, struct compute_span dy,
                              struct compute_span x, struct compute_span w,
                              struct compute_span rstd, size_t rows, size_t dim)
{
    TIMED(NORMS, real.rmsnorm_grad(c, dx, dw, dy, x, w, rstd, rows, dim));
}

static void time_rope(struct compute *c, struct compute_span x,
                      struct compute_span position, struct compute_span cosine,
                      struct compute_span sine, size_t rows, size_t heads,
                      size_t dim, bool inverse)
{
    TIMED(ROPE,
          real.rope(c, x, position, cosine, sine, rows, heads, dim, inverse));
}

static void time_swiglu(struct compute *c, struct compute_span h,
                        struct compute_span gate, struct compute_span up,
                        size_t n)
{
    TIMED(ACTIVATIONS, real.swiglu(c, h, gate, up, n));
}

static void time_swiglu_grad(struct compute *c, struct compute_span dgate,
                             struct compute_span dup, struct compute_span dh,
                             struct compute_span gate, struct compute_span up,
                             size_t n)
{
    TIMED(ACTIVATIONS, real.swiglu_grad(c, dgate, dup, dh, gate, up, n));
}

static void time_embed(struct compute *c, struct compute_span y,
                       struct compute_span table, struct compute_span ids,
                       size_t rows, size_t dim)
{
    TIMED(MOVES, real.embed(c, y, table, ids, rows, dim));
}

static void time_gather(struct compute *c, struct compute_span y,
                        struct compute_span x, struct compute_span index,
                        size_t rows, size_t dim)
{
    TIMED(MOVES, real.gather(c, y, x, index, rows, dim));
}

static void time_scatter(struct compute *c, struct compute_span y,
                         struct compute_span x, struct compute_span index,
                         size_t rows, size_t dim)
{
    TIMED(MOVES, real.scatter(c, y, x, index, rows, dim));
}

static void time_fill(struct compute *c, struct compute_span y, float value,
                      size_t n)
{
    TIMED(MOVES, real.fill(c, y, value, n));
}

static void time_copy(struct compute *c, struct compute_span y,
                      struct compute_span x, size_t n)
{
    TIMED(MOVES, real.copy(c, y, x, n));
}

static void time_adamw(struct compute *c, const struct compute_adamw *a)
{
    TIMED(OPTIMIZER, real.adamw(c, a));
}

static double time_sum_squares(struct compute *c, struct compute_span x,
                               size_t n)
{
    double y;

    TIMED(OPTIMIZER, y = real.sum_squares(c, x, n));
    return y;
}

static void watch(struct compute *c)
{
    own = real = *c->ops;
    own.linear = time_linear;
    own.linear_dx = time_linear_dx;
    own.linear_dw = time_linear_dw;
    own.attention = time_attention;
    own.attention_grad = time_attention_grad;
    own.cross_entropy = time_cross_entropy;
    own.rmsnorm = time_rmsnorm;
    own.rmsnorm_grad = time_rmsnorm_grad;
    own.rope = time_rope;
    own.swiglu = time_swiglu;
    own.swiglu_grad = time_swiglu_grad;
    own.embed = time_embed;
    own.gather = time_gather;
    own.scatter = time_scatter;
    own.fill = time_fill;
    own.copy = time_copy;
    own.adamw = time_adamw;
    own.sum_squares = time_sum_squares;
    c->ops = &own;
}

static struct options {
    const char *shape, *dtype, *lengths, *kernels, *dir, *row;
    int tokens, batch, steps, threads, rank, layers, profile, neighbour,
        recompute;
    double mask;
} o = { .shape = "smollm2-135m",
        .dtype = "f32",
        .tokens = 512,
        .batch = 1,
        .steps = 5,
        .rank = 16,
        .mask = 0.5,
        .profile = 1 };

static const struct {
    const char *name;
    int *number;
    const char **text;
} known[] = {
    { "shape", NULL, &o.shape },
    { "dtype", NULL, &o.dtype },
    { "lengths", NULL, &o.lengths },
    { "kernels", NULL, &o.kernels },
    { "dir", NULL, &o.dir },
    { "row", NULL, &o.row },
    { "tokens", &o.tokens, NULL },
    { "batch", &o.batch, NULL },
    { "steps", &o.steps, NULL },
    { "threads", &o.threads, NULL },
    { "rank", &o.rank, NULL },
    { "layers", &o.layers, NULL },
    { "profile", &o.profile, NULL },
    { "neighbour", &o.neighbour, NULL },
    { "recompute", &o.recompute, NULL },
};

static void read_option(const char *arg)
{
    size_t n = strcspn(arg, "=");

    if (strncmp(arg, "mask=", 5) == 0) {
        o.mask = atof(arg + 5);
        return;
    }
    for (size_t i = 0; arg[n] && i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i].name) != n || strncmp(known[i].name, arg, n) != 0)
            continue;
        if (known[i].number)
            *known[i].number = atoi(arg + n + 1);
        else
            *known[i].text = arg + n + 1;
        return;
    }
    (void)fprintf(stderr, "bench_step: \"%s\" is not known; known: mask", arg);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        (void)fprintf(stderr, " %s", known[i].name);
    (void)fprintf(stderr, " (=VALUE)\n");
    exit(2);
}

static struct model_config shape_config(void)
{
    static const struct {
        const char *name;
        int64_t vocab, hidden, ffn, layers, heads, kv_heads;
    } shapes[] = {
        { "smollm2-135m", 49152, 576, 1536, 30, 9, 3 },
        { "qwen2.5-0.5b", 151936, 896, 4864, 24, 14, 2 },
        { "llama-3.2-1b", 128256, 2048, 8192, 16, 32, 8 },
        { "tiny", 2048, 192, 512, 6, 3, 1 },
    };
    struct model_config m = { .family = "llama",
                              .head_dim = 64,
                              .context = 16384,
                              .norm_eps = 1e-5,
                              .rope_theta = 100000,
                              .tied = true,
                              .init_range = 0.02 };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (strcmp(shapes[i].name, o.shape) == 0) {
            m.vocab = shapes[i].vocab;
            m.hidden = shapes[i].hidden;
            m.ffn = shapes[i].ffn;
            m.layers = o.layers > 0 ? o.layers : shapes[i].layers;
            m.heads = shapes[i].heads;
            m.kv_heads = shapes[i].kv_heads;
            return m;
        }
    (void)fprintf(stderr, "bench_step: shape \"%s\" is not known\n", o.shape);
    exit(2);
}

/* Opened from files, as training does, which `dir` keeps for the next run. */
static struct model *open_model(struct compute *c)
{
    struct model_config config = shape_config();
    bool is_narrow = strcmp(o.dtype, "bf16") == 0;
    char made[] = "/tmp/slmctl-bench-XXXXXX";
    char *base = mem_strdup(o.dir ? o.dir : mkdtemp(made));
    char *dir =
        mem_printf("%s/%s-%lld-%s", base, o.shape, (long long)config.layers,
                   is_narrow ? "bf16" : "f32");
    struct stat st;
    struct model *m;

    if (stat(dir, &st) != 0) {
        must(model_new(&config, c, 1, &m, &err));
        must(io_mkdirs(dir, 0700, &err));
        must(model_save(m, dir, is_narrow ? WEIGHTS_BF16 : WEIGHTS_F32, &err));
        model_free(m);
        mem_trim();
    }
    if (strcmp(o.dtype, "nf4") == 0)
        must(model_open_quantised(dir, c, COMPUTE_NF4, &m, &err));
    else
        must(model_open(dir, c, !is_narrow, &m, &err));
    if (!o.dir) {
        char *command = mem_printf("rm -r %s", base);

        if (system(command) != 0)
            (void)fprintf(stderr, "bench_step: %s stays\n", base);
        free(command);
    }
    free(dir);
    free(base);
    return m;
}

struct input {
    struct model_batch b;
    int32_t *ids, *labels, *positions, *starts;
    size_t labelled;
};

static void add_document(struct input *x, int n, int32_t vocab)
{
    int skip = (int)(o.mask * (double)n);

    for (int i = 0; i < n; i++) {
        size_t r = x->b.rows++;

        x->ids[r] = (int32_t)((r * 7919 + 13) % (size_t)vocab);
        x->positions[r] = i;
        x->labels[r] = -1;
        if (i + 1 >= skip && i + 1 < n) {
            x->labels[r] = (int32_t)((r * 7919 + 7932) % (size_t)vocab);
            x->labelled++;
        }
    }
    x->starts[++x->b.docs] = (int32_t)x->b.rows;
}

static void make_input(struct input *x, int32_t vocab)
{
    size_t most = (size_t)o.tokens * (size_t)o.batch;
    int low = o.tokens, high = o.tokens;
    uint32_t state = 1;

    x->ids = mem_array(most, sizeof(*x->ids));
    x->labels = mem_array(most, sizeof(*x->labels));
    x->positions = mem_array(most, sizeof(*x->positions));
    x->starts = mem_array(most + 1, sizeof(*x->starts));
    x->starts[0] = 0;
    if (o.lengths && sscanf(o.lengths, "%d-%d", &low, &high) != 2)
        exit(2);
    for (;;) {
        int n;

        state = state * 1664525 + 1013904223;
        n = low + (int)((state >> 8) % (uint32_t)(high - low + 1));
        if (x->b.rows + (size_t)n > most)
            break;
        add_document(x, n, vocab);
    }
    x->b.ids = x->ids;
    x->b.labels = x->labels;
    x->b.positions = x->positions;
    x->b.starts = x->starts;
}

struct trainer {
    struct compute *c;
    struct model *m;
    struct model_trained t;
    struct compute_span first, second;
    uint64_t step;
};

static double one_step(struct trainer *t, const struct input *x)
{
    double since = seconds(), nll, norm;
    struct compute_adamw a = { .p = t->t.values,
                               .g = t->t.grads,
                               .m = t->first,
                               .v = t->second,
                               .n = t->t.count,
                               .lr = 2e-4,
                               .beta1 = 0.9,
                               .beta2 = 0.999,
                               .eps = 1e-8,
                               .decay = 0.01,
                               .step = ++t->step };
    size_t count;

    t->c->ops->fill(t->c, t->t.grads, 0, t->t.count);
    must(
        model_step(t->m, &x->b, 1.0 / (double)x->labelled, &nll, &count, &err));
    norm = t->c->ops->sum_squares(t->c, t->t.grads, t->t.count);
    a.grad_scale = norm > 1 ? 1 / norm : 1;
    t->c->ops->adamw(t->c, &a);
    return seconds() - since;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static long pages_touched(void)
{
    struct rusage u;

    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt;
}

static double peak_now(void)
{
    char line[128];
    long long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "VmHWM: %lld kB", &kb) == 1)
            break;
    if (f)
        (void)fclose(f);
    return (double)kb / 1024;
}

/* What neighbours leave of the machine at this moment. */
static double limit_now(const struct compute *c)
{
    struct compute_limits l;

    must(compute_limits_measure(c->kernels, c->threads, &l, &err));
    return l.flops_median;
}

/* The median step, after one to warm up unless there is only time for one;
 * spent, calls and flops are of all but that one. */
static double steps(struct trainer *t, const struct input *x, double *mean)
{
    double s[MOST_STEPS] = { 0 }, limits[MOST_STEPS], cpu = 0;
    int n = o.steps < 1 ? 1 : o.steps < MOST_STEPS ? o.steps : MOST_STEPS;

    if (o.steps > 0)
        (void)one_step(t, x);
    memset(spent, 0, sizeof(spent));
    memset(calls, 0, sizeof(calls));
    flops = 0;
    *mean = 0;
    faults = 0;
    for (int i = 0; i < n; i++) {
        double before = clock_cpu_s();
        long touched = pages_touched();

        *mean += (s[i] = one_step(t, x)) / n;
        cpu += clock_cpu_s() - before;
        faults += (pages_touched() - touched) / n;
        if (i == 0)
            peak_mib = peak_now();
        limits[i] = limit_now(t->c);
    }
    cores = cpu / (*mean * n);
    flops /= n;
    qsort(s, (size_t)n, sizeof(*s), compare);
    qsort(limits, (size_t)n, sizeof(*limits), compare);
    fastest = s[0];
    between = limits[n / 2];
    return s[n / 2];
}

static void print_profile(double all)
{
    double rest = all;
    int n = o.steps > 0 ? o.steps : 1;

    if (!o.profile)
        return;
    for (int i = 0; i < PARTS; i++) {
        (void)printf("  %-20s %8.1f ms %5.1f %% %6zu calls\n", part_names[i],
                     spent[i] / n * 1e3, 100 * spent[i] / n / all,
                     calls[i] / (size_t)n);
        rest -= spent[i] / n;
    }
    (void)printf("  %-20s %8.1f ms %5.1f %%\n", "between them", rest * 1e3,
                 100 * rest / all);
}

/* Steps beside a process that spins on a core. */
static void beside(struct trainer *t, const struct input *x, double alone)
{
    pid_t child = fork();
    double s, mean;

    if (child == 0)
        for (volatile unsigned n = 0;; n++)
            ;
    if (child < 0)
        return;
    s = steps(t, x, &mean);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    (void)printf(
        "beside a busy process: %.1f tok/s, %.0f %% of its own speed\n",
        (double)x->b.rows / s, 100 * alone / s);
    limits_row("training step beside a busy process", o.shape, "tok/s",
               (double)x->b.rows / s, "itself alone", (double)x->b.rows / alone,
               0.4, 0);
}

int main(int argc, char **argv)
{
    struct compute_options opt = { 0 };
    struct model_adapter a = { .rank = 16, .scale = 2 };
    struct trainer t = { 0 };
    struct input x = { 0 };
    struct compute_limits limits;
    double limit = 0, s, mean, weights;
    size_t used, most;

    for (int i = 1; i < argc; i++)
        read_option(argv[i]);
    opt.threads = (unsigned)o.threads;
    opt.kernels = o.kernels;
    a.rank = o.rank;
    must(compute_open(&opt, &t.c, &err));
    for (int i = 0; i < 3; i++) { /* a thread may wake late */
        must(compute_limits_measure(t.c->kernels, t.c->threads, &limits, &err));
        limit = limits.flops > limit ? limits.flops : limit;
    }
    t.m = open_model(t.c);
    t.c->ops->memory(t.c, &used, &most);
    weights = (double)used / 0x1p20;
    must(model_adapter_new(t.m, &a, &err));
    must(model_train_begin(t.m, true, &t.t, &err));
    model_recompute(t.m, o.recompute != 0);
    must(compute_alloc(t.c, COMPUTE_F32, t.t.count, "m", &t.first, &err));
    must(compute_alloc(t.c, COMPUTE_F32, t.t.count, "v", &t.second, &err));
    make_input(&x, (int32_t)model_config(t.m)->vocab);
    watch(t.c);
    s = steps(&t, &x, &mean);
    (void)printf("%s %s, %zu rows in %zu documents, %zu labelled, %s, %u "
                 "threads\n%.1f tok/s, %.3f s a step, %.1f GFLOP, %.1f GFLOP/s",
                 o.shape, o.dtype, x.b.rows, x.b.docs, x.labelled, t.c->kernels,
                 t.c->threads, (double)x.b.rows / s, s, flops * 1e-9,
                 flops / s * 1e-9);
    (void)printf(" = %.0f %% of %.0f", 100 * flops / s / limit, limit * 1e-9);
    (void)printf("; %.2f cores; weights %.0f MiB, peak %.0f MiB\n", cores,
                 weights, peak_mib);
    (void)printf("fastest step %.3f s; %.0f %% of the %.0f GFLOP/s that the "
                 "machine had between the steps; %ld pages touched first\n",
                 fastest, 100 * flops / s / between, between * 1e-9, faults);
    print_profile(mean);
    if (o.row)
        limits_row("training step", o.row, "GFLOP/s", flops / s * 1e-9, NULL, 0,
                   0.6, limit * 1e-9);
    if (o.neighbour)
        beside(&t, &x, s);
    compute_release(t.c, &t.first);
    compute_release(t.c, &t.second);
    model_free(t.m);
    compute_close(t.c);
    free(x.ids);
    free(x.labels);
    free(x.positions);
    free(x.starts);
    return 0;
}
