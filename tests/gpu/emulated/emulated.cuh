/*
 * emulated.cuh - the words of CUDA C++ for a host's compiler
 *
 * The plugin's sources, with their launches rewritten by translate.awk, become
 * a plugin whose "GPU" is this process: each thread of a block is a fiber, and
 * fibers change where threads wait for each other. Kernels run as they stand;
 * only the instructions of cuda_ptx.cuh and cuda_hopper.cuh have a twin here.
 * So indices, layouts, barriers and protocols are tested on any machine; the
 * speed, the compiler and the memory model of a GPU are not. To find what is
 * not ordered by a barrier, threads and blocks run forwards, backwards and at
 * random from launch to launch, and copies and products that are waited for
 * later happen at once or as late as allowed; shared memory begins as NaN.
 */
#ifndef EMULATED_CUH
#define EMULATED_CUH

#include <functional>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tuple>

#define __CUDACC__ 1
#define __CUDA_ARCH_FEAT_SM90_ALL 1
#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
/* Blocks run one after another, those of a cluster use dynamic memory. */
#define __shared__ static
#define CUDART_VERSION 13000

/* ---- vectors ---- */
struct uint2 {
    unsigned x, y;
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct dim3 {
    unsigned x, y, z;

    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return { x, y };
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return { x, y, z, w };
}
static inline int2 make_int2(int x, int y)
{
    return { x, y };
}
static inline int4 make_int4(int x, int y, int z, int w)
{
    return { x, y, z, w };
}
static inline float2 make_float2(float x, float y)
{
    return { x, y };
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return { x, y, z, w };
}

/* ---- bits and numbers ---- */
template <typename To, typename From> static inline To emulated_bits(From x)
{
    To y;

    static_assert(sizeof(x) == sizeof(y), "the same bits");
    memcpy(&y, &x, sizeof(y));
    return y;
}
#define __float_as_uint(x) emulated_bits<unsigned>((float)(x))
#define __uint_as_float(x) emulated_bits<float>((unsigned)(x))
#define __double_as_longlong(x) emulated_bits<long long>((double)(x))
#define __float_as_int(x) emulated_bits<int>((float)(x))
#define __int_as_float(x) emulated_bits<float>((int)(x))

uint16_t emulated_to_bf16(float x); /* to nearest even */
uint16_t emulated_to_half(float x);
float emulated_of_half(uint16_t x);
static inline float emulated_of_bf16(uint16_t x)
{
    return emulated_bits<float>((uint32_t)x << 16);
}

struct __nv_bfloat16 {
    uint16_t bits;

    __nv_bfloat16() = default;
    explicit __nv_bfloat16(float x) : bits(emulated_to_bf16(x))
    {
    }
    operator float() const
    {
        return emulated_of_bf16(bits);
    }
};
struct __half {
    uint16_t bits;

    __half() = default;
    explicit __half(float x) : bits(emulated_to_half(x))
    {
    }
    operator float() const
    {
        return emulated_of_half(bits);
    }
};
typedef __half half;
struct alignas(4) __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
struct alignas(4) __half2 {
    __half x, y;
};
static inline float __bfloat162float(__nv_bfloat16 x)
{
    return x;
}
static inline float __half2float(__half x)
{
    return x;
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x)
{
    return __nv_bfloat16(x);
}
static inline __nv_bfloat16 __float2bfloat16(float x)
{
    return __nv_bfloat16(x);
}
static inline __half __float2half_rn(float x)
{
    return __half(x);
}
static inline __half __float2half(float x)
{
    return __half(x);
}
static inline uint16_t __bfloat16_as_ushort(__nv_bfloat16 x)
{
    return x.bits;
}
static inline __nv_bfloat16 __ushort_as_bfloat16(uint16_t x)
{
    return emulated_bits<__nv_bfloat16>(x);
}
static inline uint16_t __half_as_ushort(__half x)
{
    return x.bits;
}
static inline __half __ushort_as_half(uint16_t x)
{
    return emulated_bits<__half>(x);
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high)
{
    return { __nv_bfloat16(low), __nv_bfloat16(high) };
}
static inline __nv_bfloat162 __float22bfloat162_rn(float2 v)
{
    return { __nv_bfloat16(v.x), __nv_bfloat16(v.y) };
}
static inline float2 __bfloat1622float2(__nv_bfloat162 v)
{
    return { v.x, v.y };
}
static inline __half2 __floats2half2_rn(float low, float high)
{
    return { __half(low), __half(high) };
}
static inline float2 __half22float2(__half2 v)
{
    return { v.x, v.y };
}

/* The compiler is told not to contract, so that these are what they say. */
static inline float __fadd_rn(float a, float b)
{
    return a + b;
}
static inline float __fsub_rn(float a, float b)
{
    return a - b;
}
static inline float __fmul_rn(float a, float b)
{
    return a * b;
}
static inline float __fdiv_rn(float a, float b)
{
    return a / b;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return fmaf(a, b, c);
}
static inline float __fsqrt_rn(float a)
{
    return sqrtf(a);
}
static inline float __frsqrt_rn(float a)
{
    return 1 / sqrtf(a);
}
static inline double __dadd_rn(double a, double b)
{
    return a + b;
}
static inline double __dmul_rn(double a, double b)
{
    return a * b;
}
static inline float rsqrtf(float a)
{
    return 1 / sqrtf(a);
}
#define __expf(x) expf(x)
#define __logf(x) logf(x)
static inline float __fdividef(float a, float b)
{
    return a / b;
}
static inline float __saturatef(float x)
{
    return x > 0 ? (x < 1 ? x : 1) : 0;
}
static inline int __float2int_rn(float x)
{
    return (int)lrintf(x);
}
static inline int __float2int_rz(float x)
{
    return (int)x;
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline unsigned __brev(unsigned x)
{
    unsigned y = 0;

    for (int i = 0; i < 32; i++)
        y |= (x >> i & 1) << (31 - i);
    return y;
}
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned s)
{
    uint64_t both = (uint64_t)b << 32 | a;
    unsigned y = 0;

    for (int i = 0; i < 4; i++)
        y |= (unsigned)(both >> 8 * (s >> 4 * i & 7) & 255) << 8 * i;
    return y;
}
static inline int __dp4a(int a, int b, int c)
{
    for (int i = 0; i < 4; i++)
        c += (int)(int8_t)(a >> 8 * i) * (int)(int8_t)(b >> 8 * i);
    return c;
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
#define EMULATED_ORDER(T)                                                      \
    static inline T max(T a, T b)                                              \
    {                                                                          \
        return a > b ? a : b;                                                  \
    }                                                                          \
    static inline T min(T a, T b)                                              \
    {                                                                          \
        return a < b ? a : b;                                                  \
    }
EMULATED_ORDER(int)
EMULATED_ORDER(unsigned)
EMULATED_ORDER(long)
EMULATED_ORDER(unsigned long)
EMULATED_ORDER(long long)
EMULATED_ORDER(unsigned long long)
EMULATED_ORDER(float)
EMULATED_ORDER(double)
template <typename T> static inline T __ldg(const T *p)
{
    return *p;
}
template <typename T> static inline T __ldcg(const T *p)
{
    return *p;
}
template <typename T> static inline T __ldcs(const T *p)
{
    return *p;
}
template <typename T> static inline void __stcs(T *p, T v)
{
    *p = v;
}

/* ---- where a thread is ---- */
struct emulated_block {
    dim3 at;
    unsigned rank; /* in its cluster */
};
struct emulated_thread {
    dim3 at;
    const struct emulated_block *block;
    unsigned lane, linear;
};
extern struct emulated_thread *emulated_self;
extern dim3 threadIdx, blockIdx, blockDim, gridDim; /* of the running one */
static const int warpSize = 32;

/* ---- what threads do together ---- */
void emulated_barrier(void);
int emulated_barrier_count(int predicate); /* how many said so */
void emulated_warp(void);
/* All lanes give bytes; each gets those of lane `from`. */
void emulated_exchange(void *value, size_t bytes, unsigned from);
unsigned emulated_ballot(int predicate);
[[noreturn]] void emulated_fail(const char *why);
void *emulated_dynamic(void); /* this block's dynamic shared memory */
long long emulated_clock(void);

#define __syncthreads() emulated_barrier()
static inline int __syncthreads_or(int x)
{
    return emulated_barrier_count(x) > 0;
}
static inline int __syncthreads_count(int x)
{
    return emulated_barrier_count(x);
}
static inline int __syncthreads_and(int x)
{
    return emulated_barrier_count(!x) == 0;
}
static inline void emulated_all_lanes(unsigned mask)
{
    if (mask != 0xffffffffu)
        emulated_fail("a mask that is not the whole warp");
}
static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    emulated_all_lanes(mask);
    emulated_warp();
}
template <typename T>
static inline T __shfl_sync(unsigned mask, T v, int from, int width = 32)
{
    emulated_all_lanes(mask);
    unsigned lane = emulated_self->lane, w = (unsigned)width;

    emulated_exchange(&v, sizeof(v), lane / w * w + (unsigned)from % w);
    return v;
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32)
{
    emulated_all_lanes(mask);
    unsigned lane = emulated_self->lane, to = lane ^ (unsigned)x;

    emulated_exchange(&v, sizeof(v),
                      to / (unsigned)width <= lane / (unsigned)width ? to
                                                                     : lane);
    return v;
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32)
{
    emulated_all_lanes(mask);
    unsigned lane = emulated_self->lane, w = (unsigned)width;

    emulated_exchange(&v, sizeof(v), lane % w + d < w ? lane + d : lane);
    return v;
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T v, unsigned d, int width = 32)
{
    emulated_all_lanes(mask);
    unsigned lane = emulated_self->lane, w = (unsigned)width;

    emulated_exchange(&v, sizeof(v), lane % w >= d ? lane - d : lane);
    return v;
}
static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    emulated_all_lanes(mask);
    return emulated_ballot(predicate);
}
static inline int __any_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, predicate) != 0;
}
static inline int __all_sync(unsigned mask, int predicate)
{
    return __ballot_sync(mask, !predicate) == 0;
}
static inline unsigned __activemask(void)
{
    return 0xffffffffu;
}
template <typename T> static inline T atomicAdd(T *p, T x)
{
    T old = *p;

    *p += x;
    return old;
}
template <typename T> static inline T atomicMax(T *p, T x)
{
    T old = *p;

    *p = x > old ? x : old;
    return old;
}
template <typename T> static inline T atomicExch(T *p, T x)
{
    T old = *p;

    *p = x;
    return old;
}
template <typename T> static inline T atomicCAS(T *p, T compare, T x)
{
    T old = *p;

    *p = old == compare ? x : old;
    return old;
}
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
#define __nanosleep(n) ((void)(n))
#define clock64() emulated_clock()
#define __trap() emulated_fail("trap")
#define __cvta_generic_to_shared(p) ((size_t)(uintptr_t)(p))

/* ---- the runtime ---- */
typedef int cudaError_t;
enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
};
typedef struct emulated_stream *cudaStream_t;
typedef struct emulated_event *cudaEvent_t;
typedef struct emulated_graph *cudaGraph_t;
typedef struct emulated_graph *cudaGraphExec_t;
enum cudaStreamCaptureMode {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
};
enum cudaDeviceAttr {
    cudaDevAttrMaxSharedMemoryPerBlockOptin,
    cudaDevAttrMultiProcessorCount,
    cudaDevAttrL2CacheSize,
    cudaDevAttrComputeCapabilityMajor,
    cudaDevAttrComputeCapabilityMinor,
    cudaDevAttrClockRate,
    cudaDevAttrMemoryClockRate,
    cudaDevAttrGlobalMemoryBusWidth
};
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor;
    int multiProcessorCount, l2CacheSize;
    size_t sharedMemPerBlockOptin;
};
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice
};
enum { cudaEventDefault, cudaEventDisableTiming = 2 };
enum { cudaStreamDefault, cudaStreamNonBlocking };
enum cudaFuncAttribute {
    cudaFuncAttributeMaxDynamicSharedMemorySize,
    cudaFuncAttributePreferredSharedMemoryCarveout
};
enum { cudaEnableDefault };
enum cudaDriverEntryPointQueryResult {
    cudaDriverEntryPointSuccess,
    cudaDriverEntryPointSymbolNotFound
};
enum cudaLaunchAttributeID {
    cudaLaunchAttributeClusterDimension,
    cudaLaunchAttributeProgrammaticStreamSerialization
};
struct cudaLaunchAttribute {
    cudaLaunchAttributeID id;
    struct {
        struct {
            unsigned x, y, z;
        } clusterDim;
        int programmaticStreamSerializationAllowed;
    } val;
};
struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    cudaLaunchAttribute *attrs;
    unsigned numAttrs;
};
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr a, int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaMalloc(void **p, size_t bytes);
template <typename T> static inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
    return cudaMalloc((void **)p, bytes);
}
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes,
                       cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t s);
cudaError_t cudaMemset(void *to, int value, size_t bytes);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *out);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventCreate(cudaEvent_t *e);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s = NULL);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute a,
                                 int value);
template <typename... P>
static inline cudaError_t cudaFuncSetAttribute(void (*kernel)(P...),
                                               cudaFuncAttribute a, int value)
{
    return cudaFuncSetAttribute((const void *)kernel, a, value);
}
cudaError_t
cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version,
                                 int flags,
                                 enum cudaDriverEntryPointQueryResult *state);

/* A launch; kernel: what cudaFuncSetAttribute was told of, or NULL. follows: it
 * may begin before the kernel before it has ended. */
struct emulated_launch {
    dim3 grid, block;
    size_t dynamic;
    cudaStream_t stream;
    unsigned cluster;
    const void *kernel;
    bool follows;
};
/* A kernel runs when the next one is launched, or at emulated_settle, so that
 * one that follows it can begin before; a wrong launch is refused at once. */
void emulated_run(const struct emulated_launch *l, std::function<void()> body);
void emulated_settle(void);
/* Whether it cannot be: a line, and an error. */
bool emulated_refused(const struct emulated_launch *l);

/* While a stream is captured, launches are kept instead, to run when the graph
 * does. */
bool emulated_recording(void);
void emulated_record(std::function<void()> f);

static inline struct emulated_launch emulated_config(dim3 grid, dim3 block,
                                                     size_t dynamic = 0,
                                                     cudaStream_t stream = NULL)
{
    return { grid, block, dynamic, stream, 1, NULL, false };
}
/* What translate.awk makes of kernel<<<...>>>(...): every thread calls f with
 * the arguments, whose values are those of the launch. */
template <typename F, typename... A>
static inline void emulated_call(struct emulated_launch l, const void *kernel,
                                 const F &f, A... a)
{
    std::function<void()> body = [f, v = std::tuple<A...>(a...)]() mutable {
        std::apply(f, v);
    };

    l.kernel = kernel;
    if (!emulated_recording())
        emulated_run(&l, body);
    else if (!emulated_refused(&l))
        emulated_record([=] { emulated_run(&l, body); });
}
template <typename... P, typename... A>
static inline cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *c,
                                             void (*kernel)(P...), A &&...a)
{
    struct emulated_launch l = { c->gridDim, c->blockDim, c->dynamicSmemBytes,
                                 c->stream,  1,           (const void *)kernel,
                                 false };

    for (unsigned i = 0; i < c->numAttrs; i++)
        if (c->attrs[i].id == cudaLaunchAttributeClusterDimension)
            l.cluster = c->attrs[i].val.clusterDim.x;
        else
            l.follows =
                c->attrs[i].val.programmaticStreamSerializationAllowed != 0;
    emulated_call(l, l.kernel, kernel, P(a)...);
    return cudaGetLastError();
}

/* ---- the driver's tensor maps ---- */
typedef uint32_t cuuint32_t;
typedef uint64_t cuuint64_t;
typedef int CUresult;
struct alignas(64) CUtensorMap {
    const char *base;
    uint64_t size[2], stride; /* elements; bytes a row */
    uint32_t box[2];
};
enum { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1 };
enum { CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9 };
enum { CU_TENSOR_MAP_INTERLEAVE_NONE };
enum { CU_TENSOR_MAP_SWIZZLE_128B = 3 };
enum { CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3 };
enum { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE };
typedef CUresult (*PFN_cuTensorMapEncodeTiled_v12000)(
    CUtensorMap *, int type, cuuint32_t rank, void *base,
    const cuuint64_t *size, const cuuint64_t *stride, const cuuint32_t *box,
    const cuuint32_t *step, int interleave, int swizzle, int promotion,
    int fill);

#endif
