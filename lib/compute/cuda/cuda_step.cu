/*
 * cuda_step.cu - a decoding step as one graph
 *
 * At batch 1 a step's some hundred small launches cost the host, and between
 * them the device, as much as the kernels take. A step that came before is
 * recorded; from then on it is one copy of its tables and one launch, and none
 * of its operations is called. What a recording must not hold is what changes
 * from step to step. That is only what the host decides from the lengths and
 * places of sequences, and all of it goes through cuda_table_of: while a step
 * is recorded each table gets a piece of one fixed buffer, and what makes it is
 * kept, so that a replay begins with making all of them anew (a handful: layers
 * of a kind share theirs). Grids do not follow lengths but the sizes of tables,
 * which are rounded up; a step whose tables have other sizes is another
 * recording. Everything else that is decided anew (a table of another origin, a
 * copy from the host, scratch that grows) spoils a recording, and the step is
 * done again without. Addresses hold as long as no memory is taken or given
 * back: that forgets all recordings.
 */
#include "compute/cuda/cuda_private.cuh"

#include <stdlib.h>
#include <string.h>

#define RECORDINGS 16
#define PIECES 16                     /* tables of one */
#define PIECES_ROOM ((size_t)1 << 18) /* elements of all of them */
#define TRIES 2 /* of recording a step, before it is left alone */

struct piece {
    cuda_make *make;
    int32_t how[CUDA_HOW];
    size_t at, count; /* elements */
};

/* A step that came once, or (graph) is recorded. */
struct recording {
    uint64_t *key;
    size_t key_count, seqs;
    cudaGraphExec_t graph;
    struct piece pieces[PIECES];
    size_t piece_count, elements;
    unsigned tries;
    uint64_t used; /* 0: nothing is here */
};

struct cuda_steps {
    struct recording all[RECORDINGS];
    struct recording *now; /* is recorded; NULL: forgotten meanwhile */
    struct compute_sequences s;
    bool spoiled;
    bool off; /* the driver does not record, or nobody wants it */
    int32_t *host, *device;
    size_t bytes;
    uint64_t clock;
};

static void forget(struct recording *r)
{
    if (r->graph)
        (void)cudaGraphExecDestroy(r->graph);
    free(r->key);
    memset(r, 0, sizeof(*r));
}

void cuda_steps_forget(struct cuda *c)
{
    if (!c->steps)
        return;
    cuda_steps_spoil(c);
    c->steps->now = NULL;
    for (size_t i = 0; i < RECORDINGS; i++)
        forget(&c->steps->all[i]);
}

void cuda_steps_spoil(struct cuda *c)
{
    c->steps->spoiled = true;
}

void cuda_steps_off(struct cuda *c)
{
    c->steps->off = true;
}

void cuda_steps_release(struct cuda *c)
{
    if (!c->steps)
        return;
    cuda_steps_forget(c);
    if (c->steps->device)
        (void)cudaFree(c->steps->device);
    free(c->steps->host);
    free(c->steps);
    c->steps = NULL;
}

bool cuda_steps_begin(struct cuda *c)
{
    c->steps = (struct cuda_steps *)calloc(1, sizeof(*c->steps));
    return c->steps != NULL;
}

size_t cuda_steps_more(const struct cuda *c)
{
    return c->steps->off || c->steps->device ? 0
                                             : PIECES_ROOM * sizeof(int32_t);
}

/* The buffer of tables, when the first step comes. */
static bool has_room(struct cuda *c)
{
    struct cuda_steps *t = c->steps;

    if (t->device)
        return true;
    t->bytes = cuda_steps_more(c);
    t->host = (int32_t *)malloc(t->bytes);
    if (t->host)
        t->device = (int32_t *)cuda_take(c, &t->bytes);
    t->off = !t->device;
    return t->device != NULL;
}

/* ---- tables ---- */

static bool same_sequences(const struct compute_sequences *a,
                           const struct compute_sequences *b)
{
    size_t bytes = a->docs * sizeof(int32_t);

    return a->docs == b->docs &&
           memcmp(a->starts, b->starts, bytes + sizeof(int32_t)) == 0 &&
           memcmp(a->past, b->past, bytes) == 0 &&
           memcmp(a->slots, b->slots, bytes) == 0;
}

/* Where a recording has the table, which no layer may have asked for yet. */
static const int32_t *piece_of(struct cuda *c, cuda_make *make,
                               const int32_t how[CUDA_HOW],
                               const struct compute_sequences *s)
{
    struct recording *r = c->steps->now;
    struct piece *p;

    if (!r || !s->past || !same_sequences(s, &c->steps->s)) {
        cuda_steps_spoil(c);
        return NULL;
    }
    for (p = r->pieces; p < r->pieces + r->piece_count; p++)
        if (p->make == make && memcmp(p->how, how, sizeof(p->how)) == 0)
            return c->steps->device + p->at;
    if (r->piece_count < PIECES) {
        memcpy(p->how, how, sizeof(p->how));
        p->make = make;
        p->at = r->elements;
        p->count = make(s, how, NULL);
        r->elements += (p->count + 63) / 64 * 64;
        if (r->elements <= PIECES_ROOM) {
            r->piece_count++;
            return c->steps->device + p->at;
        }
    }
    cuda_steps_spoil(c);
    return NULL;
}

const int32_t *cuda_table_of(struct cuda *c, cuda_make *make,
                             const int32_t how[CUDA_HOW],
                             const struct compute_sequences *s)
{
    const int32_t *table;
    int32_t *all;
    size_t n;

    if (c->recording)
        return piece_of(c, make, how, s);
    n = make(s, how, NULL);
    all = (int32_t *)malloc(n * sizeof(*all));
    if (!all) {
        (void)cuda_check(c, cudaErrorMemoryAllocation, "the plan of a pass");
        return NULL;
    }
    (void)make(s, how, all);
    table = cuda_table(c, all, n);
    free(all);
    return table;
}

/* ---- which recording ---- */

static bool has_key(const struct recording *r, const struct compute_step *step)
{
    return r->used > 0 && r->seqs == step->s.docs &&
           r->key_count == step->key_count &&
           memcmp(r->key, step->key, r->key_count * sizeof(*r->key)) == 0;
}

/* Whether the tables of the step have the sizes that were recorded. */
static bool fits(const struct recording *r, const struct compute_step *step)
{
    for (const struct piece *p = r->pieces; p < r->pieces + r->piece_count; p++)
        if (p->make(&step->s, p->how, NULL) != p->count)
            return false;
    return true;
}

/* Room for a step, in place of what came longest ago. NULL: out of memory. */
static struct recording *add(struct cuda_steps *t,
                             const struct compute_step *step)
{
    struct recording *r = &t->all[0];
    size_t bytes = step->key_count * sizeof(*r->key);

    for (size_t i = 1; i < RECORDINGS; i++)
        r = t->all[i].used < r->used ? &t->all[i] : r;
    forget(r);
    r->key = (uint64_t *)malloc(bytes > 0 ? bytes : 1);
    if (!r->key)
        return NULL;
    memcpy(r->key, step->key, bytes);
    r->key_count = step->key_count;
    r->seqs = step->s.docs;
    r->used = ++t->clock;
    return r;
}

/* The step's recording, one that is to be made now, or NULL. Only what came
 * before is worth it: it costs as much as several steps. */
static struct recording *choose(struct cuda_steps *t,
                                const struct compute_step *step)
{
    struct recording *waits = NULL;
    bool came = false;

    for (size_t i = 0; i < RECORDINGS; i++) {
        struct recording *r = &t->all[i];

        if (!has_key(r, step))
            continue;
        came = true;
        if (r->graph && fits(r, step))
            return r;
        waits = r->graph ? waits : r;
    }
    if (!waits) {
        waits = add(t, step);
        return came ? waits : NULL;
    }
    waits->used = ++t->clock;
    return waits->tries < TRIES ? waits : NULL;
}

/* ---- recording and replay ---- */

static void replay(struct cuda *c, struct recording *r,
                   const struct compute_sequences *s)
{
    struct cuda_steps *t = c->steps;

    r->used = ++t->clock;
    for (struct piece *p = r->pieces; p < r->pieces + r->piece_count; p++)
        (void)p->make(s, p->how, t->host + p->at);
    if (r->elements > 0)
        cuda_push(c, t->device, t->host, r->elements * sizeof(*t->host));
    (void)cuda_check(c, cudaGraphLaunch(r->graph, c->stream), "decoding step");
}

bool cuda_op_step_begin(struct compute *base, const struct compute_step *step)
{
    struct cuda *c = cuda_of(base);
    struct cuda_steps *t = c->steps;
    struct recording *r;

    if (t->off || c->failed != cudaSuccess || step->s.docs == 0)
        return false;
    (void)cudaSetDevice(c->ordinal);
    if (!has_room(c))
        return false;
    cuda_narrow_refresh(c);
    r = choose(t, step);
    if (r && r->graph) {
        replay(c, r, &step->s);
        return true;
    }
    if (!r)
        return false;
    if (cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeRelaxed) !=
        cudaSuccess) {
        (void)cudaGetLastError();
        t->off = true;
        return false;
    }
    r->tries++;
    r->piece_count = r->elements = 0;
    t->now = r;
    t->s = step->s;
    t->spoiled = false;
    c->recording = true;
    c->unsteady = false;
    return false;
}

bool cuda_op_step_end(struct compute *base)
{
    struct cuda *c = cuda_of(base);
    struct cuda_steps *t = c->steps;
    cudaGraph_t graph = NULL;
    cudaError_t e;

    if (!c->recording)
        return true;
    c->recording = false;
    e = cudaStreamEndCapture(c->stream, &graph);
    if (e == cudaSuccess && !t->spoiled) {
        e = cudaGraphInstantiate(&t->now->graph, graph, 0);
        if (e != cudaSuccess)
            t->now->graph = NULL;
    }
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (e != cudaSuccess) /* the step is done without, and all others */
        t->off = !t->spoiled;
    if (t->spoiled || t->off) {
        /* A launch that was refused while recording may have left the capture
         * as it was; it is no error of the launches that now come. */
        (void)cudaGetLastError();
        return false;
    }
    replay(c, t->now, &t->s);
    return true;
}
