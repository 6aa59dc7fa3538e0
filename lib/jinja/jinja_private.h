/*
 * jinja_private.h - values, syntax tree and the state of a rendering
 *
 * Values are small and passed by value; what they point to lies in an arena
 * that ends with the rendering. Errors are sticky: the first one is kept in
 * the run, everything after it gives None, and loops look at `failed`.
 */
#ifndef JINJA_PRIVATE_H
#define JINJA_PRIVATE_H

#include "jinja/jinja.h"

#include "base/map.h"

enum value_kind {
    V_ABSENT, /* no argument given */
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_BIG,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_NAMESPACE,
    V_RANGE,
    V_KEYS, /* views of a dict */
    V_VALUES,
    V_ITEMS,
    V_GENERATOR,
    V_MACRO,
    V_FUNCTION,
    V_METHOD,
    V_LOOP,
    V_CYCLER,
    V_JOINER,
};

struct run;
struct node;

struct value {
    uint8_t kind;
    bool safe; /* V_STRING: needs no escaping */
    union {
        bool b;
        int64_t i;
        double d;
        struct string *s;
        struct list *l; /* V_LIST, V_TUPLE */
        struct dict *m; /* V_DICT, V_NAMESPACE and views */
        struct big *big;
        struct range *range;
        struct generator *gen;
        struct macro *macro;
        const struct function *fn;
        struct method *method;
        struct loop *loop;
        struct cycler *cycler; /* V_CYCLER, V_JOINER */
        struct undefined *undef;
    };
};

#define CHARS_UNKNOWN ((size_t)-1)
struct string {
    const char *p;
    size_t n;
    size_t chars; /* code points, once counted */
};

struct list {
    struct value *v;
    size_t n, cap;
    bool group; /* a tuple of groupby: has the names grouper and list */
};

struct entry {
    struct value key, value;
};

/* In order of insertion; `slots` only from 9 entries on. */
struct dict {
    struct entry *e;
    size_t n, cap;
    uint32_t *slots; /* entry + 1, open addressing */
    size_t slot_count;
};

struct big {
    bool negative;
    size_t n;
    uint32_t digit[]; /* base 1e9, least first, no leading zero */
};

struct range {
    int64_t start, stop, step;
};

/* Already computed; an error waits until the item is asked for. */
struct generator {
    struct list items;
    size_t at;
    const char *error;
};

/* What asking for it again says: "'x' is undefined" and the like. */
struct undefined {
    const char *message;
};

struct macro {
    const struct node *node;
    struct scope *scope;
};

struct method {
    struct value self;
    const struct function *fn;
};

struct loop {
    const struct node *node;
    struct scope *scope; /* around the loop */
    struct list items;
    size_t at;
    unsigned depth;
    struct value changed; /* V_ABSENT until loop.changed was asked */
};

struct cycler {
    struct list items; /* a joiner has one */
    size_t at;
};

struct keyword {
    struct slice name;
    struct value v;
};

struct arguments {
    struct value *v;
    size_t n;
    struct keyword *kw;
    size_t kw_count;
};

#define MAX_PARAMETERS 8

/* A filter, test, method or global function. params: names by comma, the
 * optional ones after a '|', "*" at the end takes any further ones (which the
 * function reads from run->args). self is not among them. */
struct function {
    const char *name, *params;
    struct value (*call)(struct run *r, struct value self, struct value *a);
    uint8_t kind; /* methods: of which values */
};

enum node_kind {
    N_CONST,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT,
    N_GETATTR,
    N_GETITEM,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    N_NEG,
    N_POS,
    N_NOT,
    N_BINARY,
    N_CONCAT,
    N_AND,
    N_OR,
    N_COMPARE,
    N_COND,
    N_NSREF,
    N_TEXT,
    N_PRINT,
    N_IF,
    N_FOR,
    N_SET,
    N_SETBLOCK,
    N_MACRO,
    N_CALLBLOCK,
    N_FILTERBLOCK,
    N_WITH,
    N_BLOCK,
    N_GENERATION,
    N_BREAK,
    N_CONTINUE,
    N_AUTOESCAPE,
    N_REFUSED,
};

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOTIN,
};

enum { USES_CALLER = 1, USES_VARARGS = 2, USES_KWARGS = 4 };

/* Names that mean something to the engine; interned first. */
enum { NAME_LOOP, NAME_CALLER, NAME_VARARGS, NAME_KWARGS };

struct nodes {
    struct node **v;
    size_t n, cap;
};

struct call_keyword {
    struct slice name;
    struct node *value;
};

struct call {
    struct nodes pos;
    struct call_keyword *kw;
    size_t kw_count, kw_cap;
    struct node *star, *starstar;
};

struct node {
    uint8_t kind, op, flags;
    uint32_t line;
    uint32_t name; /* interned */
    struct node *a, *b, *c;
    struct nodes list, other;
    struct call *call;
    const struct function *fn; /* of N_FILTER and N_TEST; NULL: unknown */
    struct slice text;
    struct value constant;
};

/* Memory that ends all at once. */
struct arena {
    struct arena_block *blocks;
    size_t used;
};
void *jinja_arena_alloc(struct arena *a, size_t n); /* zeroed */
void jinja_arena_release(struct arena *a);

struct jinja {
    struct arena mem;
    struct slice source;
    struct map *names; /* text to id */
    struct nodes body;
    bool generation;
};

struct variable {
    uint32_t name;
    struct value v;
};

struct scope {
    struct scope *parent;
    struct variable *v;
    size_t n, cap;
};

struct run {
    const struct jinja *t;
    struct arena mem;
    struct dict *context;
    struct scope *root, *scope;
    const struct tm *now;
    struct jinja_output *result;
    struct buf *out;
    const struct arguments *args; /* of the function being called */
    uint32_t line;
    unsigned depth, nesting, evals; /* calls, values, expressions */
    uint64_t steps;
    bool failed, autoescape;
    struct err *err;
};

/* jinja_lex.c */
enum token_kind {
    T_EOF,
    T_DATA,
    T_VAR_BEGIN,
    T_VAR_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_INT,
    T_FLOAT,
    T_STRING,
    T_OP,
};
struct token {
    uint8_t kind;
    char op[3];
    uint32_t line;
    struct slice text; /* T_STRING: unescaped */
};
struct tokens {
    struct token *v;
    size_t n, cap;
};
/* source: line ends normalised. Texts lie in the arena or the source. */
MUST_CHECK int jinja_lex(struct arena *mem, struct slice source,
                         struct tokens *out, struct err *err);
/* Python's escapes; false: one that is not known. */
bool jinja_unescape(struct slice s, struct buf *out);

/* jinja_parse.c */
struct parser {
    struct jinja *t;
    const struct token *at;
    struct arena *mem;
    struct err *err;
    bool failed;
    unsigned depth, loops, uses;
    bool soft;                  /* unknown filters fail when they are used */
    const struct token *missed; /* an unknown filter or test */
    const char *missed_what;
};
struct node *jinja_node(struct parser *p, enum node_kind kind);
void jinja_nodes_add(struct parser *p, struct nodes *list, struct node *n);
void *jinja_parse_fail(struct parser *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool jinja_at_name(const struct parser *p, const char *name);
bool jinja_at_op(const struct parser *p, const char *op);
bool jinja_skip_name(struct parser *p, const char *name);
bool jinja_skip_op(struct parser *p, const char *op);
bool jinja_expect_op(struct parser *p, const char *op);
bool jinja_enter(struct parser *p); /* false: too deep */
uint32_t jinja_intern(struct parser *p, struct slice name);
struct node *jinja_parse_expression(struct parser *p);
/* end: a name that ends the tuple, or NULL; conditional: with "a if b". */
struct node *jinja_parse_tuple(struct parser *p, bool conditional,
                               const char *end);
struct node *jinja_parse_primary(struct parser *p);
struct node *jinja_parse_filters(struct parser *p, struct node *n, bool first);
struct node *jinja_parse_postfix(struct parser *p, struct node *n);
bool jinja_check_missed(struct parser *p);
/* jinja_parse_blocks.c */
void jinja_parse_template(struct parser *p, struct nodes *out);

/* jinja_value.c */
void *jinja_alloc(struct run *r, size_t n); /* zeroed; counts the memory */
struct value jinja_fail(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct value jinja_limit(struct run *r, const char *what);
bool jinja_step(struct run *r, uint64_t n); /* false: no more */
struct value jinja_none(void);
struct value jinja_bool(bool b);
struct value jinja_int(int64_t i);
struct value jinja_float(double d);
struct value jinja_slice(struct run *r, struct slice s); /* borrowed bytes */
struct value jinja_text(struct run *r, const char *s);   /* borrowed bytes */
/* Copies the buffer and releases it; too long: fails. */
struct value jinja_take(struct run *r, struct buf *b);
struct value jinja_list(struct run *r, enum value_kind kind, size_t n);
void jinja_list_add(struct run *r, struct list *l, struct value v);
struct value jinja_pair(struct run *r, struct value a, struct value b);
struct value jinja_dict(struct run *r);
struct value jinja_generator(struct run *r, const struct list *items);
struct value jinja_undefined(struct run *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct slice jinja_bytes(struct value v); /* of a V_STRING */
size_t jinja_chars(struct value v);       /* of a V_STRING */
bool jinja_is_absent(struct value v);
bool jinja_is_missing(struct value v); /* absent or None */
bool jinja_is_number(struct value v);  /* bool included */
bool jinja_is_integer(struct value v); /* bool and big included */
const char *jinja_type(struct value v);
bool jinja_true(struct value v);
bool jinja_equal(struct run *r, struct value a, struct value b);
/* op: of the error message. -1, 0, 1; 2 for NaN */
int jinja_compare(struct run *r, struct value a, struct value b,
                  const char *op);
bool jinja_contains(struct run *r, struct value container, struct value x);
/* The items; fails if it cannot be iterated. Borrowed where it can be. */
struct list jinja_items(struct run *r, struct value v);
/* -1: has no length */
int64_t jinja_length(struct value v);
struct value jinja_range_at(const struct range *g, int64_t i);
/* A V_STRING's characters from..to. */
struct value jinja_substring(struct run *r, struct value s, size_t from,
                             size_t to);

/* jinja_dict.c */
struct value *jinja_dict_get(struct run *r, const struct dict *m,
                             struct value key);
struct value *jinja_dict_find(struct run *r, const struct dict *m,
                              struct slice key);
void jinja_dict_put(struct run *r, struct dict *m, struct value key,
                    struct value v);
bool jinja_hashable(struct run *r, struct value v); /* else it failed */

/* jinja_big.c: integers of any size; results are V_INT where they fit. */
struct value jinja_big_parse(struct run *r, struct slice digits, unsigned base);
struct value jinja_big_of_double(struct run *r, double d);
double jinja_big_double(struct value v); /* V_BOOL, V_INT, V_BIG */
struct value jinja_big_op(struct run *r, enum op op, struct value a,
                          struct value b);
int jinja_big_compare(struct run *r, struct value a, struct value b);
void jinja_big_write(struct value v, struct buf *out);
/* With a sign; type: 'x', 'X', 'o' and 'b', else decimal. */
void jinja_big_radix(struct run *r, struct value v, char type, struct buf *out);
struct value jinja_big_negate(struct run *r, struct value v);

/* jinja_text.c */
void jinja_str(struct run *r, struct value v, struct buf *out);
void jinja_repr(struct run *r, struct value v, struct buf *out);
void jinja_float_write(double d, struct buf *out);
struct value jinja_to_string(struct run *r, struct value v);
void jinja_escape(struct slice s, struct buf *out);
struct value jinja_escaped(struct run *r, struct value v);

/* jinja_json.c */
struct value jinja_from_json(struct run *r, const struct json *j, json_ref v);
/* A copy of the entries, by their keys. */
struct entry *jinja_sorted_entries(struct run *r, const struct dict *m);
struct value jinja_tojson(struct run *r, struct value self, struct value *a);

/* jinja_ops.c */
struct value jinja_binary(struct run *r, enum op op, struct value a,
                          struct value b);
struct value jinja_negate(struct run *r, struct value v);
bool jinja_relation(struct run *r, enum op op, struct value a, struct value b);
double jinja_double(struct value v);
/* An index or count: false if it failed. */
bool jinja_index(struct run *r, struct value v, int64_t *out);

/* jinja_attr.c */
struct value jinja_getattr(struct run *r, struct value v, struct slice name);
struct value jinja_getitem(struct run *r, struct value v, struct value key);
struct value jinja_getslice(struct run *r, struct value v, struct value from,
                            struct value to, struct value step);
/* "a.b.0": as the attribute arguments of filters say it. */
struct value jinja_getpath(struct run *r, struct value v, struct value path);

/* jinja_call.c */
struct value jinja_call(struct run *r, struct value fn,
                        const struct arguments *args);
struct value jinja_call_function(struct run *r, const struct function *fn,
                                 struct value self,
                                 const struct arguments *args);
const struct function *jinja_global(struct slice name);

const struct function *jinja_filter_find(struct slice name);
const struct function *jinja_test_find(struct slice name);
const struct function *jinja_method_find(struct value self, struct slice name);
bool jinja_method_is_unsafe(struct value self, struct slice name);
/* The tables that make up the filters. */
extern const struct function jinja_text_filters[], jinja_list_filters[],
    jinja_page_filters[], jinja_text_methods[], jinja_more_methods[],
    jinja_other_methods[];

/* jinja_entities.c and jinja_wrap.c: filters */
struct value jinja_striptags(struct run *r, struct value self, struct value *a);
struct value jinja_wordwrap(struct run *r, struct value self, struct value *a);
/* jinja_format.c: '%' and str.format */
struct value jinja_percent(struct run *r, struct value format,
                           struct value args);
struct value jinja_str_format(struct run *r, struct value format,
                              const struct arguments *args);

/* jinja_eval.c */
struct value jinja_eval(struct run *r, const struct node *n);
bool jinja_eval_arguments(struct run *r, const struct call *c,
                          struct arguments *out);
struct value jinja_apply_filter(struct run *r, const struct node *n,
                                struct value v);
struct value jinja_lookup(struct run *r, uint32_t name);
void jinja_assign(struct run *r, uint32_t name, struct value v);
struct scope *jinja_scope(struct run *r, struct scope *parent);

/* jinja_run.c */
enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };
enum flow jinja_run_body(struct run *r, const struct nodes *body);
struct value jinja_macro_call(struct run *r, const struct macro *m,
                              const struct arguments *args);
struct value jinja_loop_call(struct run *r, struct loop *l, struct value v);

/* jinja_unicode.c, generated */
bool jinja_is_space(uint32_t c);
bool jinja_is_printable(uint32_t c);
bool jinja_is_alpha(uint32_t c);
bool jinja_is_decimal(uint32_t c);
bool jinja_is_digit(uint32_t c);
bool jinja_is_numeric(uint32_t c);
/* jinja_unicode_cased.c, generated: letters of a case, and what may stand
 * within a word without being one */
bool jinja_is_upper(uint32_t c);
bool jinja_is_lower(uint32_t c);
bool jinja_is_title(uint32_t c);
bool jinja_is_ignorable(uint32_t c);
/* jinja_case.c */
enum letter_case { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_SWAP, CASE_FOLD };
/* One character in another case: up to three. */
unsigned jinja_case_char(uint32_t c, enum letter_case to, uint32_t out[3]);
bool jinja_is_cased(uint32_t c);
void jinja_case_text(struct slice s, enum letter_case to, struct buf *out);
/* The first character in upper (title) case, the rest in lower. */
void jinja_capitalize(struct slice s, struct buf *out);
void jinja_put_char(struct buf *out, uint32_t c);
/* The code point at s->p, U+FFFD where it is none; moves on. n > 0. */
uint32_t jinja_next_char(struct slice *s);
struct slice jinja_strip(struct slice s, bool left, bool right);
size_t jinja_count_chars(struct slice s);
/* The next line as str.splitlines has it, without its end unless `keep`;
 * false: s is empty. */
bool jinja_next_line(struct slice *s, bool keep, struct slice *line);

#endif
