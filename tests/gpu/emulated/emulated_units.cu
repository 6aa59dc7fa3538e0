/*
 * emulated_units.cu - what the units of a multiprocessor do: copies that are
 * waited for later, fragments, products, barriers in shared memory
 */
#include "emulated_private.cuh"

/* ---- cp.async ---- */
static void copy_run(const struct copy *c)
{
    if (c->bytes)
        memcpy(c->to, c->from, c->bytes);
    memset(c->to + c->bytes, 0, c->size - c->bytes);
}

void emulated_check(uint32_t at, size_t bytes, const char *what)
{
    uintptr_t begin = (uintptr_t)emulated_fiber->b->window + RESERVED;

    if (at < begin || at + bytes > begin + emulated_launched->dynamic)
        emulated_fail(what);
}

void emulated_copy(uint32_t to, const void *from, unsigned size, unsigned bytes)
{
    struct copy c = { (char *)(uintptr_t)to, (const char *)from, size, bytes };

    emulated_check(to, size, "an asynchronous copy outside shared memory");
    if (to % size || (uintptr_t)from % size || bytes > size)
        emulated_fail("an asynchronous copy that is not aligned");
    if (!emulated_late)
        copy_run(&c);
    if (emulated_fiber->copies.empty())
        emulated_fiber->copies.emplace_back();
    emulated_fiber->copies.back().push_back(c);
}

void emulated_copy_commit(void)
{
    if (emulated_fiber->copies.empty())
        emulated_fiber->copies.emplace_back();
    emulated_fiber->copies.emplace_back();
}

void emulated_copy_wait(unsigned left)
{
    while (emulated_fiber->copies.size() > left + (size_t)1) {
        if (emulated_late)
            for (const struct copy &c : emulated_fiber->copies.front())
                copy_run(&c);
        emulated_fiber->copies.pop_front();
    }
}

/* ---- ldmatrix, mma ---- */
void emulated_ldmatrix(uint32_t r[4], uint32_t at, bool crossed)
{
    struct warp *w = emulated_whole_warp();
    unsigned lane = emulated_fiber->t.lane;

    emulated_check(at, 16, "ldmatrix outside shared memory");
    if (at % 16)
        emulated_fail("ldmatrix of a row that is not aligned");
    w->words[lane][0] = at;
    emulated_gather(&w->g, crossed ? "warp ldmatrix.trans" : "warp ldmatrix");
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
    emulated_gather(&w->g, "warp ldmatrix end");
}

float emulated_half_of(enum emulated_product kind, uint32_t word, unsigned i)
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
    return emulated_half_of(
        kind, w->words[lane + k % 8 / 2][row / 8 + k / 8 * 2], k % 2);
}

static float b_at(const struct warp *w, enum emulated_product kind, unsigned k,
                  unsigned column)
{
    if (kind == EMULATED_TF32)
        return emulated_bits<float>(w->words[column * 4 + k % 4][4 + k / 4] &
                                    ~(uint32_t)0x1fff);
    return emulated_half_of(kind, w->words[column * 4 + k % 8 / 2][4 + k / 8],
                            k % 2);
}

void emulated_mma(enum emulated_product kind, float d[4], const uint32_t a[4],
                  const uint32_t b[2])
{
    struct warp *w = emulated_whole_warp();
    unsigned lane = emulated_fiber->t.lane;

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
    emulated_gather(&w->g, "warp mma");
    memcpy(d, w->sums[lane], 16);
    emulated_gather(&w->g, "warp mma end");
}

static int byte_at(uint32_t word, unsigned i)
{
    return (int8_t)(word >> 8 * i);
}

/* m16n8k32 of signed bytes. */
void emulated_mma_bytes(int32_t d[4], const uint32_t a[4], const uint32_t b[2])
{
    struct warp *w = emulated_whole_warp();
    unsigned lane = emulated_fiber->t.lane;

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
    emulated_gather(&w->g, "warp mma");
    memcpy(d, w->sums[lane], 16);
    emulated_gather(&w->g, "warp mma end");
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
        at + 8 > window + RESERVED + emulated_launched->dynamic ||
        (at - WINDOWS) / WINDOW >= emulated_blocks.size())
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
    emulated_idle = 0;
    if (b->missing || b->bytes)
        return;
    b->phase ^= 1;
    b->missing = b->asked;
}

void emulated_mbarrier_arrive(uint32_t at, uint32_t rank, uint32_t bytes)
{
    struct mbarrier *b = barrier_at(
        (uint32_t)(at + ((intptr_t)rank - (intptr_t)emulated_fiber->b->e.rank) *
                            (intptr_t)WINDOW));

    if (emulated_blocks[rank].all.size == 0)
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

    if (emulated_blocks[c->rank].all.size == 0)
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

    emulated_check(to, bytes, "a tensor copy outside shared memory");
    if (to % 128)
        emulated_fail("a tensor copy to a place that is not aligned");
    for (unsigned r = 0; r < emulated_blocks.size(); r++) {
        uint32_t far =
            (uint32_t)(((intptr_t)r - (intptr_t)emulated_fiber->b->e.rank) *
                       (intptr_t)WINDOW);
        struct late_copy c = { to + far, barrier + far, *map, x, y, r };

        if (!(to_blocks >> r & 1))
            continue;
        if (emulated_late)
            emulated_late_copies.push_back(c);
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
    for (size_t i = 0; i < emulated_late_copies.size(); i++)
        if (emulated_late_copies[i].barrier == at) {
            struct late_copy c = emulated_late_copies[i];

            emulated_late_copies.erase(emulated_late_copies.begin() +
                                       (long)i--);
            tensor_copy_run(&c);
        }
    if (phase_over(at, parity))
        return true;
    if (++emulated_idle > PATIENCE)
        emulated_fail("a barrier whose phase never ends");
    emulated_ready(emulated_fiber);
    emulated_yield();
    return phase_over(at, parity);
}

void emulated_cluster(void)
{
    emulated_gather(&emulated_cluster_all, "cluster");
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
        at + 16 > (uintptr_t)b->window + RESERVED + emulated_launched->dynamic)
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
            out[k][i] =
                emulated_half_of(EMULATED_BF16,
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
    struct warpgroup *g = group_of(emulated_fiber);
    size_t i = emulated_fiber->issued++ - g->first;

    if (i >= g->products.size())
        g->products.resize(i + 1);
    struct product *p = &g->products[i];
    unsigned t = emulated_fiber->t.linear % 128;

    p->of[t] = *w;
    if (w->columns != p->of[t].columns || ++p->arrived > 128)
        emulated_fail("a product that its warpgroup does not share");
    for (unsigned o = 0; o < 128 && p->arrived == 128; o++)
        if (p->of[o].a != w->a || p->of[o].b != w->b ||
            p->of[o].sum != w->sum || p->of[o].columns != w->columns)
            emulated_fail("threads of a warpgroup ask for different products");
    if (p->arrived == 128 && !emulated_late)
        product_run(emulated_fiber->b, p);
}

void emulated_wgmma_commit(void)
{
    emulated_fiber->groups.push_back(emulated_fiber->issued);
}

void emulated_wgmma_wait(unsigned pending)
{
    struct fiber *f = emulated_fiber;
    struct warpgroup *g = group_of(f);

    while (f->groups.size() > pending) {
        size_t until = f->groups.front();

        f->groups.pop_front();
        for (size_t i = g->first; i < until; i++) {
            /* A front one may go while this thread gives way. */
            while (i >= g->first && g->products[i - g->first].arrived < 128) {
                if (++emulated_idle > PATIENCE)
                    emulated_fail("a product that not all threads ask for");
                emulated_ready(emulated_fiber);
                emulated_yield();
            }
            if (i >= g->first && !g->products[i - g->first].done)
                product_run(f->b, &g->products[i - g->first]);
        }
        emulated_idle = 0;
    }
    while (!g->products.empty() && g->products.front().done) {
        g->products.pop_front();
        g->first++;
    }
}
