/*
 * emulated.cu - threads of a grid as fibers of this process
 *
 * Blocks run one after another, those of a cluster together. A fiber gives way
 * where it waits: at a barrier of its block, its warp, its cluster, at an
 * mbarrier, for a product. What is wrong (lanes at different places, a wait
 * that never ends, a write behind shared memory) ends the process with a line.
 */
#include "compute/cuda/cuda_hopper.cuh"

#include "emulated_graph.cuh"

#include <deque>
#include <map>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <vector>

#define THREADS_MOST 1024
#define CLUSTER_MOST 8
#define STACK_BYTES ((size_t)256 << 10)
#define WINDOW ((uintptr_t)1 << 20) /* of one block's shared memory */
#define WINDOWS ((uintptr_t)0x20000000)
#define RESERVED 1024 /* of a window, as on Hopper */
#define SMEM_MOST (227 * 1024)
#define SMEM_PLAIN (48 * 1024)
#define CANARY 256
#define MEMORY ((size_t)6 << 30)
#define PATIENCE 5000000u /* tries without anything new */

/* ---- fibers ---- */
struct fiber;
static void fiber_resume(struct fiber *to);
static struct fiber *current;

#if defined(__x86_64__)
struct context {
    void *sp;
};
extern "C" void emulated_switch(struct context *from, struct context *to);
__asm__(".text\n"
        "emulated_switch:\n"
        "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\n"
        "pushq %r15\n"
        "movq %rsp, (%rdi)\n"
        "movq (%rsi), %rsp\n"
        "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\n"
        "popq %rbp\n"
        "ret\n");

static void context_make(struct context *c, char *stack, void (*entry)(void))
{
    uintptr_t *sp = (uintptr_t *)(stack + STACK_BYTES - 64);

    *--sp = 0; /* nobody to return to; keeps the stack as calls have it */
    *--sp = (uintptr_t)entry;
    for (int i = 0; i < 6; i++)
        *--sp = 0;
    c->sp = sp;
}
#else
#include <ucontext.h>
struct context {
    ucontext_t u;
};
static void emulated_switch(struct context *from, struct context *to)
{
    (void)swapcontext(&from->u, &to->u);
}
static void context_make(struct context *c, char *stack, void (*entry)(void))
{
    (void)getcontext(&c->u);
    c->u.uc_stack.ss_sp = stack;
    c->u.uc_stack.ss_size = STACK_BYTES;
    c->u.uc_link = NULL;
    makecontext(&c->u, entry, 0);
}
#endif

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
    bool done;
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

struct emulated_thread *emulated_self;
dim3 threadIdx, blockIdx, blockDim, gridDim;
static struct context outside;
static std::vector<struct fiber *> runnable;
static std::vector<struct fiber> fibers;
static std::vector<struct block> blocks;
static struct gathering cluster_all;
static std::vector<struct late_copy> late_copies;
static const struct emulated_launch *launch;
static void (*launch_body)(void *);
static void *launch_argument;
static uint64_t launches, chance = 88172645463325252ull, idle;
static bool late;
/* As they come; the last first; at random; at random, but some hardly ever. */
static enum { FORWARDS, BACKWARDS, RANDOM, UNFAIR, ORDERS } order;
static std::map<const void *, int> allowed_smem;
static cudaError_t last_error;

[[noreturn]] void emulated_fail(const char *why)
{
    fflush(stdout);
    fprintf(stderr, "emulated: %s", why);
    if (current)
        fprintf(stderr, "; block %u,%u,%u thread %u,%u,%u", current->b->e.at.x,
                current->b->e.at.y, current->b->e.at.z, current->t.at.x,
                current->t.at.y, current->t.at.z);
    fprintf(stderr, "; launch %llu\n", (unsigned long long)launches);
    abort();
}

static uint64_t next_chance(void)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return chance;
}

static size_t runnable_first; /* without chance: the next one */

/* Whether this one is of those that an unfair order leaves behind: one block of
 * a cluster, or half of the warps. */
static bool left_behind(const struct fiber *f)
{
    unsigned who = launch->cluster > 1 ? f->b->e.rank : f->t.linear / 32;

    return (who + launches) % 2 != 0;
}

static size_t runnable_choose(void)
{
    size_t i = 0;

    for (int tries = 0; tries < 8; tries++) {
        i = runnable_first + next_chance() % (runnable.size() - runnable_first);
        if (order == RANDOM || !left_behind(runnable[i]))
            break;
    }
    return i;
}

static void fiber_ready(struct fiber *f)
{
    runnable.push_back(f);
}

/* The next fiber, or the one who launched. */
static void fiber_yield(void)
{
    struct fiber *from = current, *to;

    if (runnable_first == runnable.size()) {
        unsigned live = 0;

        for (struct fiber &f : fibers)
            live += !f.done;
        if (live)
            emulated_fail("threads wait for others that have ended or wait "
                          "elsewhere");
        current = NULL;
        emulated_switch(&from->context, &outside);
        return;
    }
    if (order >= RANDOM) {
        size_t i = runnable_choose();

        to = runnable[i];
        runnable[i] = runnable.back();
        runnable.pop_back();
    } else {
        to = runnable[runnable_first++];
        if (runnable_first > 4096) {
            runnable.erase(runnable.begin(),
                           runnable.begin() + (long)runnable_first);
            runnable_first = 0;
        }
    }
    if (to != from)
        fiber_resume(to);
}

static void fiber_resume(struct fiber *to)
{
    struct fiber *from = current;

    current = to;
    emulated_self = &to->t;
    threadIdx = to->t.at;
    blockIdx = to->t.block->at;
    emulated_switch(from ? &from->context : &outside, &to->context);
}

static void gathering_open(struct gathering *g)
{
    for (struct fiber *f : g->waiting)
        fiber_ready(f);
    g->waiting.clear();
    g->arrived = 0;
    idle = 0;
}

/* Whether this thread is the last one, which has let the others go. */
static bool gather(struct gathering *g, const char *what)
{
    if (g->arrived == 0)
        g->what = what;
    else if (g->what != what) /* the literals are one file's */
        emulated_fail(g->what[0] == 'w'
                          ? "lanes of a warp wait at different places"
                          : "threads wait at different barriers");
    if (++g->arrived == g->size) {
        gathering_open(g);
        return true;
    }
    g->waiting.push_back(current);
    fiber_yield();
    return false;
}

/* Those that have ended are not waited for at a barrier. */
static void gathering_leave(struct gathering *g)
{
    g->size--;
    if (g->size > 0 && g->arrived == g->size)
        gathering_open(g);
}

static void fiber_main(void)
{
    struct fiber *f = current;

    launch_body(launch_argument);
    for (std::vector<struct copy> &g : f->copies)
        if (!g.empty())
            emulated_fail("a thread ends with copies under way");
    if (f->w->g.arrived)
        emulated_fail("a lane ends while others of its warp wait for it");
    f->done = true;
    idle = 0;
    f->w->lanes--;
    gathering_leave(&f->b->all);
    gathering_leave(&cluster_all);
    fiber_yield();
    emulated_fail("an ended thread goes on");
}

/* ---- together ---- */
void emulated_barrier(void)
{
    gather(&current->b->all, "__syncthreads");
}

int emulated_barrier_count(int predicate)
{
    struct block *b = current->b;

    b->counted += predicate != 0;
    if (b->all.arrived + 1 == b->all.size) {
        b->count = b->counted;
        b->counted = 0;
    }
    gather(&b->all, "__syncthreads_or");
    return b->count;
}

static struct warp *whole_warp(void)
{
    struct warp *w = current->w;

    if (w->lanes != w->g.size)
        emulated_fail("lanes of this warp have ended");
    return w;
}

void emulated_warp(void)
{
    gather(&whole_warp()->g, "warp sync");
}

void emulated_exchange(void *value, size_t bytes, unsigned from)
{
    struct warp *w = whole_warp();
    char got[16];

    if (bytes > sizeof(got) || from >= w->g.size)
        emulated_fail("an exchange with a lane that is not there");
    memcpy(w->values[current->t.lane], value, bytes);
    gather(&w->g, "warp exchange");
    memcpy(got, w->values[from], bytes);
    gather(&w->g, "warp exchanged");
    memcpy(value, got, bytes);
}

unsigned emulated_ballot(int predicate)
{
    struct warp *w = whole_warp();
    unsigned bits;

    if (w->g.arrived == 0)
        w->bits = 0;
    w->bits |= (predicate ? 1u : 0u) << current->t.lane;
    gather(&w->g, "warp ballot");
    bits = w->bits;
    gather(&w->g, "warp balloted");
    return bits;
}

void *emulated_dynamic(void)
{
    return current->b->window + RESERVED;
}

long long emulated_clock(void)
{
    static long long ticks;

    return ticks += 100;
}

/* ---- cp.async ---- */
static void copy_run(const struct copy *c)
{
    if (c->bytes)
        memcpy(c->to, c->from, c->bytes);
    memset(c->to + c->bytes, 0, c->size - c->bytes);
}

static void check_window(uint32_t at, size_t bytes, const char *what)
{
    uintptr_t begin = (uintptr_t)current->b->window + RESERVED;

    if (at < begin || at + bytes > begin + launch->dynamic)
        emulated_fail(what);
}

void emulated_copy(uint32_t to, const void *from, unsigned size, unsigned bytes)
{
    struct copy c = { (char *)(uintptr_t)to, (const char *)from, size, bytes };

    check_window(to, size, "an asynchronous copy outside shared memory");
    if (to % size || (uintptr_t)from % size || bytes > size)
        emulated_fail("an asynchronous copy that is not aligned");
    if (!late)
        copy_run(&c);
    if (current->copies.empty())
        current->copies.emplace_back();
    current->copies.back().push_back(c);
}

void emulated_copy_commit(void)
{
    if (current->copies.empty())
        current->copies.emplace_back();
    current->copies.emplace_back();
}

void emulated_copy_wait(unsigned left)
{
    while (current->copies.size() > left + (size_t)1) {
        if (late)
            for (const struct copy &c : current->copies.front())
                copy_run(&c);
        current->copies.pop_front();
    }
}

/* ---- ldmatrix, mma ---- */
void emulated_ldmatrix(uint32_t r[4], uint32_t at, bool crossed)
{
    struct warp *w = whole_warp();
    unsigned lane = current->t.lane;

    check_window(at, 16, "ldmatrix outside shared memory");
    if (at % 16)
        emulated_fail("ldmatrix of a row that is not aligned");
    w->words[lane][0] = at;
    gather(&w->g, crossed ? "warp ldmatrix.trans" : "warp ldmatrix");
    for (unsigned i = 0; i < 4; i++) {
        uint16_t two[2];

        for (unsigned j = 0; j < 2; j++) {
            unsigned row = crossed ? lane % 4 * 2 + j : lane / 4;
            unsigned column = crossed ? lane / 4 : lane % 4 * 2 + j;
            const uint16_t *from =
                (const uint16_t *)(uintptr_t)w->words[i * 8 + row][0];

            two[j] = from[column];
        }
        r[i] = two[0] | (uint32_t)two[1] << 16;
    }
    gather(&w->g, "warp ldmatrix end");
}

static float half_of(enum emulated_product kind, uint32_t word, unsigned i)
{
    uint16_t bits = (uint16_t)(word >> 16 * i);

    return kind == EMULATED_BF16 ? emulated_of_bf16(bits)
                                 : emulated_of_half(bits);
}

/* Element (row, k) of A and (k, column) of B, from the lanes that have them. */
static float a_at(const struct warp *w, enum emulated_product kind,
                  unsigned row, unsigned k)
{
    unsigned lane = row % 8 * 4;

    if (kind == EMULATED_TF32)
        return emulated_bits<float>(
            w->words[lane + k % 4][row / 8 + k / 4 * 2] & ~(uint32_t)0x1fff);
    return half_of(kind, w->words[lane + k % 8 / 2][row / 8 + k / 8 * 2],
                   k % 2);
}

static float b_at(const struct warp *w, enum emulated_product kind, unsigned k,
                  unsigned column)
{
    if (kind == EMULATED_TF32)
        return emulated_bits<float>(w->words[column * 4 + k % 4][4 + k / 4] &
                                    ~(uint32_t)0x1fff);
    return half_of(kind, w->words[column * 4 + k % 8 / 2][4 + k / 8], k % 2);
}

void emulated_mma(enum emulated_product kind, float d[4], const uint32_t a[4],
                  const uint32_t b[2])
{
    struct warp *w = whole_warp();
    unsigned lane = current->t.lane;

    memcpy(w->words[lane], a, 16);
    memcpy(w->words[lane] + 4, b, 8);
    memcpy(w->sums[lane], d, 16);
    if (w->g.arrived + 1 == w->g.size) {
        unsigned depth = kind == EMULATED_TF32 ? 8 : 16;
        float x[16][16], y[16][8];

        for (unsigned k = 0; k < depth; k++) {
            for (unsigned i = 0; i < 16; i++)
                x[i][k] = a_at(w, kind, i, k);
            for (unsigned j = 0; j < 8; j++)
                y[k][j] = b_at(w, kind, k, j);
        }
        for (unsigned i = 0; i < 16; i++) {
            float sum[8] = { 0 };

            for (unsigned k = 0; k < depth; k++)
                for (unsigned j = 0; j < 8; j++)
                    sum[j] += x[i][k] * y[k][j];
            for (unsigned j = 0; j < 8; j++)
                w->sums[i % 8 * 4 + j / 2][i / 8 * 2 + j % 2] += sum[j];
        }
    }
    gather(&w->g, "warp mma");
    memcpy(d, w->sums[lane], 16);
    gather(&w->g, "warp mma end");
}

static int byte_at(uint32_t word, unsigned i)
{
    return (int8_t)(word >> 8 * i);
}

/* m16n8k32 of signed bytes. */
void emulated_mma_bytes(int32_t d[4], const uint32_t a[4], const uint32_t b[2])
{
    struct warp *w = whole_warp();
    unsigned lane = current->t.lane;

    memcpy(w->words[lane], a, 16);
    memcpy(w->words[lane] + 4, b, 8);
    memcpy(w->sums[lane], d, 16);
    if (w->g.arrived + 1 == w->g.size)
        for (unsigned i = 0; i < 16; i++)
            for (unsigned j = 0; j < 8; j++) {
                float *to = &w->sums[i % 8 * 4 + j / 2][i / 8 * 2 + j % 2];
                const uint32_t *x, *y;
                int32_t sum;

                memcpy(&sum, to, sizeof(sum));
                for (unsigned k = 0; k < 32; k++) {
                    x = w->words[i % 8 * 4 + k % 16 / 4] + i / 8 + k / 16 * 2;
                    y = w->words[j * 4 + k % 16 / 4] + 4 + k / 16;
                    sum += byte_at(*x, k % 4) * byte_at(*y, k % 4);
                }
                memcpy(to, &sum, sizeof(sum));
            }
    gather(&w->g, "warp mma");
    memcpy(d, w->sums[lane], 16);
    gather(&w->g, "warp mma end");
}

/* ---- mbarrier: phase, arrivals asked for and missing, bytes missing ---- */
struct mbarrier {
    uint64_t phase : 1, asked : 20, missing : 20;
    int64_t bytes : 23;
};

static struct mbarrier *barrier_at(uint32_t at)
{
    uintptr_t window = WINDOWS + (at - WINDOWS) / WINDOW * WINDOW;

    if (at % 8 || at < window + RESERVED ||
        at + 8 > window + RESERVED + launch->dynamic ||
        (at - WINDOWS) / WINDOW >= blocks.size())
        emulated_fail("a barrier that is not in shared memory");
    return (struct mbarrier *)(uintptr_t)at;
}

void emulated_mbarrier_init(uint32_t at, uint32_t arrivals)
{
    struct mbarrier b = { 0, arrivals, arrivals, 0 };

    *barrier_at(at) = b;
}

static void barrier_look(struct mbarrier *b)
{
    idle = 0;
    if (b->missing || b->bytes)
        return;
    b->phase ^= 1;
    b->missing = b->asked;
}

void emulated_mbarrier_arrive(uint32_t at, uint32_t rank, uint32_t bytes)
{
    struct mbarrier *b = barrier_at(
        (uint32_t)(at + ((intptr_t)rank - (intptr_t)current->b->e.rank) *
                            (intptr_t)WINDOW));

    if (blocks[rank].all.size == 0)
        emulated_fail("an arrival at a block that has ended");
    if (!b->missing)
        emulated_fail("an arrival that the barrier does not wait for");
    b->bytes += bytes;
    b->missing--;
    barrier_look(b);
}

static void tensor_copy_run(const struct late_copy *c)
{
    const CUtensorMap *m = &c->map;
    struct mbarrier *b;

    if (blocks[c->rank].all.size == 0)
        emulated_fail("a tensor copy to a block that has ended");

    for (uint32_t j = 0; j < m->box[1]; j++)
        for (uint32_t i = 0; i < m->box[0]; i++) {
            int64_t x = (int64_t)(int32_t)c->x + i;
            int64_t y = (int64_t)(int32_t)c->y + j;
            bool in = x >= 0 && y >= 0 && (uint64_t)x < m->size[0] &&
                      (uint64_t)y < m->size[1];
            uintptr_t to = c->to + (uintptr_t)(j * m->box[0] + i) * 2;

            to ^= (to >> 7 & 7) << 4;
            *(uint16_t *)to =
                in ? *(const uint16_t *)(m->base + (uint64_t)y * m->stride +
                                         (uint64_t)x * 2)
                   : 0;
        }
    b = barrier_at(c->barrier);
    b->bytes -= (int64_t)m->box[0] * m->box[1] * 2;
    barrier_look(b);
}

void emulated_tensor_copy(uint32_t to, const CUtensorMap *map, uint32_t x,
                          uint32_t y, uint32_t barrier, unsigned to_blocks)
{
    size_t bytes = (size_t)map->box[0] * map->box[1] * 2;

    check_window(to, bytes, "a tensor copy outside shared memory");
    if (to % 128)
        emulated_fail("a tensor copy to a place that is not aligned");
    for (unsigned r = 0; r < blocks.size(); r++) {
        uint32_t far = (uint32_t)(((intptr_t)r - (intptr_t)current->b->e.rank) *
                                  (intptr_t)WINDOW);
        struct late_copy c = { to + far, barrier + far, *map, x, y, r };

        if (!(to_blocks >> r & 1))
            continue;
        if (late)
            late_copies.push_back(c);
        else
            tensor_copy_run(&c);
    }
}

static bool phase_over(uint32_t at, uint32_t parity)
{
    return barrier_at(at)->phase != (parity & 1);
}

bool emulated_mbarrier_try(uint32_t at, uint32_t parity)
{
    if (phase_over(at, parity))
        return true;
    for (size_t i = 0; i < late_copies.size(); i++)
        if (late_copies[i].barrier == at) {
            struct late_copy c = late_copies[i];

            late_copies.erase(late_copies.begin() + (long)i--);
            tensor_copy_run(&c);
        }
    if (phase_over(at, parity))
        return true;
    if (++idle > PATIENCE)
        emulated_fail("a barrier whose phase never ends");
    fiber_ready(current);
    fiber_yield();
    return phase_over(at, parity);
}

void emulated_cluster(void)
{
    gather(&cluster_all, "cluster");
}

/* ---- wgmma ---- */
static struct warpgroup *group_of(const struct fiber *f)
{
    return &f->b->groups[f->t.linear / 128];
}

/* Eight bf16 of an operand by its descriptor (128-byte swizzle): of row `row`
 * from k on; crossed, of `k` from row `row` on. */
static const uint16_t *operand_at(const struct block *b, uint64_t d, bool cross,
                                  uint32_t row, uint32_t k)
{
    uintptr_t at = (uintptr_t)b->window + ((d & 0x3fff) << 4);
    uint32_t leading = (uint32_t)(d >> 16 & 0x3fff) << 4;
    uint32_t stride = (uint32_t)(d >> 32 & 0x3fff) << 4;

    if (d >> 62 != 1 || d >> 49 & 7)
        emulated_fail("a descriptor without 128-byte swizzle");
    if (cross)
        at += row / 64 * leading + row % 64 * 2 + k / 8 * stride + k % 8 * 128;
    else
        at += row / 8 * stride + row % 8 * 128 + k * 2;
    at ^= (at >> 7 & 7) << 4;
    if (at < (uintptr_t)b->window + RESERVED ||
        at + 16 > (uintptr_t)b->window + RESERVED + launch->dynamic)
        emulated_fail("a product that reads outside shared memory");
    return (const uint16_t *)at;
}

/* The operand as [16 of k][rows]. */
static void operand_read(const struct block *b, uint64_t d, bool cross,
                         uint32_t rows, float (*out)[256])
{
    for (uint32_t i = 0; i < rows; i += cross ? 8 : 1)
        for (uint32_t k = 0; k < 16; k += cross ? 1 : 8) {
            const uint16_t *from = operand_at(b, d, cross, i, k);

            for (uint32_t e = 0; e < 8; e++)
                out[cross ? k : k + e][cross ? i + e : i] =
                    emulated_of_bf16(from[e]);
        }
}

/* The same of fragments that the threads have kept. */
static void kept_read(const struct product *p, float (*out)[256])
{
    for (uint32_t i = 0; i < 64; i++)
        for (uint32_t k = 0; k < 16; k++)
            out[k][i] = half_of(EMULATED_BF16,
                                p->of[i / 16 * 32 + i % 8 * 4 + k % 8 / 2]
                                    .kept[i % 16 / 8 + k / 8 * 2],
                                k % 2);
}

static void product_run(const struct block *b, struct product *p)
{
    static float x[16][256], y[16][256], sums[64][256];
    const struct emulated_wgmma *w = &p->of[0];

    if (w->kept)
        kept_read(p, x);
    else
        operand_read(b, w->a, w->a_cross, 64, x);
    operand_read(b, w->b, w->b_cross, w->columns, y);
    for (uint32_t i = 0; i < 64; i++) {
        memset(sums[i], 0, sizeof(sums[i]));
        for (uint32_t k = 0; k < 16; k++)
            for (uint32_t j = 0; j < w->columns; j++)
                sums[i][j] += x[k][i] * y[k][j];
    }
    for (uint32_t t = 0; t < 128; t++)
        for (uint32_t i = 0; i < w->columns / 2; i++) {
            uint32_t row = t / 32 * 16 + t % 32 / 4 + i % 4 / 2 * 8;
            uint32_t column = i / 4 * 8 + t % 4 * 2 + i % 2;

            p->of[t].d[i] = (w->sum ? p->of[t].d[i] : 0) + sums[row][column];
        }
    p->done = true;
}

void emulated_wgmma_issue(const struct emulated_wgmma *w)
{
    struct warpgroup *g = group_of(current);
    size_t i = current->issued++ - g->first;

    if (i >= g->products.size())
        g->products.resize(i + 1);
    struct product *p = &g->products[i];
    unsigned t = current->t.linear % 128;

    p->of[t] = *w;
    if (w->columns != p->of[t].columns || ++p->arrived > 128)
        emulated_fail("a product that its warpgroup does not share");
    for (unsigned o = 0; o < 128 && p->arrived == 128; o++)
        if (p->of[o].a != w->a || p->of[o].b != w->b ||
            p->of[o].sum != w->sum || p->of[o].columns != w->columns)
            emulated_fail("threads of a warpgroup ask for different products");
    if (p->arrived == 128 && !late)
        product_run(current->b, p);
}

void emulated_wgmma_commit(void)
{
    current->groups.push_back(current->issued);
}

void emulated_wgmma_wait(unsigned pending)
{
    struct fiber *f = current;
    struct warpgroup *g = group_of(f);

    while (f->groups.size() > pending) {
        size_t until = f->groups.front();

        f->groups.pop_front();
        for (size_t i = g->first; i < until; i++) {
            /* A front one may go while this thread gives way. */
            while (i >= g->first && g->products[i - g->first].arrived < 128) {
                if (++idle > PATIENCE)
                    emulated_fail("a product that not all threads ask for");
                fiber_ready(current);
                fiber_yield();
            }
            if (i >= g->first && !g->products[i - g->first].done)
                product_run(f->b, &g->products[i - g->first]);
        }
        idle = 0;
    }
    while (!g->products.empty() && g->products.front().done) {
        g->products.pop_front();
        g->first++;
    }
}

/* ---- launches ---- */
static void windows_make(void)
{
    for (unsigned i = 0; i < CLUSTER_MOST; i++) {
        void *want = (void *)(WINDOWS + i * WINDOW);

        if (mmap(want, WINDOW, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
                 0) != want)
            emulated_fail("no memory at a low address");
    }
}

static char *stacks(void)
{
    static char *memory;

    if (!memory) {
        memory =
            (char *)mmap(NULL, STACK_BYTES * THREADS_MOST * CLUSTER_MOST,
                         PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            emulated_fail("no memory for stacks");
        windows_make();
        fibers.resize(THREADS_MOST * CLUSTER_MOST);
    }
    return memory;
}

static void block_begin(struct block *b, unsigned threads, unsigned rank,
                        dim3 at)
{
    b->e.at = at;
    b->e.rank = rank;
    b->all.size = threads;
    b->all.arrived = 0;
    b->counted = 0;
    b->window = (char *)(WINDOWS + rank * WINDOW);
    b->warps.resize((threads + 31) / 32);
    b->groups.resize((threads + 127) / 128);
    for (size_t i = 0; i < b->warps.size(); i++) {
        unsigned left = threads - (unsigned)i * 32;

        b->warps[i].g.size = b->warps[i].lanes = left < 32 ? left : 32;
        b->warps[i].g.arrived = 0;
    }
    for (struct warpgroup &g : b->groups) {
        g.products.clear();
        g.first = 0;
    }
    memset(b->window + RESERVED, 0xff, launch->dynamic + CANARY);
}

static void block_threads(struct block *b, struct fiber *first, char *stack,
                          unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        struct fiber *f = &first[i];
        dim3 n = launch->block;

        f->t.at = dim3(i % n.x, i / n.x % n.y, i / n.x / n.y);
        f->t.block = &b->e;
        f->t.lane = i % 32;
        f->t.linear = i;
        f->b = b;
        f->w = &b->warps[i / 32];
        f->done = false;
        f->copies.clear();
        f->groups.clear();
        f->issued = 0;
        f->stack = stack + i * STACK_BYTES;
        context_make(&f->context, f->stack, fiber_main);
    }
}

static void blocks_run(unsigned first)
{
    dim3 g = launch->grid;
    unsigned threads = launch->block.x * launch->block.y * launch->block.z;
    unsigned count = launch->cluster * threads;
    char *stack = stacks();

    blocks.resize(launch->cluster);
    cluster_all.size = count;
    cluster_all.arrived = 0;
    fibers.resize(count);
    for (unsigned r = 0; r < launch->cluster; r++) {
        unsigned i = first + r;

        block_begin(&blocks[r], threads, r,
                    dim3(i % g.x, i / g.x % g.y, i / g.x / g.y));
        block_threads(&blocks[r], &fibers[r * threads],
                      stack + r * threads * STACK_BYTES, threads);
    }
    runnable.clear();
    runnable_first = 0;
    for (unsigned i = 0; i < count; i++)
        fiber_ready(&fibers[order == BACKWARDS ? count - 1 - i : i]);
    idle = 0;
    struct fiber *begin = runnable[runnable_first++];

    current = NULL;
    fiber_resume(begin);
    for (const struct block &b : blocks)
        for (unsigned i = 0; i < CANARY; i++)
            if (b.window[RESERVED + launch->dynamic + i] != (char)0xff)
                emulated_fail("a write behind shared memory");
    if (!late_copies.empty())
        emulated_fail("a kernel ends with tensor copies under way");
}

static const char *refusal(const struct emulated_launch *l)
{
    size_t threads = (size_t)l->block.x * l->block.y * l->block.z;
    std::map<const void *, int>::const_iterator a =
        allowed_smem.find(l->kernel);
    size_t allowed = a == allowed_smem.end() ? SMEM_PLAIN : (size_t)a->second;

    if (threads == 0 || threads > THREADS_MOST || l->block.z > 64)
        return "a block of that many threads cannot be";
    if (l->grid.x == 0 || l->grid.y == 0 || l->grid.z == 0 ||
        l->grid.y > 65535 || l->grid.z > 65535)
        return "a grid of that many blocks cannot be";
    if (l->grid.x % l->cluster || l->cluster > CLUSTER_MOST)
        return "the grid is not whole clusters";
    if (l->dynamic > (allowed > SMEM_PLAIN ? allowed : (size_t)SMEM_PLAIN))
        return "more shared memory than was asked for";
    return NULL;
}

void emulated_run(const struct emulated_launch *l, void (*body)(void *),
                  void *argument)
{
    const char *why = refusal(l);
    size_t count = (size_t)l->grid.x * l->grid.y * l->grid.z;

    if (why) {
        fprintf(stderr, "emulated: %s\n", why);
        last_error = cudaErrorInvalidValue;
        return;
    }
    launch = l;
    blockDim = l->block;
    gridDim = l->grid;
    launch_body = body;
    launch_argument = argument;
    launches++;
    order = (decltype(order))(next_chance() % ORDERS);
    late = next_chance() % 2 != 0;
    for (size_t i = 0; i < count; i += l->cluster)
        blocks_run((unsigned)(order == BACKWARDS ? count - l->cluster - i : i));
}

/* ---- the runtime ---- */
struct emulated_event {
    double at;
};
static size_t memory_used;

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device)
{
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device)
{
    memset(p, 0, sizeof(*p));
    snprintf(p->name, sizeof(p->name), "emulated GPU");
    p->totalGlobalMem = MEMORY;
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
    cudaError_t e = last_error;

    last_error = cudaSuccess;
    return e;
}
const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
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

    if (bytes > MEMORY - memory_used)
        return last_error = cudaErrorMemoryAllocation;
    m = (char *)mmap(NULL, pages + 2 * PAGE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return last_error = cudaErrorMemoryAllocation;
    (void)mprotect(m + PAGE + pages, PAGE, PROT_NONE);
    *(size_t *)m = pages;
    memory_used += pages;
    *p = m + PAGE + pages - room;
    memset(*p, 0xff, room);
    return cudaSuccess;
}
cudaError_t cudaFree(void *p)
{
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
    *total = MEMORY;
    *free_bytes = MEMORY - memory_used;
    return cudaSuccess;
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind)
{
    memmove(to, from, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t)
{
    if (emulated_recording()) {
        emulated_record([=] { (void)cudaMemcpy(to, from, bytes, kind); });
        return cudaSuccess;
    }
    return cudaMemcpy(to, from, bytes, kind);
}
cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
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
    return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize(void)
{
    return cudaSuccess;
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

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    e->at = (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
    return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t)
{
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
        return last_error = cudaErrorInvalidValue;
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
