/*
 * emulated_runtime.cu - the runtime's calls, the driver's tensor maps, and
 * numbers of 16 bits
 *
 * What a machine may lack is had by variables, in bytes: EMULATED_MEMORY (of
 * the GPU), EMULATED_TAKEN (by others), EMULATED_FAIL_AFTER (no more is given
 * after so many, though there is said to be); EMULATED_DRIVER is the driver's
 * CUDA version as cudaDriverGetVersion has it, 0: there is none.
 */
#include "emulated_graph.cuh"
#include "emulated_private.cuh"

#include <map>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define MEMORY ((size_t)6 << 30)

/* As plain numbers; `otherwise` where it is not set. */
static size_t setting(const char *name, size_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}
static size_t memory_total(void)
{
    return setting("EMULATED_MEMORY", MEMORY);
}

cudaError_t emulated_error;
static std::map<const void *, int> allowed_smem;

size_t emulated_allowed(const void *kernel)
{
    std::map<const void *, int>::const_iterator a = allowed_smem.find(kernel);

    return a == allowed_smem.end() ? SMEM_PLAIN : (size_t)a->second;
}

/* ---- the runtime ---- */
struct emulated_event {
    double at;
    bool captured;
};
static size_t memory_used, memory_given;

static size_t memory_left(void)
{
    size_t taken = memory_used + setting("EMULATED_TAKEN", 0);
    size_t total = memory_total();

    return taken < total ? total - taken : 0;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = (int)setting("EMULATED_DRIVER", CUDART_VERSION);
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count)
{
    int version;

    (void)cudaDriverGetVersion(&version);
    *count = version / 1000 >= CUDART_VERSION / 1000;
    return *count ? cudaSuccess : emulated_error = cudaErrorInsufficientDriver;
}
cudaError_t cudaSetDevice(int device)
{
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "emulated GPU");
    p->totalGlobalMem = memory_total();
    p->major = 9;
    p->multiProcessorCount = 6;
    p->l2CacheSize = 50 << 20;
    p->sharedMemPerBlockOptin = SMEM_MOST;
    return cudaSetDevice(device);
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr a, int device)
{
    switch (a) {
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = SMEM_MOST; break;
    case cudaDevAttrMultiProcessorCount: *value = 6; break;
    case cudaDevAttrL2CacheSize: *value = 50 << 20; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrClockRate: *value = 1980000; break;
    case cudaDevAttrMemoryClockRate: *value = 2619000; break;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 5120; break;
    }
    return cudaSetDevice(device);
}
cudaError_t cudaGetLastError(void)
{
    cudaError_t e = emulated_error;

    emulated_error = cudaSuccess;
    return e;
}
const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInsufficientDriver:
        return "CUDA driver version is insufficient for CUDA runtime version";
    default: return "unknown error";
    }
}

/* Blocks end where a page ends, so that what is read or written behind them
 * ends the process; the page before keeps their size. */
#define PAGE ((size_t)4096)
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    size_t room = (bytes + 255) / 256 * 256;
    size_t pages = (room + PAGE - 1) / PAGE * PAGE;
    char *m;

    if (bytes > memory_left() ||
        memory_given + bytes > setting("EMULATED_FAIL_AFTER", SIZE_MAX))
        return emulated_error = cudaErrorMemoryAllocation;
    m = (char *)mmap(NULL, pages + 2 * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return emulated_error = cudaErrorMemoryAllocation;
    (void)mprotect(m + PAGE + pages, PAGE, PROT_NONE);
    *(size_t *)m = pages;
    memory_used += pages;
    memory_given += bytes;
    *p = m + PAGE + pages - room;
    memset(*p, 0xff, room);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
    emulated_settle();
    if (!p)
        return cudaSuccess;
    char *m = (char *)((uintptr_t)p / PAGE * PAGE - PAGE);
    size_t pages = *(size_t *)m;

    memory_used -= pages;
    (void)munmap(m, pages + 2 * PAGE);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    *p = malloc(bytes);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void *p)
{
    free(p);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    *total = memory_total();
    *free_bytes = memory_left();
    return cudaSuccess;
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind)
{
    emulated_settle();
    memmove(to, from, bytes);
    return emulated_wait();
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t)
{
    if (emulated_recording()) {
        emulated_record([=] {
            emulated_settle();
            (void)memmove(to, from, bytes);
        });
        return cudaSuccess;
    }
    return cudaMemcpy(to, from, bytes, kind);
}
cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
    emulated_settle();
    memset(to, value, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    if (emulated_recording()) {
        emulated_record([=] { (void)cudaMemset(to, value, bytes); });
        return cudaSuccess;
    }
    return cudaMemset(to, value, bytes);
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned)
{
    *s = (cudaStream_t)malloc(1);
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    free((void *)s);
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    emulated_settle();
    return emulated_wait();
}
cudaError_t cudaDeviceSynchronize(void)
{
    emulated_settle();
    return emulated_wait();
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    *e = (cudaEvent_t)calloc(1, sizeof(**e));
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, 0);
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    free(e);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t)
{
    struct timespec t;

    e->captured = emulated_recording();
    emulated_settle();
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    e->at = (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    if (e->captured) {
        (void)emulated_wait();
        return emulated_error = cudaErrorStreamCaptureUnsupported;
    }
    return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)(to->at - from->at);
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute a,
                                 int value)
{
    if (a != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess;
    if (value > SMEM_MOST)
        return emulated_error = cudaErrorInvalidValue;
    allowed_smem[kernel] = value;
    return cudaSuccess;
}

static CUresult encode(CUtensorMap *m, int type, cuuint32_t rank, void *base,
                       const cuuint64_t *size, const cuuint64_t *stride,
                       const cuuint32_t *box, const cuuint32_t *step, int,
                       int swizzle, int, int)
{
    if (type != CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 || rank != 2 ||
        (uintptr_t)base % 16 || stride[0] % 16 || size[0] == 0 ||
        size[1] == 0 || size[0] > (cuuint64_t)1 << 32 ||
        size[1] > (cuuint64_t)1 << 32 || stride[0] >= (cuuint64_t)1 << 40 ||
        box[0] == 0 || box[0] > 256 || box[1] == 0 || box[1] > 256 ||
        step[0] != 1 || step[1] != 1 || swizzle != CU_TENSOR_MAP_SWIZZLE_128B ||
        box[0] * 2 > 128)
        return CUDA_ERROR_INVALID_VALUE;
    m->base = (const char *)base;
    m->size[0] = size[0];
    m->size[1] = size[1];
    m->stride = stride[0];
    m->box[0] = box[0];
    m->box[1] = box[1];
    return CUDA_SUCCESS;
}

cudaError_t
cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned, int,
                                 enum cudaDriverEntryPointQueryResult *state)
{
    bool found = strcmp(name, "cuTensorMapEncodeTiled") == 0;

    *out = found ? (void *)encode : NULL;
    *state = found ? cudaDriverEntryPointSuccess
                   : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

/* ---- numbers ---- */
uint16_t emulated_to_bf16(float x)
{
    uint32_t u = emulated_bits<uint32_t>(x);

    if ((u & 0x7fffffff) > 0x7f800000)
        return 0x7fff;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

uint16_t emulated_to_half(float x)
{
    uint32_t u = emulated_bits<uint32_t>(x), sign = u >> 16 & 0x8000;
    float a = fabsf(x);

    if (isnan(x))
        return 0x7fff;
    if (a >= 65520)
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x1p-14f)
        return (uint16_t)(sign | (uint32_t)lrintf(a * 0x1p24f));
    u = emulated_bits<uint32_t>(a);
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - (112 << 10)));
}

float emulated_of_half(uint16_t x)
{
    float sign = x & 0x8000 ? -1.0f : 1.0f;
    int e = x >> 10 & 31, m = x & 1023;

    if (e == 31)
        return m ? NAN : sign * INFINITY;
    return sign *
           (e ? ldexpf((float)(m + 1024), e - 25) : ldexpf((float)m, -24));
}
