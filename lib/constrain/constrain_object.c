/*
 * constrain_object.c - members of an object, named and others
 *
 * A node for each set of members seen allows any order but costs a copy of
 * every member for each; how many orders there are is the reader's, which
 * takes fewer where a form grows too large. Names that only "required" tells of
 * are members of any kind.
 */
#include "constrain/constrain_schema.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct member {
    struct slice name; /* in quotes, as it is written */
    json_ref s;
    bool required;
};
struct members {
    struct member *list;
    size_t count, required;
    int64_t min, max; /* of members */
    json_ref more;    /* what others must fit; JSON_NONE: there are none */
};

static uint32_t put_value(struct schema_reader *r, uint32_t from, json_ref s)
{
    from = schema_white(r, schema_put(r, schema_white(r, from), ":"));
    return schema_white(r, schema_value(r, from, s));
}

static uint32_t put_member(struct schema_reader *r, uint32_t from,
                           const struct member *m)
{
    return put_value(r, graph_text(r->g, from, m->name), m->s);
}

static uint32_t comma(struct schema_reader *r, uint32_t from)
{
    return schema_white(r, schema_put(r, from, ","));
}

/* In any order: a node for each set of members seen. */
static void any_order(struct schema_reader *r, uint32_t from, uint32_t close,
                      const struct members *m)
{
    uint32_t at[1u << CONSTRAIN_FREE_ORDER];
    unsigned sets = 1u << m->count, needed = 0;

    for (unsigned k = 0; k < m->count; k++)
        needed |= m->list[k].required ? 1u << k : 0;
    at[0] = from;
    for (unsigned s = 1; s < sets; s++)
        at[s] = graph_node(r->g);
    for (unsigned s = 0; s < sets && !graph_failed(r->g); s++) {
        int count = __builtin_popcount(s);

        if ((s & needed) == needed && count >= m->min && count <= m->max)
            graph_empty(r->g, at[s], close);
        for (unsigned k = 0; k < m->count && !graph_failed(r->g); k++)
            if (!(s >> k & 1))
                graph_empty(
                    r->g,
                    put_member(r, s ? comma(r, at[s]) : at[s], &m->list[k]),
                    at[s | 1u << k]);
    }
}

/* Other members, any number of them, behind a place where nothing was seen
 * (none) or something was (some). */
static void put_others(struct schema_reader *r, uint32_t none, uint32_t some,
                       uint32_t close, const struct members *m)
{
    struct slice *names = mem_array(m->count + 1, sizeof(*names));
    uint32_t at = graph_node(r->g), end = graph_node(r->g);
    int64_t most = m->max - (int64_t)m->count;

    for (size_t i = 0; i < m->count; i++)
        names[i] =
            (struct slice){ m->list[i].name.p + 1, m->list[i].name.n - 2 };
    if (none)
        graph_empty(r->g, none, at);
    if (some)
        graph_empty(r->g, comma(r, some), at);
    if (most >= CONSTRAIN_MAX_REPEAT) {
        end = put_value(r, schema_other_name(r, at, names, m->count), m->more);
        graph_empty(r->g, comma(r, end), at);
        graph_empty(r->g, end, close);
    }
    for (int64_t i = 0; i < most && most < CONSTRAIN_MAX_REPEAT; i++) {
        end = put_value(r, schema_other_name(r, at, names, m->count), m->more);
        graph_empty(r->g, end, close);
        at = comma(r, end);
    }
    free(names);
}

/* In the list's order. Two rows of nodes: nothing seen yet, something. */
static void one_order(struct schema_reader *r, uint32_t from, uint32_t close,
                      const struct members *m)
{
    uint32_t none = from, some = 0;

    for (size_t i = 0; i < m->count && !graph_failed(r->g); i++) {
        uint32_t at = graph_node(r->g), next = graph_node(r->g);

        if (none)
            graph_empty(r->g, none, at);
        if (some)
            graph_empty(r->g, comma(r, some), at);
        graph_empty(r->g, put_member(r, at, &m->list[i]), next);
        if (!m->list[i].required && some)
            graph_empty(r->g, some, next);
        if (m->list[i].required)
            none = 0;
        some = next;
    }
    if (none && m->min == 0)
        graph_empty(r->g, none, close);
    if (some)
        graph_empty(r->g, some, close);
    if (json_present(m->more) && !graph_failed(r->g))
        put_others(r, none, some, close, m);
}

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return slice_cmp(x->name, y->name);
}

/* The schema's order, and that of the names, which is how members stand in
 * what was written canonically. */
static void two_orders(struct schema_reader *r, uint32_t from, uint32_t close,
                       struct members *m)
{
    bool sorted = true;

    one_order(r, from, close, m);
    for (size_t i = 1; i < m->count; i++)
        sorted = sorted && by_name(&m->list[i - 1], &m->list[i]) <= 0;
    if (sorted || graph_failed(r->g))
        return;
    qsort(m->list, m->count, sizeof(*m->list), by_name);
    one_order(r, from, close, m);
}

static void add_required(struct schema_reader *r, json_ref s, struct members *m)
{
    json_ref list = json_get(r->j, s, "required");

    for (json_ref e = json_first(r->j, list); e != JSON_NONE;
         e = json_next(r->j, list, e)) {
        struct slice name = json_raw(r->j, e);
        size_t i = 0;

        while (i < m->count && !slice_eq(m->list[i].name, name))
            i++;
        if (i == m->count)
            m->list[m->count++] = (struct member){ name, m->more, false };
        m->required += !m->list[i].required;
        m->list[i].required = true;
    }
}

/* How many members there are between, where that can be kept to: other members
 * may have one name twice, which a reader takes for one. */
static void check_counts(struct schema_reader *r, json_ref s, struct members *m)
{
    json_ref min = json_get(r->j, s, "minProperties");
    json_ref max = json_get(r->j, s, "maxProperties");
    bool free_order = !json_present(m->more) &&
                      m->count <= CONSTRAIN_FREE_ORDER &&
                      r->order == SCHEMA_ANY_ORDER;

    m->min = 0;
    m->max = INT64_MAX;
    if (json_present(min) && !json_int(r->j, min, &m->min))
        (void)schema_refuse(r, "minProperties is no count");
    if (json_present(max) && !json_int(r->j, max, &m->max))
        (void)schema_refuse(r, "maxProperties is no count");
    if (m->min <= (int64_t)m->required)
        m->min = 0;
    if (!free_order && (m->min > 1 || m->max < (int64_t)m->count))
        (void)schema_refuse(r, "minProperties or maxProperties here is not "
                               "supported");
}

static bool read_members(struct schema_reader *r, json_ref s, struct members *m)
{
    json_ref properties = json_get(r->j, s, "properties");
    json_ref more = json_get(r->j, s, "additionalProperties");
    size_t count = json_count(r->j, properties);
    bool closed = false, flag = true;

    m->more = json_count(r->j, more) ? more : JSON_NONE;
    closed = json_bool(r->j, more, &flag) && !flag;
    m->list =
        mem_array(count + json_count(r->j, json_get(r->j, s, "required")) + 1,
                  sizeof(*m->list));
    for (json_ref e = json_first(r->j, properties); e != JSON_NONE;
         e = json_next(r->j, properties, e))
        m->list[m->count++] =
            (struct member){ json_raw(r->j, json_key(r->j, e)), e, false };
    add_required(r, s, m);
    if (closed && m->count > count && !r->loose)
        (void)schema_fail(
            r, "required, but not among the properties:", m->list[count].name);
    if (!r->loose)
        check_counts(r, s, m);
    else
        m->max = INT64_MAX;
    return !graph_failed(r->g);
}

/* Nothing is said of the members, or others than those named are expected. */
static bool is_any(const struct schema_reader *r, json_ref s)
{
    json_ref properties = json_get(r->j, s, "properties");
    json_ref more = json_get(r->j, s, "additionalProperties");
    bool flag = true, named = json_is(r->j, properties, JSON_OBJECT);
    bool closed = json_bool(r->j, more, &flag) && !flag;

    if (r->loose)
        return json_present(more) ? !closed : !named;
    if (closed || json_count(r->j, more))
        return false;
    return (r->open && json_present(more)) ||
           (!named && !json_count(r->j, json_get(r->j, s, "required")));
}

uint32_t schema_object(struct schema_reader *r, uint32_t from, json_ref s)
{
    struct members m = { .count = 0 };
    uint32_t close;

    if (is_any(r, s)) {
        if (!r->loose && (json_present(json_get(r->j, s, "minProperties")) ||
                          json_present(json_get(r->j, s, "maxProperties"))))
            return schema_refuse(r, "minProperties and maxProperties need "
                                    "properties");
        return schema_any_list(r, from, CONSTRAIN_ANY_DEPTH, true);
    }
    close = graph_node(r->g);
    from = schema_white(r, schema_put(r, from, "{"));
    if (!read_members(r, s, &m))
        close = 0;
    else if (json_present(m.more) || r->order == SCHEMA_ONE_ORDER)
        one_order(r, from, close, &m);
    else if (m.count > CONSTRAIN_FREE_ORDER || r->order == SCHEMA_TWO_ORDERS)
        two_orders(r, from, close, &m);
    else
        any_order(r, from, close, &m);
    free(m.list);
    return schema_put(r, close, "}");
}
