/* jinja.c - parsing and rendering as a whole; the arena that both use */
#include "jinja/jinja_private.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 << 10)

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    max_align_t bytes[];
};

void *jinja_arena_alloc(struct arena *a, size_t n)
{
    struct arena_block *b = a->blocks;
    char *p;

    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
        sizeof(max_align_t);
    if (!b || b->size - b->used < n) {
        size_t first = a->blocks ? BLOCK_SIZE : BLOCK_SIZE / 8;
        size_t size = n > first ? n : first;

        b = mem_alloc(sizeof(*b) + size);
        b->used = 0;
        b->size = size;
        /* A large one stands behind the block that still has room. */
        if (a->blocks && n > first / 2) {
            b->next = a->blocks->next;
            a->blocks->next = b;
        } else {
            b->next = a->blocks;
            a->blocks = b;
        }
    }
    p = (char *)b->bytes + b->used;
    b->used += n;
    a->used += n;
    memset(p, 0, n);
    return p;
}

void jinja_arena_release(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;

        a->blocks = b->next;
        free(b);
    }
    a->used = 0;
}

/* Line ends become \n, and the last one goes. */
static struct slice normalised(struct jinja *t, struct slice s)
{
    char *copy = jinja_arena_alloc(&t->mem, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
            continue;
        copy[n++] = s.p[i] == '\r' ? '\n' : s.p[i];
    }
    n -= n && copy[n - 1] == '\n';
    return (struct slice){ copy, n };
}

static void intern_names(struct jinja *t)
{
    static const char *const names[] = { "loop", "caller", "varargs",
                                         "kwargs" };

    t->names = map_new();
    for (uint64_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        *map_put(t->names, names[i], strlen(names[i]), NULL) = i;
}

int jinja_parse(struct slice source, struct jinja **out, struct err *err)
{
    struct tokens tokens = { 0 };
    struct parser p = { .err = err };
    struct jinja *t;
    int rc;

    if (source.n > JINJA_MAX_SOURCE)
        return err_set(err, ERR_LIMIT,
                       "the template has %zu bytes, more than %zu", source.n,
                       JINJA_MAX_SOURCE);
    if (!utf8_valid(source.p ? source.p : "", source.n))
        return err_set(err, ERR_FORMAT, "the template is not UTF-8");
    t = mem_zalloc(sizeof(*t));
    intern_names(t);
    t->source = normalised(t, source);
    rc = jinja_lex(&t->mem, t->source, &tokens, err);
    if (rc == ERR_OK) {
        p.t = t;
        p.mem = &t->mem;
        p.at = tokens.v;
        jinja_parse_template(&p, &t->body);
        rc = p.failed ? ERR_FORMAT : ERR_OK;
        if (p.failed && err)
            rc = err->code;
    }
    free(tokens.v);
    if (rc == ERR_OK)
        *out = t;
    else
        jinja_free(t);
    return rc;
}

void jinja_free(struct jinja *t)
{
    if (!t)
        return;
    map_free(t->names);
    jinja_arena_release(&t->mem);
    free(t);
}

bool jinja_has_generation(const struct jinja *t)
{
    return t->generation;
}

bool jinja_uses(const struct jinja *t, const char *name)
{
    return map_get(t->names, name, strlen(name)) != NULL;
}

struct slice jinja_source(const struct jinja *t)
{
    return t->source;
}

void jinja_output_release(struct jinja_output *o)
{
    buf_release(&o->text);
    free(o->spans);
    *o = (struct jinja_output){ 0 };
}

int jinja_render(const struct jinja *t, const struct json *j, json_ref context,
                 const struct tm *now, struct jinja_output *out,
                 struct err *err)
{
    struct err own = { 0 };
    struct run r = {
        .t = t, .now = now, .result = out, .err = err ? err : &own
    };
    struct value v;

    if (!out->text.data)
        buf_init(&out->text, JINJA_MAX_STRING);
    r.out = &out->text;
    r.root = r.scope = jinja_scope(&r, NULL);
    v = jinja_from_json(&r, j, context);
    if (!r.failed && v.kind != V_DICT)
        jinja_fail(&r, "the context is no object");
    if (!r.failed) {
        r.context = v.m;
        (void)jinja_run_body(&r, &t->body);
    }
    if (!r.failed && out->text.overflow)
        jinja_limit(&r, "bytes of output");
    jinja_arena_release(&r.mem);
    return r.failed ? (int)r.err->code : ERR_OK;
}

struct slice jinja_trim(struct slice s, bool both)
{
    return jinja_strip(s, both, true);
}
