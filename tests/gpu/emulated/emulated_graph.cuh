/*
 * emulated_graph.cuh - graphs: what a captured stream was given, run again
 *
 * There is one stream, and a graph is the list of what it was given: kernels
 * with the values that their arguments had, copies with the addresses. As on a
 * GPU, waiting while a stream is captured spoils the capture, and so does
 * waiting for an event that was recorded in it. EMULATED_GRAPHS=end or
 * =instantiate: a driver that refuses just that. Included by
 * emulated_runtime.cu alone.
 */
#ifndef EMULATED_GRAPH_CUH
#define EMULATED_GRAPH_CUH

#include "emulated_private.cuh"

#include <stdlib.h>
#include <vector>

struct emulated_graph {
    std::vector<std::function<void()>> nodes;
};
static struct emulated_graph *emulated_capture; /* NULL: nothing is captured */
static bool emulated_capture_spoiled;

bool emulated_recording(void)
{
    return emulated_capture != NULL;
}

void emulated_record(std::function<void()> f)
{
    emulated_capture->nodes.push_back(std::move(f));
}

static bool emulated_graphs_refuse(const char *what)
{
    const char *refused = getenv("EMULATED_GRAPHS");

    return refused && strcmp(refused, what) == 0;
}

/* A call that waits: it may not while a stream is captured. */
static cudaError_t emulated_wait(void)
{
    if (!emulated_capture)
        return cudaSuccess;
    emulated_capture_spoiled = true;
    return emulated_error = cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    if (emulated_capture)
        return emulated_error = cudaErrorInvalidValue;
    emulated_capture = new emulated_graph;
    emulated_capture_spoiled = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *out)
{
    *out = NULL;
    if (!emulated_capture)
        return emulated_error = cudaErrorInvalidValue;
    if (!emulated_capture_spoiled && !emulated_graphs_refuse("end"))
        *out = emulated_capture;
    else
        delete emulated_capture;
    emulated_capture = NULL;
    return *out ? cudaSuccess
                : emulated_error = cudaErrorStreamCaptureInvalidated;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                 unsigned long long)
{
    if (emulated_graphs_refuse("instantiate"))
        return emulated_error = cudaErrorMemoryAllocation;
    *out = new emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    emulated_settle();
    for (const std::function<void()> &node : exec->nodes)
        node();
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

#endif
