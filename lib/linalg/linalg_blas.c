/*
 * linalg_blas.c - OpenBLAS, loaded on first use, and what stands in for it
 *
 * OpenBLAS reads its environment in its constructor, so the number of threads
 * and the kernel set are put there before dlopen. The kernel set is chosen by
 * cpuid alone: version 0.3.21 knows no Emerald Rapids and falls to SSE3
 * kernels there (34 instead of 160 GF/s), and equal CPUs must give equal bits.
 */
#include "linalg/linalg.h"

#include "base/isa.h"
#include "base/mem.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* CBLAS constants: row-major, (no) transposition. */
enum { BLAS_ROWS = 101, BLAS_AS_IS = 111, BLAS_TURNED = 112 };

typedef void blas_sgemm(int order, int ta, int tb, int m, int n, int k,
                        float alpha, const float *a, int lda, const float *b,
                        int ldb, float beta, float *c, int ldc);

static pthread_once_t blas_once = PTHREAD_ONCE_INIT;
static blas_sgemm *blas_loaded;
static char blas_name[64] = "built-in";
static atomic_bool blas_refused;

static const char *blas_core_type(void)
{
#if defined(__x86_64__)
    if (isa_avx512())
        return "SkylakeX";
    if (isa_avx2())
        return "Haswell";
#endif
    return NULL;
}

static void blas_load(void)
{
    static const char *const names[] = { "libopenblas.so.0", "libopenblas.so" };
    const char *core = blas_core_type();
    void *lib = NULL;

    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (core)
        setenv("OPENBLAS_CORETYPE", core, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !lib; i++)
        lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return;
    void *sym = dlsym(lib, "cblas_sgemm");
    void *threads = dlsym(lib, "openblas_set_num_threads");
    void *corename = dlsym(lib, "openblas_get_corename");
    if (!sym || !threads || !corename) {
        dlclose(lib);
        return;
    }
    /* POSIX promises that dlsym's pointer converts to a function's; ISO C
     * does not, hence the copies. */
    void (*set_threads)(int);
    char *(*get_corename)(void);
    memcpy(&set_threads, &threads, sizeof(set_threads));
    memcpy(&get_corename, &corename, sizeof(get_corename));
    set_threads(1);
    char *text = mem_printf("OpenBLAS %s", get_corename());
    strncpy(blas_name, text, sizeof(blas_name) - 1);
    free(text);
    memcpy(&blas_loaded, &sym, sizeof(sym));
}

static blas_sgemm *blas_get(void)
{
    if (atomic_load(&blas_refused))
        return NULL;
    pthread_once(&blas_once, blas_load);
    return blas_loaded;
}

const char *linalg_backend(void)
{
    return blas_get() ? blas_name : "built-in";
}

bool linalg_is_fast(void)
{
    return blas_get() != NULL;
}

void linalg_force_builtin(bool builtin)
{
    atomic_store(&blas_refused, builtin);
}

/* Every element sums its products in the order of k, whatever the blocks. */
static void builtin_nn(size_t m, size_t n, size_t k, const float *a, size_t row,
                       size_t col, const float *b, size_t ldb, float *c,
                       size_t ldc)
{
    const size_t step = 256;

    for (size_t i = 0; i < m; i++)
        memset(c + i * ldc, 0, n * sizeof(*c));
    for (size_t j = 0; j < n; j += step) {
        size_t width = n - j < step ? n - j : step;
        for (size_t i = 0; i < m; i++) {
            float *out = c + i * ldc + j;
            for (size_t p = 0; p < k; p++) {
                float x = a[i * row + p * col];
                const float *in = b + p * ldb + j;
                for (size_t q = 0; q < width; q++)
                    out[q] += x * in[q];
            }
        }
    }
}

static void builtin_nt(size_t m, size_t n, size_t k, const float *a, size_t lda,
                       const float *b, size_t ldb, float *c, size_t ldc)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            c[i * ldc + j] = linalg_dot(a + i * lda, b + j * ldb, k);
}

void linalg_gemm_nt(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc)
{
    blas_sgemm *gemm = blas_get();

    if (gemm)
        gemm(BLAS_ROWS, BLAS_AS_IS, BLAS_TURNED, (int)m, (int)n, (int)k, 1.0f,
             a, (int)lda, b, (int)ldb, 0.0f, c, (int)ldc);
    else
        builtin_nt(m, n, k, a, lda, b, ldb, c, ldc);
}

void linalg_gemm_nn(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc)
{
    blas_sgemm *gemm = blas_get();

    if (gemm)
        gemm(BLAS_ROWS, BLAS_AS_IS, BLAS_AS_IS, (int)m, (int)n, (int)k, 1.0f, a,
             (int)lda, b, (int)ldb, 0.0f, c, (int)ldc);
    else
        builtin_nn(m, n, k, a, lda, 1, b, ldb, c, ldc);
}

void linalg_gemm_tn(size_t m, size_t n, size_t k, const float *a, size_t lda,
                    const float *b, size_t ldb, float *c, size_t ldc)
{
    blas_sgemm *gemm = blas_get();

    if (gemm)
        gemm(BLAS_ROWS, BLAS_TURNED, BLAS_AS_IS, (int)m, (int)n, (int)k, 1.0f,
             a, (int)lda, b, (int)ldb, 0.0f, c, (int)ldc);
    else
        builtin_nn(m, n, k, a, 1, lda, b, ldb, c, ldc);
}
