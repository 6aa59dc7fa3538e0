/*
 * emulated.cu - threads of a grid as fibers of this process
 *
 * Blocks run one after another, those of a cluster together. A fiber gives way
 * where it waits: at a barrier of its block, its warp, its cluster, at an
 * mbarrier, for a product. Of a kernel that follows (griddepcontrol), one block
 * runs up to its wait before the kernel it follows has begun, which is as early
 * as can be, and goes on when that has ended. What is wrong (lanes at different
 * places, a wait that never ends, a write behind shared memory) ends the
 * process with a line.
 */
#include "emulated_private.cuh"

#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS_MOST 1024
#define CLUSTER_MOST 8
#define STACK_BYTES ((size_t)256 << 10)
#define CANARY 256

struct fiber *emulated_fiber;
static void fiber_resume(struct fiber *to);

#if defined(__x86_64__)
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

struct emulated_thread *emulated_self;
dim3 threadIdx, blockIdx, blockDim, gridDim;
static struct context outside;
static std::vector<struct fiber *> runnable;
static std::vector<struct fiber> fibers;
std::vector<struct block> emulated_blocks;
struct gathering emulated_cluster_all;
std::vector<struct late_copy> emulated_late_copies;
const struct emulated_launch *emulated_launched;
static const std::function<void()> *launch_body;
static uint64_t launches, chance = 88172645463325252ull;
uint64_t emulated_idle;
bool emulated_late;
/* As they come; the last first; at random; at random, but some only where the
 * others get no further. */
static enum { FORWARDS, BACKWARDS, RANDOM, UNFAIR, ORDERS } order;

[[noreturn]] void emulated_fail(const char *why)
{
    fflush(stdout);
    fprintf(stderr, "emulated: %s", why);
    if (emulated_fiber)
        fprintf(stderr, "; block %u,%u,%u thread %u,%u,%u",
                emulated_fiber->b->e.at.x, emulated_fiber->b->e.at.y,
                emulated_fiber->b->e.at.z, emulated_fiber->t.at.x,
                emulated_fiber->t.at.y, emulated_fiber->t.at.z);
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
static unsigned early_stacks; /* which of two */
static bool early; /* this block runs before the kernel that it follows */
static std::vector<struct fiber *> held; /* it waits for that kernel */

/* Whether this one is of those that an unfair order leaves behind: one block of
 * a cluster, or half of the warps. */
static bool left_behind(const struct fiber *f)
{
    unsigned who =
        emulated_launched->cluster > 1 ? f->b->e.rank : f->t.linear / 32;

    return (who + launches) % 2 != 0;
}

#define UNFAIR_FOR 5000u /* tries of the others without anything new */

static size_t runnable_choose(void)
{
    size_t i = 0;

    for (int tries = 0; tries < 8; tries++) {
        i = runnable_first + next_chance() % (runnable.size() - runnable_first);
        if (order == RANDOM || emulated_idle > UNFAIR_FOR ||
            !left_behind(runnable[i]))
            break;
    }
    return i;
}

void emulated_ready(struct fiber *f)
{
    runnable.push_back(f);
}

/* The next fiber, or the one who launched. */
void emulated_yield(void)
{
    struct fiber *from = emulated_fiber, *to;

    if (runnable_first == runnable.size()) {
        unsigned live = 0;

        for (struct fiber &f : fibers)
            live += !f.done;
        if (live && !(early && !held.empty()))
            emulated_fail("threads wait for others that have ended or wait "
                          "elsewhere");
        emulated_fiber = NULL;
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
    struct fiber *from = emulated_fiber;

    emulated_fiber = to;
    emulated_self = &to->t;
    threadIdx = to->t.at;
    blockIdx = to->t.block->at;
    emulated_switch(from ? &from->context : &outside, &to->context);
}

static void gathering_open(struct gathering *g)
{
    for (struct fiber *f : g->waiting)
        emulated_ready(f);
    g->waiting.clear();
    g->arrived = 0;
    emulated_idle = 0;
}

/* Whether this thread is the last one, which has let the others go. */
bool emulated_gather(struct gathering *g, const char *what)
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
    g->waiting.push_back(emulated_fiber);
    emulated_yield();
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
    struct fiber *f = emulated_fiber;

    (*launch_body)();
    if (emulated_launched->follows && !f->followed)
        emulated_fail("a kernel that follows ends without having waited");
    for (std::vector<struct copy> &g : f->copies)
        if (!g.empty())
            emulated_fail("a thread ends with copies under way");
    if (f->w->g.arrived)
        emulated_fail("a lane ends while others of its warp wait for it");
    f->done = true;
    emulated_idle = 0;
    f->w->lanes--;
    gathering_leave(&f->b->all);
    gathering_leave(&emulated_cluster_all);
    emulated_yield();
    emulated_fail("an ended thread goes on");
}

/* ---- together ---- */
void emulated_barrier(void)
{
    emulated_gather(&emulated_fiber->b->all, "__syncthreads");
}

int emulated_barrier_count(int predicate)
{
    struct block *b = emulated_fiber->b;

    b->counted += predicate != 0;
    if (b->all.arrived + 1 == b->all.size) {
        b->count = b->counted;
        b->counted = 0;
    }
    emulated_gather(&b->all, "__syncthreads_or");
    return b->count;
}

struct warp *emulated_whole_warp(void)
{
    struct warp *w = emulated_fiber->w;

    if (w->lanes != w->g.size)
        emulated_fail("lanes of this warp have ended");
    return w;
}

void emulated_warp(void)
{
    emulated_gather(&emulated_whole_warp()->g, "warp sync");
}

void emulated_follow(void)
{
    emulated_fiber->followed = true;
    if (early) {
        held.push_back(emulated_fiber);
        emulated_yield();
    }
}

void emulated_exchange(void *value, size_t bytes, unsigned from)
{
    struct warp *w = emulated_whole_warp();
    char got[16];

    if (bytes > sizeof(got) || from >= w->g.size)
        emulated_fail("an exchange with a lane that is not there");
    memcpy(w->values[emulated_fiber->t.lane], value, bytes);
    emulated_gather(&w->g, "warp exchange");
    memcpy(got, w->values[from], bytes);
    emulated_gather(&w->g, "warp exchanged");
    memcpy(value, got, bytes);
}

unsigned emulated_ballot(int predicate)
{
    struct warp *w = emulated_whole_warp();
    unsigned bits;

    if (w->g.arrived == 0)
        w->bits = 0;
    w->bits |= (predicate ? 1u : 0u) << emulated_fiber->t.lane;
    emulated_gather(&w->g, "warp ballot");
    bits = w->bits;
    emulated_gather(&w->g, "warp balloted");
    return bits;
}

void *emulated_dynamic(void)
{
    return emulated_fiber->b->window + RESERVED;
}

long long emulated_clock(void)
{
    static long long ticks;

    return ticks += 100;
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

/* For a cluster, and behind them those of a block that is early, while the one
 * that was early before it waits, too. */
static char *stacks(void)
{
    size_t each = STACK_BYTES * THREADS_MOST;
    static char *memory;

    if (!memory) {
        memory = (char *)mmap(
            NULL, each * (CLUSTER_MOST + 2), PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            emulated_fail("no memory for stacks");
        windows_make();
    }
    return early ? memory + each * (CLUSTER_MOST + early_stacks) : memory;
}

static void window_clear(struct block *b)
{
    memset(b->window + RESERVED, 0xff, emulated_launched->dynamic + CANARY);
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
    window_clear(b);
}

static void block_threads(struct block *b, struct fiber *first, char *stack,
                          unsigned threads)
{
    for (unsigned i = 0; i < threads; i++) {
        struct fiber *f = &first[i];
        dim3 n = emulated_launched->block;

        f->t.at = dim3(i % n.x, i / n.x % n.y, i / n.x / n.y);
        f->t.block = &b->e;
        f->t.lane = i % 32;
        f->t.linear = i;
        f->b = b;
        f->w = &b->warps[i / 32];
        f->done = f->followed = false;
        f->copies.clear();
        f->groups.clear();
        f->issued = 0;
        f->stack = stack + i * STACK_BYTES;
        context_make(&f->context, f->stack, fiber_main);
    }
}

static void blocks_make(unsigned first)
{
    dim3 g = emulated_launched->grid;
    unsigned threads = emulated_launched->block.x * emulated_launched->block.y *
                       emulated_launched->block.z;
    unsigned count = emulated_launched->cluster * threads;
    char *stack = stacks();

    emulated_blocks.resize(emulated_launched->cluster);
    emulated_cluster_all.size = count;
    emulated_cluster_all.arrived = 0;
    fibers.resize(count);
    for (unsigned r = 0; r < emulated_launched->cluster; r++) {
        unsigned i = first + r;

        block_begin(&emulated_blocks[r], threads, r,
                    dim3(i % g.x, i / g.x % g.y, i / g.x / g.y));
        block_threads(&emulated_blocks[r], &fibers[r * threads],
                      stack + r * threads * STACK_BYTES, threads);
    }
    runnable.clear();
    runnable_first = 0;
    for (unsigned i = 0; i < count; i++)
        emulated_ready(&fibers[order == BACKWARDS ? count - 1 - i : i]);
}

static void blocks_go_on(void)
{
    emulated_idle = 0;
    if (runnable_first == runnable.size())
        return;
    emulated_fiber = NULL;
    fiber_resume(runnable[runnable_first++]);
}

static void blocks_end(void)
{
    for (const struct block &b : emulated_blocks)
        for (unsigned i = 0; i < CANARY; i++)
            if (b.window[RESERVED + emulated_launched->dynamic + i] !=
                (char)0xff)
                emulated_fail("a write behind shared memory");
    if (!emulated_late_copies.empty())
        emulated_fail("a kernel ends with tensor copies under way");
}

static const char *refusal(const struct emulated_launch *l)
{
    size_t threads = (size_t)l->block.x * l->block.y * l->block.z;
    size_t allowed = emulated_allowed(l->kernel);

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

/* The first blocks of all clusters, as this launch runs them. */
static std::vector<size_t> clusters_in_order(size_t blocks, unsigned cluster)
{
    std::vector<size_t> to;

    for (size_t i = 0; i < blocks; i += cluster)
        to.push_back(order == BACKWARDS ? blocks - cluster - i : i);
    for (size_t i = to.size(); order >= RANDOM && i > 1; i--) {
        size_t j = next_chance() % i, kept = to[j];

        to[j] = to[i - 1];
        to[i - 1] = kept;
    }
    return to;
}

/* A kernel that has not run yet, or whose one block has begun. */
struct pending {
    struct emulated_launch l;
    std::function<void()> body;
    std::vector<struct fiber> fibers;
    std::vector<struct block> blocks;
    std::vector<struct fiber *> held;
    struct gathering all;
    unsigned early; /* the block that has begun; NONE */
};
#define NONE UINT_MAX
static struct pending next_kernel;
static bool is_pending;

static void kernel_enter(const struct pending *k)
{
    emulated_launched = &k->l;
    blockDim = k->l.block;
    gridDim = k->l.grid;
    launch_body = &k->body;
    launches++;
    order = (decltype(order))(next_chance() % ORDERS);
    emulated_late = next_chance() % 2 != 0;
}

static size_t kernel_blocks(const struct pending *k)
{
    return (size_t)k->l.grid.x * k->l.grid.y * k->l.grid.z;
}

static void kernel_swap(struct pending *k)
{
    fibers.swap(k->fibers);
    emulated_blocks.swap(k->blocks);
    held.swap(k->held);
    std::swap(emulated_cluster_all, k->all);
}

/* One block of it, up to where it waits for the kernel that it follows. Its
 * shared memory is not kept: nothing is written there so early. */
static void kernel_early(struct pending *k)
{
    k->early = (unsigned)(next_chance() % kernel_blocks(k));
    kernel_enter(k);
    kernel_swap(k);
    early = true;
    early_stacks ^= 1;
    blocks_make(k->early);
    blocks_go_on();
    early = false;
    kernel_swap(k);
}

/* The block that had begun, whose shared memory others have used. */
static void kernel_resume(struct pending *k)
{
    kernel_swap(k);
    window_clear(&emulated_blocks[0]);
    runnable.clear();
    runnable_first = 0;
    for (struct fiber *f : held)
        emulated_ready(f);
    held.clear();
    blocks_go_on();
    blocks_end();
    kernel_swap(k);
}

static void kernel_run(struct pending *k)
{
    kernel_enter(k);
    if (k->early != NONE)
        kernel_resume(k);
    for (size_t first : clusters_in_order(kernel_blocks(k), k->l.cluster)) {
        if (first == k->early)
            continue;
        blocks_make((unsigned)first);
        blocks_go_on();
        blocks_end();
    }
}

void emulated_settle(void)
{
    if (!is_pending)
        return;
    is_pending = false;
    kernel_run(&next_kernel);
}

bool emulated_refused(const struct emulated_launch *l)
{
    const char *why = refusal(l);

    if (why) {
        fprintf(stderr, "emulated: %s\n", why);
        emulated_error = cudaErrorInvalidValue;
    }
    return why;
}

void emulated_run(const struct emulated_launch *l, std::function<void()> body)
{
    struct pending k = { *l, std::move(body), {}, {}, {}, {}, NONE };

    if (emulated_refused(l))
        return;
    if (l->follows && is_pending && l->cluster == 1)
        kernel_early(&k);
    emulated_settle();
    std::swap(next_kernel, k);
    is_pending = true;
}
