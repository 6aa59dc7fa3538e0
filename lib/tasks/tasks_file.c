/*
 * tasks_file.c - a fitted clustering as bytes
 *
 * Little-endian, versioned; what a version added is written only where there is
 * something of it, so that older programs read the rest. Everything that comes
 * back is checked: sizes against what is left, cluster numbers against their
 * count.
 */
#include "tasks/tasks_private.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define TASKS_MAGIC 0x324b5354u     /* "TSK2" */
#define TASKS_MAGIC_BY 0x334b5354u  /* "TSK3": by an embedder */
#define TASKS_MAGIC_OLD 0x314b5354u /* "TSK1": without payloads */
#define GROUPS_MAX (1u << 20)
#define CLUSTERS_MAX (1u << 20)
#define KEY_SHINGLES_MAX (1u << 16)

static void put_profile(struct buf *b, const struct tasks_profile *p)
{
    bytes_put_u32(b, (uint32_t)p->count);
    for (size_t i = 0; i < p->count; i++)
        bytes_put_u64(b, p->shingle[i]);
    bytes_put_floats(b, p->weight, p->count);
    bytes_put_floats(b, &p->total, 1);
}

static void put_group(struct buf *b, const struct tasks_group *g)
{
    struct buf embed = { 0 };

    bytes_put_u64(b, g->system);
    bytes_put_u64(b, g->format);
    bytes_put_u64(b, g->tools);
    bytes_put_u32(b, (uint32_t)g->offers_tools | (uint32_t)g->pool << 1);
    bytes_put_u32(b, g->first);
    put_profile(b, &g->key);
    bytes_put_u32(b, (uint32_t)g->templates);
    for (size_t i = 0; i < g->templates; i++)
        put_profile(b, &g->profile[i]);
    bytes_put_u32(b, (uint32_t)g->rests);
    if (g->embed)
        embed_save(g->embed, &embed);
    bytes_put_u32(b, (uint32_t)embed.len);
    buf_add_slice(b, buf_slice(&embed));
    if (g->dims) {
        bytes_put_floats(b, g->centre, g->rests * g->dims);
        bytes_put_floats(b, &g->near, 1);
    }
    buf_release(&embed);
    bytes_put_u32(b, g->payload.level ? TASKS_PAYLOAD_BUCKETS : 0);
    if (g->payload.level) {
        buf_add(b, g->payload.level, TASKS_PAYLOAD_BUCKETS);
        bytes_put_floats(b, &g->payload.usual, 1);
    }
}

void tasks_model_save(const struct tasks_model *m, struct buf *out)
{
    bytes_put_u32(out, m->dims ? TASKS_MAGIC_BY : TASKS_MAGIC);
    if (m->dims) {
        bytes_put_u32(out, (uint32_t)m->dims);
        buf_add(out, m->embedder, sizeof(m->embedder));
    }
    bytes_put_u32(out, (uint32_t)m->groups);
    bytes_put_u32(out, (uint32_t)m->count);
    for (size_t g = 0; g < m->groups; g++)
        put_group(out, &m->group[g]);
    for (size_t c = 0; c < m->count; c++)
        bytes_put_u32(out, m->number[c]);
    if (m->count)
        buf_add(out, m->known, m->count * (TASKS_WORD_BITS / 8));
}

static void get_profile(struct bytes_reader *r, struct tasks_profile *p)
{
    size_t n = bytes_count(r, KEY_SHINGLES_MAX, 12);

    p->shingle = mem_array(n, sizeof(*p->shingle));
    for (size_t i = 0; i < n; i++)
        p->shingle[i] = bytes_u64(r);
    p->weight = bytes_floats(r, n);
    p->count = p->weight ? n : 0;
    p->total = bytes_float(r);
}

/* dims: of the model's embedder, 0 where groups have their own. */
static void get_rest(struct bytes_reader *r, size_t dims, struct tasks_group *g)
{
    struct slice bytes;

    g->rests = bytes_u32(r);
    bytes.n = bytes_u32(r);
    bytes.p = bytes_take(r, bytes.n);
    if (bytes.p && bytes.n && embed_load(bytes, &g->embed, NULL) < 0)
        r->bad = true;
    if (r->bad || g->rests > CLUSTERS_MAX ||
        (g->embed != 0) != (g->rests > 1 && !dims)) {
        r->bad = true;
        return;
    }
    if (g->rests < 2)
        return;
    g->dims = dims ? dims : embed_dims(g->embed);
    if (g->dims > TASKS_DIMS_MAX)
        r->bad = true;
    else
        g->centre = bytes_floats(r, g->rests * g->dims);
    g->near = bytes_float(r);
}

static void get_payload(struct bytes_reader *r, struct tasks_payload *w)
{
    uint32_t n = bytes_u32(r);
    const char *level = n == TASKS_PAYLOAD_BUCKETS ? bytes_take(r, n) : NULL;

    r->bad |= n != 0 && !level;
    if (!level)
        return;
    w->level = mem_alloc(n);
    memcpy(w->level, level, n);
    w->usual = bytes_float(r);
    r->bad |= !(w->usual > 0 && w->usual < 1);
}

static void get_group(struct bytes_reader *r, bool old, size_t dims,
                      struct tasks_group *g)
{
    g->system = bytes_u64(r);
    g->format = bytes_u64(r);
    g->tools = bytes_u64(r);
    uint32_t flags = bytes_u32(r);
    g->offers_tools = flags & 1;
    g->pool = flags >> 1 & 1;
    g->first = bytes_u32(r);
    get_profile(r, &g->key);
    size_t n = bytes_count(r, CLUSTERS_MAX, 8);
    g->profile = mem_zalloc(n * sizeof(*g->profile) + 1);
    for (; g->templates < n && !r->bad; g->templates++)
        get_profile(r, &g->profile[g->templates]);
    get_rest(r, dims, g);
    if (!old && !r->bad)
        get_payload(r, &g->payload);
}

static void get_embedder(struct bytes_reader *r, struct tasks_model *m)
{
    m->dims = bytes_u32(r);
    const char *id = bytes_take(r, sizeof(m->embedder));

    r->bad |= m->dims == 0 || m->dims > TASKS_DIMS_MAX;
    if (id)
        memcpy(m->embedder, id, sizeof(m->embedder));
}

static void get_model(struct bytes_reader *r, bool old, struct tasks_model *m)
{
    size_t groups = bytes_count(r, GROUPS_MAX, 40);
    size_t expected = 0;

    m->count = bytes_count(r, CLUSTERS_MAX, TASKS_WORD_BITS / 8);
    m->group = mem_zalloc(groups * sizeof(*m->group) + 1);
    for (; m->groups < groups && !r->bad; m->groups++) {
        struct tasks_group *g = &m->group[m->groups];
        get_group(r, old, m->dims, g);
        r->bad |= g->first != expected;
        expected += g->templates + g->rests;
    }
    r->bad |= expected != m->count;
    m->number = mem_array(m->count, sizeof(*m->number));
    for (size_t c = 0; c < m->count; c++) {
        m->number[c] = bytes_u32(r);
        r->bad |= m->number[c] >= m->count;
    }
    size_t bytes = m->count * (TASKS_WORD_BITS / 8);
    const char *known = bytes_take(r, bytes);
    m->known = mem_zalloc(bytes + 1);
    if (known)
        memcpy(m->known, known, bytes);
}

int tasks_model_load(struct slice data, struct tasks_model **out,
                     struct err *err)
{
    struct bytes_reader r = { data, false };
    struct tasks_model *m = mem_zalloc(sizeof(*m));

    uint32_t magic = bytes_u32(&r);
    r.bad = magic != TASKS_MAGIC && magic != TASKS_MAGIC_OLD &&
            magic != TASKS_MAGIC_BY;
    if (magic == TASKS_MAGIC_BY)
        get_embedder(&r, m);
    if (!r.bad)
        get_model(&r, magic == TASKS_MAGIC_OLD, m);
    if (r.bad || r.rest.n) {
        tasks_model_free(m);
        return err_set(err, ERR_FORMAT,
                       "clustering: damaged or of another version; run "
                       "slmctl cluster --refit");
    }
    *out = m;
    return 0;
}
