/*
 * dry_runtime.c - a CUDA runtime that runs nothing and writes down all it is
 * asked for
 *
 * Linked to the plugin's own objects in place of NVIDIA's, it makes a plugin
 * whose host code is the real one: choice of kernels, sizes of grids, shared
 * memory, tensor maps, transfers, waits. Device memory is addresses without
 * memory behind them, so that models of any size fit and a host that touches
 * it crashes; what is read back is zero. Refused, as a driver would: blocks
 * and grids over the limits, shared memory that was not asked for first,
 * tensor maps with sizes that the hardware does not have, waiting or
 * allocating while a graph is recorded.
 * GPU_DRY: sm_80 (an A100) or sm_90 (an H200, the default). GPU_DRY_REPORT: a
 * file to append to, lines with tabs between:
 *   launch ARCH KERNEL THREADS DYNAMIC CLUSTER BLOCKS COUNT (a graph's count
 *          when it is launched)
 *   total  NAME COUNT BYTES (graphs: launched; recorded: kernels in them)
 *   refused WHAT
 */
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define KERNELS 4096
#define LAUNCHES 8192

static const struct device {
    const char *arch, *name;
    int major, sms, smem, l2;
    size_t memory;
} devices[] = {
    { "sm_90", "NVIDIA H200 (dry)", 9, 132, 227 << 10, 60 << 20,
      (size_t)140 << 30 },
    { "sm_80", "NVIDIA A100 (dry)", 8, 108, 163 << 10, 40 << 20,
      (size_t)79 << 30 },
};

struct kernel {
    const void *host;
    const char *name;
    int dynamic; /* bytes allowed; 48 KiB is without asking */
};

struct launch {
    const struct kernel *kernel;
    unsigned threads, cluster, blocks;
    size_t dynamic;
    unsigned long long count;
};

/* What graphs and their executable copies are: how often each launch is in
 * them. */
struct graph {
    unsigned count[LAUNCHES];
};

enum { IN, OUT, SET, WAITS, ALLOCS, GRAPHS, RECORDED, TOTALS };

static struct {
    struct kernel kernels[KERNELS];
    size_t kernel_count;
    struct launch launches[LAUNCHES];
    size_t launch_count;
    unsigned long long count[TOTALS], bytes[TOTALS];
    char refused[64][160];
    size_t refused_count;
    size_t used;
    cudaError_t last;
    struct graph *capturing;
    struct {
        dim3 grid, block;
        size_t dynamic;
    } call;
} dry;

static const struct device *device(void)
{
    const char *arch = getenv("GPU_DRY");

    return &devices[arch && strcmp(arch, "sm_80") == 0];
}

static cudaError_t refuse(cudaError_t e, const char *what, const char *name)
{
    char line[sizeof(dry.refused[0])];

    (void)snprintf(line, sizeof(line), "%s: %s", what, name);
    dry.last = e;
    for (size_t i = 0; i < dry.refused_count; i++)
        if (strcmp(dry.refused[i], line) == 0)
            return e;
    if (dry.refused_count < sizeof(dry.refused) / sizeof(dry.refused[0]))
        memcpy(dry.refused[dry.refused_count++], line, sizeof(line));
    return e;
}

/* What may not be called while a graph is recorded. */
static cudaError_t waits(const char *what)
{
    if (dry.capturing)
        return refuse(cudaErrorStreamCaptureUnsupported, "recording a graph",
                      what);
    return cudaSuccess;
}

static void count(int total, size_t bytes)
{
    dry.count[total]++;
    dry.bytes[total] += bytes;
}

__attribute__((destructor)) static void report(void)
{
    static const char *const totals[] = { "copies in", "copies out",  "set",
                                          "waits",     "allocations", "graphs",
                                          "recorded" };
    const char *path = getenv("GPU_DRY_REPORT");
    FILE *f = path ? fopen(path, "a") : NULL;

    if (!f)
        return;
    for (size_t i = 0; i < dry.launch_count; i++) {
        const struct launch *l = &dry.launches[i];

        (void)fprintf(f, "launch\t%s\t%s\t%u\t%zu\t%u\t%u\t%llu\n",
                      device()->arch, l->kernel->name, l->threads, l->dynamic,
                      l->cluster, l->blocks, l->count);
    }
    for (int i = 0; i < TOTALS; i++)
        (void)fprintf(f, "total\t%s\t%llu\t%llu\n", totals[i], dry.count[i],
                      dry.bytes[i]);
    for (size_t i = 0; i < dry.refused_count; i++)
        (void)fprintf(f, "refused\t%s\n", dry.refused[i]);
    (void)fclose(f);
}

/* ---- what nvcc's host code calls ---- */

static char fatbin;
static void *fatbin_handle = &fatbin;

void **__cudaRegisterFatBinary(void *binary);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
void __cudaRegisterFunction(void **handle, const char *host, char *device_name,
                            const char *name, int limit, uint3 *tid, uint3 *bid,
                            dim3 *block, dim3 *grid, int *warp);
void __cudaRegisterVar(void **handle, char *host, char *address,
                       const char *name, int ext, size_t size, int constant,
                       int global);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic,
                                     struct CUstream_st *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *dynamic,
                                       void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block,
                               void **args, size_t dynamic,
                               cudaStream_t stream);

void **__cudaRegisterFatBinary(void *binary)
{
    (void)binary;
    return &fatbin_handle;
}

void __cudaRegisterFatBinaryEnd(void **handle)
{
    (void)handle;
}

void __cudaUnregisterFatBinary(void **handle)
{
    (void)handle;
}

void __cudaRegisterVar(void **handle, char *host, char *address,
                       const char *name, int ext, size_t size, int constant,
                       int global)
{
    (void)handle, (void)host, (void)address, (void)name, (void)ext;
    (void)size, (void)constant, (void)global;
}

void __cudaRegisterFunction(void **handle, const char *host, char *device_name,
                            const char *name, int limit, uint3 *tid, uint3 *bid,
                            dim3 *block, dim3 *grid, int *warp)
{
    (void)handle, (void)name, (void)limit, (void)tid, (void)bid;
    (void)block, (void)grid, (void)warp;
    if (dry.kernel_count == KERNELS)
        abort();
    dry.kernels[dry.kernel_count++] =
        (struct kernel){ host, device_name, 48 << 10 };
}

static struct kernel *kernel_of(const void *host)
{
    for (size_t i = 0; i < dry.kernel_count; i++)
        if (dry.kernels[i].host == host)
            return &dry.kernels[i];
    return NULL;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t dynamic,
                                     struct CUstream_st *stream)
{
    (void)stream;
    dry.call.grid = grid;
    dry.call.block = block;
    dry.call.dynamic = dynamic;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *dynamic,
                                       void *stream)
{
    *grid = dry.call.grid;
    *block = dry.call.block;
    *dynamic = dry.call.dynamic;
    *(cudaStream_t *)stream = NULL;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *host)
{
    *out = (cudaKernel_t)(void *)kernel_of(host);
    return *out ? cudaSuccess : cudaErrorInvalidDeviceFunction;
}

static cudaError_t launched(const struct kernel *k, dim3 grid, dim3 block,
                            size_t dynamic, unsigned cluster)
{
    unsigned threads = block.x * block.y * block.z;
    unsigned blocks = grid.x * grid.y * grid.z;
    struct launch *l = dry.launches;

    if (!k)
        return refuse(cudaErrorInvalidDeviceFunction, "no kernel", "?");
    if (threads == 0 || threads > 1024)
        return refuse(cudaErrorInvalidConfiguration, "threads", k->name);
    if (blocks == 0 || grid.x > INT32_MAX || grid.y > 65535 || grid.z > 65535)
        return refuse(cudaErrorInvalidConfiguration, "grid", k->name);
    if (dynamic > (size_t)k->dynamic)
        return refuse(cudaErrorInvalidValue, "shared memory", k->name);
    if (cluster > 1 &&
        (device()->major < 9 || cluster > 8 || grid.x % cluster != 0))
        return refuse(cudaErrorInvalidClusterSize, "cluster", k->name);
    for (; l < dry.launches + dry.launch_count; l++)
        if (l->kernel == k && l->threads == threads && l->dynamic == dynamic &&
            l->cluster == cluster)
            break;
    if (l == dry.launches + LAUNCHES)
        abort();
    if (l == dry.launches + dry.launch_count) {
        *l = (struct launch){ k, threads, cluster, 0, dynamic, 0 };
        dry.launch_count++;
    }
    l->blocks = blocks > l->blocks ? blocks : l->blocks;
    if (dry.capturing) {
        count(RECORDED, 0);
        dry.capturing->count[l - dry.launches]++;
    } else {
        l->count++;
    }
    return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block,
                               void **args, size_t dynamic, cudaStream_t stream)
{
    (void)args, (void)stream;
    return launched((const struct kernel *)(void *)kernel, grid, block, dynamic,
                    1);
}

cudaError_t cudaLaunchKernel(const void *f, dim3 grid, dim3 block, void **args,
                             size_t dynamic, cudaStream_t stream)
{
    (void)args, (void)stream;
    return launched(kernel_of(f), grid, block, dynamic, 1);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *f,
                                void **args)
{
    unsigned cluster = 1;

    (void)args;
    for (unsigned i = 0; i < config->numAttrs; i++)
        if (config->attrs[i].id == cudaLaunchAttributeClusterDimension)
            cluster = config->attrs[i].val.clusterDim.x *
                      config->attrs[i].val.clusterDim.y *
                      config->attrs[i].val.clusterDim.z;
    return launched(kernel_of(f), config->gridDim, config->blockDim,
                    config->dynamicSmemBytes, cluster);
}

cudaError_t cudaFuncSetAttribute(const void *f, enum cudaFuncAttribute what,
                                 int value)
{
    struct kernel *k = kernel_of(f);

    if (!k)
        return refuse(cudaErrorInvalidDeviceFunction, "no kernel", "?");
    if (what != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess;
    if (value < 0 || value > device()->smem)
        return refuse(cudaErrorInvalidValue, "shared memory asked for",
                      k->name);
    k->dynamic = value > k->dynamic ? value : k->dynamic;
    return cudaSuccess;
}

/* ---- tensor maps ---- */

static CUresult encode(CUtensorMap *map, CUtensorMapDataType type,
                       cuuint32_t rank, void *address, const cuuint64_t *size,
                       const cuuint64_t *stride, const cuuint32_t *box,
                       const cuuint32_t *step, CUtensorMapInterleave interleave,
                       CUtensorMapSwizzle swizzle,
                       CUtensorMapL2promotion promotion,
                       CUtensorMapFloatOOBfill fill)
{
    size_t element = type == CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 ||
                             type == CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                         ? 2
                     : type == CU_TENSOR_MAP_DATA_TYPE_UINT8 ? 1
                                                             : 4;
    size_t widest = swizzle == CU_TENSOR_MAP_SWIZZLE_128B  ? 128
                    : swizzle == CU_TENSOR_MAP_SWIZZLE_64B ? 64
                    : swizzle == CU_TENSOR_MAP_SWIZZLE_32B ? 32
                                                           : 256 * element;
    const char *why = NULL;

    (void)interleave, (void)promotion, (void)fill;
    if (device()->major < 9)
        why = "architecture";
    if (rank == 0 || rank > 5)
        why = "rank";
    if ((uintptr_t)map % 64 != 0 || (uintptr_t)address % 16 != 0)
        why = "alignment";
    for (cuuint32_t i = 0; !why && i < rank; i++) {
        if (size[i] == 0 || size[i] > (cuuint64_t)1 << 32)
            why = "size";
        if (box[i] == 0 || box[i] > 256 || step[i] == 0 || step[i] > 8)
            why = "box";
        if (i + 1 < rank &&
            (stride[i] % 16 != 0 || stride[i] >= (cuuint64_t)1 << 40))
            why = "stride";
    }
    if (!why && (box[0] * element % 16 != 0 || box[0] * element > widest))
        why = "box's rows";
    if (why)
        (void)refuse(cudaErrorInvalidValue, "tensor map", why);
    memset(map, 0, sizeof(*map));
    return why ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

cudaError_t
cudaGetDriverEntryPointByVersion(const char *symbol, void **out,
                                 unsigned version, unsigned long long flags,
                                 enum cudaDriverEntryPointQueryResult *state)
{
    (void)version, (void)flags;
    *out = NULL;
    if (strcmp(symbol, "cuTensorMapEncodeTiled") == 0)
        *(CUresult(**)(
            CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *,
            const cuuint64_t *, const cuuint64_t *, const cuuint32_t *,
            const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
            CUtensorMapL2promotion, CUtensorMapFloatOOBfill))out = encode;
    *state =
        *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

/* ---- the device ---- */

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int ordinal)
{
    return ordinal == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr what,
                                   int ordinal)
{
    const struct device *d = device();

    (void)ordinal;
    switch ((int)what) {
    case cudaDevAttrComputeCapabilityMajor: *value = d->major; break;
    case cudaDevAttrMultiProcessorCount: *value = d->sms; break;
    case cudaDevAttrL2CacheSize: *value = d->l2; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = d->smem; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = d->smem + 1024;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    default: *value = 0; break;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int ordinal)
{
    (void)ordinal;
    memset(p, 0, sizeof(*p));
    (void)snprintf(p->name, sizeof(p->name), "%s", device()->name);
    p->major = device()->major;
    p->multiProcessorCount = device()->sms;
    p->l2CacheSize = device()->l2;
    p->totalGlobalMem = device()->memory;
    p->sharedMemPerBlockOptin = (size_t)device()->smem;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *total)
{
    *total = device()->memory;
    *left = *total - dry.used;
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = dry.last;

    dry.last = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    return dry.last;
}

const char *cudaGetErrorString(cudaError_t e)
{
    return e == cudaSuccess ? "no error" : "refused (dry)";
}

const char *cudaGetErrorName(cudaError_t e)
{
    return cudaGetErrorString(e);
}

/* ---- memory: the bytes of a piece stand in a page before it ---- */

#define PAGE ((size_t)2 << 20)

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    char *p;

    count(ALLOCS, bytes);
    *out = NULL;
    if (waits("cudaMalloc") != cudaSuccess)
        return dry.last;
    if (bytes > device()->memory - dry.used) {
        dry.last = cudaErrorMemoryAllocation;
        return dry.last;
    }
    p = mmap(NULL, bytes + PAGE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE) != 0)
        return cudaErrorMemoryAllocation;
    memcpy(p, &bytes, sizeof(bytes));
    dry.used += bytes;
    *out = p + PAGE;
    return cudaSuccess;
}

cudaError_t cudaFree(void *data)
{
    size_t bytes;

    if (!data)
        return cudaSuccess;
    if (waits("cudaFree") != cudaSuccess)
        return dry.last;
    memcpy(&bytes, (char *)data - PAGE, sizeof(bytes));
    dry.used -= bytes;
    (void)munmap((char *)data - PAGE, bytes + PAGE);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    *out = calloc(1, bytes);
    return *out ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags)
{
    (void)flags;
    return cudaMallocHost(out, bytes);
}

cudaError_t cudaFreeHost(void *data)
{
    free(data);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            enum cudaMemcpyKind kind, cudaStream_t stream)
{
    (void)from, (void)stream;
    if (kind == cudaMemcpyHostToDevice)
        count(IN, bytes);
    if (kind == cudaMemcpyDeviceToHost) {
        count(OUT, bytes);
        memset(to, 0, bytes);
    }
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes,
                       enum cudaMemcpyKind kind)
{
    count(WAITS, 0);
    if (waits("cudaMemcpy") != cudaSuccess)
        return dry.last;
    return cudaMemcpyAsync(to, from, bytes, kind, NULL);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from,
                              size_t from_pitch, size_t width, size_t height,
                              enum cudaMemcpyKind kind, cudaStream_t stream)
{
    cudaError_t e = cudaSuccess;

    (void)to_pitch, (void)from_pitch;
    for (size_t i = 0; i < height && e == cudaSuccess; i++)
        e = cudaMemcpyAsync((char *)to + i * to_pitch, from, width, kind,
                            stream);
    return e;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes,
                            cudaStream_t stream)
{
    (void)to, (void)value, (void)stream;
    count(SET, bytes);
    return cudaSuccess;
}

/* ---- streams, events, graphs ---- */

static char thing; /* what all handles point to */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    *out = (cudaStream_t)(void *)&thing;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    (void)stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    count(WAITS, 0);
    return waits("cudaStreamSynchronize");
}

cudaError_t cudaDeviceSynchronize(void)
{
    return cudaStreamSynchronize(NULL);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event,
                                unsigned flags)
{
    (void)stream, (void)event, (void)flags;
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    *out = (cudaEvent_t)(void *)&thing;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    (void)event, (void)stream;
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    (void)event;
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    (void)event;
    count(WAITS, 0);
    return waits("cudaEventSynchronize");
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream,
                                   enum cudaStreamCaptureMode mode)
{
    (void)stream, (void)mode;
    dry.capturing = calloc(1, sizeof(*dry.capturing));
    return dry.capturing ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream,
                                  enum cudaStreamCaptureStatus *status)
{
    (void)stream;
    *status = dry.capturing ? cudaStreamCaptureStatusActive
                            : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    (void)stream;
    *out = (cudaGraph_t)(void *)dry.capturing;
    dry.capturing = NULL;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                 unsigned long long flags)
{
    struct graph *copy = malloc(sizeof(*copy));

    (void)flags;
    if (!copy)
        return cudaErrorMemoryAllocation;
    memcpy(copy, (const void *)graph, sizeof(*copy));
    *out = (cudaGraphExec_t)(void *)copy;
    return cudaSuccess;
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *result)
{
    (void)exec, (void)graph;
    memset(result, 0, sizeof(*result));
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    const struct graph *g = (const void *)exec;

    (void)stream;
    if (dry.capturing)
        return refuse(cudaErrorStreamCaptureUnsupported, "recording a graph",
                      "cudaGraphLaunch");
    count(GRAPHS, 0);
    for (size_t i = 0; i < dry.launch_count; i++)
        dry.launches[i].count += g->count[i];
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    free((void *)exec);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    free((void *)graph);
    return cudaSuccess;
}
