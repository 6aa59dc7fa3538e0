/*
 * emulated_private.cuh - what the emulator's files share: fibers, blocks, and
 * what they wait for
 */
#ifndef EMULATED_PRIVATE_CUH
#define EMULATED_PRIVATE_CUH

#include "emulated_hopper.cuh"

#include <deque>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define WINDOW ((uintptr_t)1 << 20) /* of one block's shared memory */
#define WINDOWS ((uintptr_t)0x20000000)
#define RESERVED 1024 /* of a window, as on Hopper */
#define SMEM_MOST (227 * 1024)
#define SMEM_PLAIN (48 * 1024)
#define PATIENCE 5000000u /* tries without anything new */

struct context {
#if defined(__x86_64__)
    void *sp;
#else
    ucontext_t u;
#endif
};

/* Threads that wait for the others of theirs. */
struct gathering {
    unsigned size, arrived;
    const char *what; /* of the first that came */
    std::vector<struct fiber *> waiting;
};

struct copy {
    char *to;
    const char *from;
    unsigned size, bytes;
};

/* A warpgroup's product, as far as its threads have come. */
struct product {
    struct emulated_wgmma of[128];
    unsigned arrived;
    bool done;
};

struct warpgroup {
    std::deque<struct product> products;
    size_t first; /* the number of the front one */
};

struct warp {
    struct gathering g;
    char values[32][16];
    uint32_t words[32][6];
    float sums[32][4];
    unsigned bits;
    unsigned lanes;
};

struct block;
struct fiber {
    struct emulated_thread t; /* first: emulated_self is this */
    struct context context;
    struct block *b;
    struct warp *w;
    bool done, followed; /* ended; has waited for the kernel before */
    std::deque<std::vector<struct copy>> copies; /* groups; the last is open */
    size_t issued, committed;
    std::deque<size_t> groups; /* products issued at each commit */
    char *stack;
};

struct block {
    struct emulated_block e;
    struct gathering all;
    int counted, count;
    std::vector<struct warp> warps;
    std::vector<struct warpgroup> groups;
    char *window;
};

struct late_copy {
    uint32_t to, barrier;
    CUtensorMap map;
    uint32_t x, y;
    unsigned rank;
};

/* What runs now; NULL: who launched. */
extern struct fiber *emulated_fiber;
extern std::vector<struct block> emulated_blocks; /* of this cluster */
extern struct gathering emulated_cluster_all;
extern std::vector<struct late_copy> emulated_late_copies; /* of tensors */
extern const struct emulated_launch *emulated_launched;
extern bool emulated_late;     /* what is waited for later happens late */
extern uint64_t emulated_idle; /* tries since something new happened */
/* What cudaFuncSetAttribute allowed; the first error since it was asked for. */
size_t emulated_allowed(const void *kernel);
extern cudaError_t emulated_error;

/* Let others run; this one goes on when it is ready again. */
void emulated_yield(void);
void emulated_ready(struct fiber *f);
/* Wait for all of g; whether this thread is the last one, which has let the
 * others go. what: a literal of this place. */
bool emulated_gather(struct gathering *g, const char *what);
/* This thread's, none of whose lanes has ended. */
struct warp *emulated_whole_warp(void);
/* Ends the process unless these bytes are this block's dynamic memory. */
void emulated_check(uint32_t at, size_t bytes, const char *what);
/* The i-th 16 bits of a word as a float. */
float emulated_half_of(enum emulated_product kind, uint32_t word, unsigned i);

#endif
