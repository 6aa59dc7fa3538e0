/*
 * emulated_graph.cuh - graphs: what a captured stream was given, run again
 *
 * There is one stream, and a graph is the list of what it was given. Included
 * by emulated_runtime.cu alone.
 */
#ifndef EMULATED_GRAPH_CUH
#define EMULATED_GRAPH_CUH

#include "emulated.cuh"

#include <vector>

struct emulated_graph {
    std::vector<std::function<void()>> nodes;
};
static struct emulated_graph *emulated_capture; /* NULL: nothing is captured */

bool emulated_recording(void)
{
    return emulated_capture != NULL;
}

void emulated_record(std::function<void()> f)
{
    emulated_capture->nodes.push_back(std::move(f));
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode)
{
    if (emulated_capture)
        return cudaErrorInvalidValue;
    emulated_capture = new emulated_graph;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *out)
{
    *out = emulated_capture;
    emulated_capture = NULL;
    return *out ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                 unsigned long long)
{
    *out = new emulated_graph(*graph);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
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
