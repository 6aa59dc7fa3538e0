/*
 * cuda_device.cu - a CUDA device behind compute.h: choice, opening, errors
 *
 * The only file with exported symbols. The CUDA runtime is linked statically
 * and finds the driver by itself, so loading this plugin is safe on a machine
 * without one: score says 0 and why.
 */
#include "compute/cuda/cuda_private.cuh"
#include "compute/cuda/cuda_layout.h"

extern "C" {
#include "compute/compute_plugin.h"
}

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

#define OLDEST_MAJOR 8 /* compute capability: bf16 products, cp.async */
/* Freezing drops the plain form of larger weights only. */
#define DROP_ELEMENTS ((size_t)1 << 20)
/* Scratch and tables of the smallest model. */
#define LEAST_MEMORY ((size_t)16 << 20)

bool cuda_check(struct cuda *c, cudaError_t e, const char *what)
{
    if (e == cudaSuccess || c->rehearsing)
        return true;
    if (c->recording) { /* the step is done again without */
        cuda_steps_spoil(c);
        return false;
    }
    if (c->failed == cudaSuccess) {
        c->failed = e;
        c->failed_at = what;
    }
    return false;
}

int cuda_told(struct cuda *c, struct err *err)
{
    cudaError_t e = c->failed;

    if (e == cudaSuccess)
        return 0;
    if (e == cudaErrorMemoryAllocation) {
        c->failed = cudaSuccess;
        return cuda_out_of_memory(c, c->failed_at, c->failed_bytes, err);
    }
    return err_set(err, ERR_IO,
                   "%s: %s (%s); it cannot be used any more by this process: "
                   "run again, with --device cpu if it stays",
                   c->name, cudaGetErrorString(e), c->failed_at);
}

static int op_sync(struct compute *base, struct err *err)
{
    struct cuda *c = cuda_of(base);

    (void)cuda_check(c, cudaStreamSynchronize(c->stream), "sync");
    return cuda_told(c, err);
}

static void op_close(struct compute *base)
{
    struct cuda *c = cuda_of(base);

    (void)cudaSetDevice(c->ordinal);
    if (c->stream)
        (void)cudaStreamSynchronize(c->stream);
    cuda_steps_release(c);
    cuda_memory_release(c);
    for (size_t i = 0; i < CUDA_SLOTS; i++)
        if (c->staged[i])
            (void)cudaEventDestroy(c->staged[i]);
    if (c->staging)
        (void)cudaFreeHost(c->staging);
    if (c->stream)
        (void)cudaStreamDestroy(c->stream);
    free(c);
}

/* Only products in bf16 gain: other precisions read what was uploaded. */
static int op_freeze(struct compute *base, struct compute_span w, size_t n,
                     size_t k, bool forward_only, struct err *err)
{
    struct cuda *c = cuda_of(base);
    struct compute_buffer *b = w.buf;
    size_t bytes = n * k * sizeof(*b->frozen);

    if (b->quant)
        return cuda_told(c, err);
    assert(w.at == 0 && b->count == n * k && b->data);
    if (c->precision != COMPUTE_BFLOAT16 || b->type == CUDA_BF16)
        return cuda_told(c, err);
    if (!b->frozen) {
        b->frozen = (__nv_bfloat16 *)cuda_take(c, &bytes);
        if (!b->frozen)
            return cuda_out_of_memory(c, "weights in bf16", bytes, err);
        b->frozen_bytes = bytes;
    }
    cuda_convert(c, b->frozen, CUDA_BF16, b->data, b->type, n * k);
    if (forward_only && n * k >= DROP_ELEMENTS) {
        cuda_give(c, b->data, b->bytes);
        b->data = NULL;
        b->bytes = 0;
    }
    return cuda_told(c, err);
}

static void op_memory(struct compute *base, size_t *used, size_t *peak)
{
    *used = cuda_of(base)->used;
    *peak = cuda_of(base)->peak;
}

static const struct compute_ops *operations(void)
{
    static struct compute_ops t;

    t.version = COMPUTE_VERSION;
    t.size = sizeof(t);
    t.name = "cuda";
    t.close = op_close;
    t.alloc = cuda_op_alloc;
    t.release = cuda_op_release;
    t.upload = cuda_op_upload;
    t.download = cuda_op_download;
    t.sync = op_sync;
    t.freeze = op_freeze;
    t.fill = cuda_op_fill;
    t.copy = cuda_op_copy;
    t.axpy = cuda_op_axpy;
    t.sum_squares = cuda_op_sum_squares;
    t.accumulate = cuda_op_accumulate;
    t.embed = cuda_op_embed;
    t.embed_grad = cuda_op_embed_grad;
    t.gather = cuda_op_gather;
    t.scatter = cuda_op_scatter;
    t.rmsnorm = cuda_op_rmsnorm;
    t.rmsnorm_grad = cuda_op_rmsnorm_grad;
    t.rope = cuda_op_rope;
    t.swiglu = cuda_op_swiglu;
    t.swiglu_grad = cuda_op_swiglu_grad;
    t.linear = cuda_op_linear;
    t.linear_dx = cuda_op_linear_dx;
    t.linear_dw = cuda_op_linear_dw;
    t.attention = cuda_op_attention;
    t.attention_grad = cuda_op_attention_grad;
    t.cache_size = cuda_op_cache_size;
    t.cache_layout = cuda_op_cache_layout;
    t.cache_store = cuda_op_cache_store;
    t.attention_cached = cuda_op_attention_cached;
    t.cross_entropy = cuda_op_cross_entropy;
    t.argmax = cuda_op_argmax;
    t.adamw = cuda_op_adamw;
    t.memory = op_memory;
    t.rehearse = cuda_op_rehearse;
    t.keep_narrow = cuda_op_keep_narrow;
    t.features |= COMPUTE_HAS_WINDOW | COMPUTE_HAS_SOFTCAP |
                  COMPUTE_HAS_HEAD_BIAS | COMPUTE_HAS_ENCODER |
                  COMPUTE_HAS_NARROW_CACHE;
    t.scale = cuda_op_scale;
    t.copy_columns = cuda_op_copy_columns;
    t.activate = cuda_op_activate;
    t.activate_grad = cuda_op_activate_grad;
    t.glu = cuda_op_glu;
    t.glu_grad = cuda_op_glu_grad;
    t.softcap = cuda_op_softcap;
    t.layernorm = cuda_op_layernorm;
    t.layernorm_grad = cuda_op_layernorm_grad;
    t.rope_part = cuda_op_rope_part;
    t.gated_norm = cuda_op_gated_norm;
    t.gated_norm_grad = cuda_op_gated_norm_grad;
    t.scale_columns = cuda_op_scale_columns;
    t.inverse_norms = cuda_op_inverse_norms;
    t.gain_columns = cuda_op_gain_columns;
    t.scale_rows = cuda_op_scale_rows;
    t.column_dots = cuda_op_column_dots;
    t.distill = cuda_op_distill;
    t.preference = cuda_op_preference;
    t.features |= COMPUTE_HAS_BLOCKS;
    t.quantise = cuda_op_quantise;
    t.quantise_blocks = cuda_op_quantise_blocks;
    t.linears = cuda_op_linears;
    t.linear_swiglu = cuda_op_linear_swiglu;
    t.branches = cuda_op_branches;
    t.sample = cuda_op_sample;
    t.conv = cuda_op_conv;
    t.conv_grad = cuda_op_conv_grad;
    t.scan = cuda_op_scan;
    t.scan_grad = cuda_op_scan_grad;
    t.delta = cuda_op_delta;
    t.delta_grad = cuda_op_delta_grad;
    t.step_begin = cuda_op_step_begin;
    t.step_end = cuda_op_step_end;
    return &t;
}

static int version_text(char *out, size_t size, int version)
{
    return snprintf(out, size, "%d.%d", version / 1000, version % 1000 / 10);
}

/* Compute capability as major * 10 + minor; 0 and a line in why where the
 * device cannot be used. Makes no context. */
static int capability(int ordinal, char *why, size_t size)
{
    int count = 0, driver = 0, major = 0, minor = 0;
    char has[16], needs[16];
    cudaError_t e = cudaGetDeviceCount(&count);

    if (e != cudaSuccess) {
        (void)cudaGetLastError();
        (void)cudaDriverGetVersion(&driver);
        version_text(has, sizeof(has), driver);
        version_text(needs, sizeof(needs), CUDART_VERSION);
        if (driver == 0)
            snprintf(why, size, "no NVIDIA driver is installed");
        else if (e == cudaErrorInsufficientDriver)
            snprintf(why, size,
                     "the NVIDIA driver is for CUDA %s; %s is needed: install "
                     "a newer driver",
                     has, needs);
        else
            snprintf(why, size, "no CUDA device: %s", cudaGetErrorString(e));
        return 0;
    }
    if (ordinal < 0 || ordinal >= count) {
        snprintf(why, size, "there is no cuda:%d; this machine has %d CUDA %s",
                 ordinal, count, count == 1 ? "device" : "devices");
        return 0;
    }
    e = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor,
                               ordinal);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor,
                                   ordinal);
    if (e != cudaSuccess) {
        (void)cudaGetLastError();
        snprintf(why, size, "cuda:%d: %s", ordinal, cudaGetErrorString(e));
        return 0;
    }
    if (major < OLDEST_MAJOR) {
        snprintf(why, size,
                 "cuda:%d has compute capability %d.%d; %d.0 or newer is "
                 "needed",
                 ordinal, major, minor, OLDEST_MAJOR);
        return 0;
    }
    return major * 10 + minor;
}

EXPORTED int slmctl_device_score(unsigned *version, int ordinal, char *why,
                                 size_t why_size)
{
    *version = COMPUTE_VERSION;
    if (why_size > 0)
        why[0] = '\0';
    return capability(ordinal, why, why_size);
}

static const char *const kernel_names[] = { "simt", "mma", "wgmma", "cluster" };

/* Takes "nograph", by itself or after a name and a comma. NULL: no name. */
static const char *graphs_choose(struct cuda *c, const char *given, char *name,
                                 size_t size)
{
    static const char word[] = "nograph";
    size_t n = given ? strlen(given) : 0, w = sizeof(word) - 1;

    if (n < w || strcmp(given + n - w, word) != 0 ||
        (n > w && given[n - w - 1] != ','))
        return given;
    cuda_steps_off(c);
    if (n > w)
        snprintf(name, size, "%.*s", (int)(n - w - 1), given);
    return n > w ? name : NULL;
}

/* wgmma exists on compute capability 9.0 alone, and with it pairs, which read
 * less for the same sums: to choose otherwise changes no bit. */
static int kernels_choose(struct cuda *c, const char *given, struct err *err)
{
    enum cuda_kernels best = c->major == 9 ? CUDA_CLUSTER : CUDA_MMA;
    char text[32];
    const char *name = graphs_choose(c, given, text, sizeof(text));
    int k;

    if (c->precision == COMPUTE_FULL)
        best = CUDA_SIMT;
    for (k = CUDA_SIMT; name && k <= CUDA_CLUSTER; k++)
        if (strcmp(name, kernel_names[k]) == 0)
            break;
    if (!name)
        k = best;
    if (k > CUDA_CLUSTER)
        return err_set(err, ERR_INVALID,
                       "kernels \"%s\" are not known to a GPU; known: simt "
                       "mma wgmma cluster, and beside one or alone nograph",
                       name);
    if (k > best)
        return err_set(err, ERR_UNSUPPORTED, "%s cannot run the %s kernels%s",
                       c->name, name,
                       best == CUDA_SIMT ? " in full precision" : "");
    c->kernels = (enum cuda_kernels)k;
    /* The code for 9.0 is what has the instructions. */
    c->follows = c->major == 9 && k >= CUDA_WGMMA;
    return 0;
}

static int precision_choose(struct cuda *c, const struct compute_options *opt,
                            struct err *err)
{
    const char *precision = "f32";
    int rc;

    c->precision =
        opt->precision == COMPUTE_BEST ? COMPUTE_BFLOAT16 : opt->precision;
    c->act = c->precision == COMPUTE_BFLOAT16 ? CUDA_BF16 : CUDA_F32;
    rc = kernels_choose(c, opt->kernels, err);
    if (rc < 0)
        return rc;
    if (c->precision == COMPUTE_BFLOAT16)
        precision = "bf16";
    else if (c->precision == COMPUTE_TF32)
        precision = "tf32";
    snprintf(c->kernels_name, sizeof(c->kernels_name), "cuda-%s-%s",
             kernel_names[c->kernels], precision);
    return 0;
}

static int attribute(struct cuda *c, enum cudaDeviceAttr a)
{
    int value = 0;

    (void)cuda_check(c, cudaDeviceGetAttribute(&value, a, c->ordinal),
                     "attributes");
    return value;
}

static void describe(struct cuda *c)
{
    cudaDeviceProp p;

    if (!cuda_check(c, cudaGetDeviceProperties(&p, c->ordinal), "properties"))
        return;
    snprintf(c->name, sizeof(c->name), "%.120s", p.name);
    c->major = p.major;
    c->minor = p.minor;
    c->sms = attribute(c, cudaDevAttrMultiProcessorCount);
    c->l2_bytes = (size_t)attribute(c, cudaDevAttrL2CacheSize);
    c->smem_optin =
        (size_t)attribute(c, cudaDevAttrMaxSharedMemoryPerBlockOptin);
}

/* Stream, pinned memory, and how much there is to use. */
static void equip(struct cuda *c, size_t max_memory)
{
    size_t free_bytes = 0, total = 0;
    size_t arrivals = CUDA_ARRIVALS * sizeof(uint32_t);

    (void)cuda_check(
        c, cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking),
        "stream");
    (void)cuda_check(
        c, cudaMallocHost((void **)&c->staging, CUDA_SLOTS * CUDA_SLOT_BYTES),
        "pinned memory");
    for (size_t i = 0; i < CUDA_SLOTS; i++)
        (void)cuda_check(
            c, cudaEventCreateWithFlags(&c->staged[i], cudaEventDisableTiming),
            "events");
    (void)cuda_check(c, cudaMemGetInfo(&free_bytes, &total), "memory");
    c->limit =
        max_memory > 0 && max_memory < free_bytes ? max_memory : free_bytes;
    c->arrivals = (uint32_t *)cuda_take(c, &arrivals);
    if (c->arrivals)
        (void)cuda_check(
            c, cudaMemsetAsync(c->arrivals, 0, arrivals, c->stream), "counts");
}

EXPORTED int slmctl_device_open(const struct compute_options *opt, int ordinal,
                                struct compute **out, struct err *err)
{
    char why[256];
    struct cuda *c;
    int rc = 0;

    if (capability(ordinal, why, sizeof(why)) == 0)
        return err_set(err, ERR_UNSUPPORTED, "%s", why);
    c = (struct cuda *)calloc(1, sizeof(*c));
    if (!c || !cuda_steps_begin(c)) {
        free(c);
        return err_set(err, ERR_NOMEM, "cuda:%d: out of host memory", ordinal);
    }
    c->ordinal = ordinal;
    snprintf(c->name, sizeof(c->name), "cuda:%d", ordinal);
    if (cuda_check(c, cudaSetDevice(ordinal), "open"))
        describe(c);
    if (c->failed == cudaSuccess)
        rc = precision_choose(c, opt, err);
    if (rc == 0 && c->failed == cudaSuccess)
        equip(c, opt->max_memory);
    if (rc == 0 && c->failed != cudaSuccess)
        rc = err_set(err, ERR_UNSUPPORTED, "%s cannot be opened: %s (%s)",
                     c->name, cudaGetErrorString(c->failed), c->failed_at);
    if (rc == 0 && c->limit < LEAST_MEMORY)
        rc = err_set(err, ERR_NOMEM,
                     "cuda:%d: only %.1f MB of its memory may be used; %.1f "
                     "are needed at least",
                     ordinal, (double)c->limit * 1e-6,
                     (double)LEAST_MEMORY * 1e-6);
    if (rc < 0) {
        op_close(&c->base);
        return rc;
    }
    c->base.ops = operations();
    c->base.kernels = c->kernels_name;
    c->base.device = c->name;
    c->base.precision = c->precision;
    c->base.threads = 1;
    c->base.limit = c->limit;
    *out = &c->base;
    return 0;
}
