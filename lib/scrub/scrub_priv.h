/*
 * scrub_priv.h - what the files of lib/scrub share
 *
 * Rules decide in C only: gate (is it worth asking), pattern, checks, context,
 * surrogate. Nothing outside lib/scrub may include this file.
 */
#ifndef SCRUB_PRIV_H
#define SCRUB_PRIV_H

#include "base/map.h"
#include "base/rng.h"
#include "dates/dates.h"
#include "idnumber/idnumber.h"
#include "json/json.h"
#include "regex/regex.h"
#include "scrub/scrub.h"
#include "scrub/scrub_view.h"

/* Raised whenever the same rules may find or write something else. */
#define SCRUB_ENGINE "5"

/* Many literals at once, without regard to ASCII case. */
struct scrub_gate;
struct scrub_gate *scrub_gate_new(void);
void scrub_gate_free(struct scrub_gate *g);
/* whole: hit takes it only where no letter or digit follows, and may not be
 * asked elsewhere. */
void scrub_gate_add(struct scrub_gate *g, struct slice literal, uint32_t id,
                    bool whole);
/* ERR_LIMIT if the literals are too long all together. */
MUST_CHECK int scrub_gate_build(struct scrub_gate *g, struct err *err);
/* Calls hit for each literal that ends at byte `end` of text, from the first
 * end on, the longest first. */
void scrub_gate_scan(const struct scrub_gate *g, struct slice text,
                     void (*hit)(void *ctx, uint32_t id, size_t end),
                     void *ctx);

/* Many whole values at once, without regard to ASCII case. */
struct scrub_leak_set;
struct scrub_leak_set *scrub_leak_set_new(void);
void scrub_leak_set_free(struct scrub_leak_set *s); /* NULL is fine */
void scrub_leak_set_add(struct scrub_leak_set *s, struct slice value,
                        uint32_t name);
void scrub_leak_set_build(struct scrub_leak_set *s);
/* The text as the set wants it, appended. */
void scrub_leak_fold(struct slice text, struct buf *out);
void scrub_leak_set_scan(const struct scrub_leak_set *s, struct slice folded,
                         void (*hit)(void *ctx, uint32_t name, size_t start,
                                     size_t end),
                         void *ctx);

enum scrub_gate_kind {
    GATE_LITERAL, /* one of the literals */
    GATE_DIGITS,  /* a cluster of digits and separators, `digits` or more */
    GATE_DOTS,    /* a cluster with three dots */
    GATE_IBAN,    /* two capital letters, two digits */
    GATE_COLONS,  /* hex digits with "::" or five colons */
    GATE_RUN,     /* a run of letters and digits, `digits` or more */
    GATE_KEY,     /* the JSON key; the whole value is the window */
    GATE_ALL,     /* the whole text, always */
    GATE_MEDIA,   /* payloads of pictures and sounds; no pattern */
    GATE_FIND,    /* what a finder in C says is of a class; no pattern */
};

/* Finders in C, for what no pattern says well. A family of them looks at a
 * text once, if any rule uses one of its classes, and calls found for each
 * candidate: tier 1 acts by itself, 2 needs the context or key of the rule, 3
 * has the shape only. The rule's own tier counts if it is higher. */
#define SCRUB_CLASSES 8 /* of one family */
struct names;
typedef int scrub_found_fn(void *ctx, unsigned class, size_t start, size_t end,
                           int tier);
struct scrub_finder {
    const char *name;
    const char *classes[SCRUB_CLASSES];
    /* What all workers share, read-only; NULL: nothing. The names outlive it.
     */
    int (*load)(const struct scrub_settings *settings,
                const struct names *names, void **shared, struct err *err);
    void (*unload)(void *shared);
    /* One thread's memory; NULL: none. */
    void *(*worker_new)(const void *shared);
    void (*worker_free)(void *worker);
    /* For what a record knows once it was found anywhere in it; NULL: nothing.
     * A record begins; it was looked at and will be written: find what is
     * known where it was not found. */
    void (*begin)(void *worker, const struct scrub_worker *w);
    void (*end)(void *worker);
    int (*seek)(void *worker, struct slice text, scrub_found_fn *found,
                void *ctx);
    /* key: as scrub_find has it. A negative answer of found ends it. */
    int (*find)(void *worker, struct slice text, struct slice key,
                scrub_found_fn *found, void *ctx, struct err *err);
};
#define SCRUB_FINDERS 4
extern const struct scrub_finder scrub_finder_names;
extern const struct scrub_finder scrub_finder_dates;
extern const struct scrub_finder scrub_finder_address;
/* The i-th family, NULL after the last (scrub_finders.c). */
const struct scrub_finder *scrub_finder_at(size_t i);
/* Family times SCRUB_CLASSES plus class, or -1 if no finder knows the name. */
int scrub_finder_class(struct slice name);

/* A value that a rule found, and a name of a class (scrub_known.c). */
void scrub_known_add(struct scrub_known *k, uint32_t rule, struct slice value);
void scrub_known_add_name(struct scrub_known *k, struct slice value,
                          unsigned class, bool sure);
/* A record of those could not be looked at. */
void scrub_known_fail(struct scrub_known *k);
bool scrub_known_failed(const struct scrub_known *k); /* NULL: no */
size_t scrub_known_names(const struct scrub_known *k);
struct slice scrub_known_name(const struct scrub_known *k, size_t i,
                              unsigned *class, bool *sure);
void scrub_known_each(const struct scrub_known *k, struct scrub_worker *w,
                      void (*value)(struct scrub_worker *w, uint32_t rule,
                                    struct slice value));

struct scrub_texts { /* a list of strings, owned */
    char **item;
    size_t count, cap;
};

struct scrub_value {
    struct slice raw;  /* as it stands in the text */
    struct slice norm; /* what equal values share */
};

/* True if the value has the check digits or ranges of its type. */
typedef bool scrub_check_fn(struct slice value);
/* Writes valid check characters into a value that was drawn anew. */
typedef void scrub_complete_fn(char *value, size_t n);
/* The normal form of a value, appended. */
typedef void scrub_norm_fn(struct slice value, struct buf *out);
struct scrub_rule;
/* A surrogate for value, appended; r depends on key, scope, type, norm. */
typedef void scrub_fake_fn(struct scrub_worker *w,
                           const struct scrub_rule *rule, struct slice value,
                           struct rng *r, struct buf *out);

enum scrub_fake_kind {
    SCRUB_FAKE_WHOLE, /* one draw for the value, and nobody else's */
    SCRUB_FAKE_PARTS, /* its words see to that */
    SCRUB_FAKE_LOOSE, /* may be as the value, where it tells nothing */
};

struct scrub_rule {
    char *name, *type, *file;
    unsigned line;
    int tier;     /* 1 acts; 2 needs context; 3 is reported */
    int priority; /* greater wins where rules overlap */
    enum scrub_gate_kind gate;
    size_t digits;
    int find_class; /* of GATE_FIND */
    struct scrub_texts literals, words, keys, examples, counters;
    size_t before, after, reach; /* bytes */
    size_t longest;              /* of the literals */
    struct buf pattern;
    bool caseless;
    bool far;                      /* a match may begin behind the literal */
    _Atomic(struct regex *) regex; /* NULL: scrub_rule_regex makes it */
    _Atomic(unsigned char) digit;  /* struct scrub_shape: 1 no, 2 yes */
    scrub_check_fn *check;         /* a failure lowers the tier */
    scrub_check_fn *require;       /* a failure refuses */
    scrub_complete_fn *complete;   /* of that check, or NULL */
    size_t (*fit)(struct slice value); /* how much of a match is the value */
    scrub_norm_fn *norm;
    scrub_fake_fn *fake;
    size_t (*stem)(struct slice value); /* leading bytes that spread; or NULL */
    enum scrub_fake_kind fake_kind;
    bool (*draws)(struct slice value); /* as struct scrub_fake */
    enum scrub_action action;
    size_t keep;   /* leading bytes that the surrogate shares */
    bool spread;   /* look for the value in the whole record */
    bool digital;  /* the normal form is digits */
    bool replaced; /* by a later rule of the same name */
};

/* What a pattern says about the digits of a match: bit n: it may have n, 63
 * meaning more, too; separators that it must hold. */
struct scrub_shape {
    uint64_t digits;
    unsigned must;
    uint64_t first; /* bit n: a group of n digits comes first */
    bool led;       /* a match begins with one of these, no digit: */
    uint8_t lead[32];
    uint64_t begins, ends; /* scrub_char_bit of its first and last byte */
    unsigned guard; /* 1: no letter, digit or _ stands before it; 2: nor .+- */
    bool barred;    /* no letter, digit or _ stands behind it */
    uint64_t letters; /* it holds one of these; 0: not known */
    unsigned needs;   /* separators that it holds anywhere */
    bool digit;       /* it holds a digit, or sees one ahead */
};

/* Kinds of bytes where a match beside a cluster may begin: in its bytes, the
 * one behind and k before it, by guard less 1; and end, when it and k bytes
 * behind it are seen (scrub_edges.c). */
#define SCRUB_EDGE 15
struct scrub_edges {
    uint64_t begins[SCRUB_EDGE + 1][2], ends[SCRUB_EDGE + 1];
    uint64_t bytes;      /* all that stand there, */
    unsigned separators; /* and which of these */
};
void scrub_edges_read(struct slice t, size_t start, size_t end,
                      struct scrub_edges *out);
/* A bit for each digit and letter, one for all else. */
uint64_t scrub_char_bit(char c);
uint64_t scrub_char_fold(uint64_t set); /* letters of both cases */

struct scrub_rules {
    struct scrub_rule *rule;
    size_t count, cap;
    struct scrub_gate *gate, *key_gate;
    uint32_t *digit_rule; /* of gate digits, best rank first */
    uint32_t *other_rule; /* of dots, iban and colons */
    uint32_t *all_rule, *found_rule, *key_rule; /* with such gates */
    uint32_t media_rule;                        /* UINT32_MAX: none */
    uint32_t *run_rule;
    uint64_t *key_set; /* of those with gate key */
    size_t digit_count, other_count, all_count, found_count, key_count;
    size_t run_count, least_run; /* of their lengths */
    struct scrub_shape *shape;   /* of digit_rule */
    struct scrub_shape *run_shape;
    uint64_t *by_sum; /* 64 sets of digit_rule: who can match n digits */
    size_t digit_width, width; /* of such sets, and of sets of rules */
    struct map *words;         /* of all contexts, lower case: their number */
    size_t *word;              /* their lengths */
    size_t word_count, word_cap;
    uint64_t *word_rules; /* by word: whose it is */
    size_t reach;         /* the greatest */
    struct scrub_settings settings;
    void *shared[SCRUB_FINDERS];
    bool finds[SCRUB_FINDERS]; /* some rule uses the family */
    struct map *kept;          /* folded values that stay; or NULL */
    struct names *names;       /* to draw surrogates from */
    bool finished;
    struct buf text; /* all files, for the version */
    char version[32];
};

/* ERR_LIMIT if the pattern of a rule reaches the matching limits on texts made
 * to lead it there. */
MUST_CHECK int scrub_trial(struct scrub_rule *rule, struct err *err);

/* The compiled pattern. Of a rule that is part of the binary it is made when a
 * text first asks for it, by whichever thread: most are never asked. */
MUST_CHECK int scrub_rule_regex(struct scrub_rule *r, const struct regex **out,
                                struct err *err);

/* Tables by name, NULL if unknown (scrub_check.c, scrub_fake.c). */
scrub_check_fn *scrub_check_find(const char *name);
scrub_check_fn *scrub_check_find_secret(const char *name);
scrub_check_fn *scrub_check_find_net(const char *name);
scrub_check_fn *scrub_check_find_wallet(const char *name);
bool scrub_check_login(struct slice v);
/* How a drawn value passes the check of that name; NULL: it cannot fail, or
 * the surrogate sees to it. */
scrub_complete_fn *scrub_complete_find(const char *name);
scrub_complete_fn *scrub_complete_find_secret(const char *name);
scrub_complete_fn *scrub_complete_find_wallet(const char *name);
/* The case that EIP-55 gives to 40 hexadecimal digits. */
void scrub_eip55(const char hex[40], char out[40]);
struct scrub_fake {
    const char *name;
    scrub_fake_fn *fake;
    scrub_norm_fn *norm;
    bool digital;
    size_t (*stem)(struct slice value);
    enum scrub_fake_kind kind;
    bool (*draws)(struct slice value); /* may ask the generator; NULL: yes */
};
const struct scrub_fake *scrub_fake_find(const char *name);
void scrub_norm_phone(struct slice value, struct buf *out);
void scrub_norm_long(struct slice value, struct buf *out);
static inline bool scrub_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool scrub_is_alnum(char c)
{
    return scrub_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}
/* Is what stands at `start` the place in the name of a time zone? */
bool scrub_is_zone(struct slice text, size_t start);
/* No letter or digit stands beside [start, end); what is no ASCII is a letter,
 * but for quotes, dashes and blanks. */
bool scrub_is_whole(struct slice t, size_t start, size_t end);
int scrub_base64_value(char c); /* of either alphabet; -1: of none */

/* A found piece of one text, before documents are known. What it stands for
 * are these bytes, or bytes [at, at + n) of the last view; or its replacement
 * is made already, and is there in the arena. */
enum scrub_form { HIT_RAW, HIT_VIEW, HIT_MADE };
struct scrub_hit {
    size_t start, end;
    uint32_t rule;
    uint8_t tier;
    bool winner;
    uint8_t form, codings;
    size_t at, n;
};
struct scrub_hits {
    struct scrub_hit *item;
    size_t count, cap;
};
/* Matches of the rule that begin in [start, last]; all that may be seen ends
 * at `end`. */
struct scrub_window {
    size_t start, last, end;
    uint32_t rule;
};

/* Values that must be replaced wherever the record holds them: as they stand
 * (value: rule), and as digits. */
#define SCRUB_SPREAD_LENGTHS 4096
#define SCRUB_SPREAD_PAIRS 256
#define SCRUB_AREA 3       /* digits of an area code */
#define SCRUB_WITH_AREA 10 /* of a telephone that has one */
struct scrub_spread {
    struct map *texts, *digits;
    struct map *parts; /* words of addresses; "(415": index in digits */
    uint64_t pairs[65536 / 64]; /* first two bytes of texts */
    uint64_t lengths[SCRUB_SPREAD_LENGTHS / 64];
    uint64_t near[SCRUB_SPREAD_PAIRS]; /* bit n: one that begins so has n bytes,
                                        * 63: so many or more */
    size_t longest;
};

/* A replacement in a text: bytes [start, end) become rep. */
struct scrub_edit {
    size_t start, end;
    size_t rep, rep_len; /* in the arena */
    uint32_t rule;
    int tier;
};

/* A value and its surrogate, as offsets. */
struct scrub_pair {
    const char *type;
    size_t value, value_len, surrogate, surrogate_len;
};

struct scrub_level { /* memory of one level of nesting */
    struct json json;
    struct buf decoded;
    size_t (*units)[2]; /* decoded offset, raw offset */
    size_t unit_count, unit_cap;
    struct scrub_hit *runs; /* of base64 that were made anew */
    size_t run_count, run_cap;
    struct buf masked; /* a text without the payloads in it */
};
#define SCRUB_LEVELS (SCRUB_MAX_NESTING + 2) /* a plain text in the deepest */
#define SCRUB_VIEWS 4                        /* views of views */

struct scrub_skip { /* texts within a value; it and such values in it */
    size_t calls, values;
};

#define SCRUB_LABEL_BYTES ((size_t)64 << 10) /* of a record */
#define SCRUB_TEMPLATES 64 /* parts of a record; more are text like others */

struct scrub_worker {
    const struct scrub_rules *rules;
    struct crypto_key key;
    struct crypto_hmac_state hmac; /* with that key */
    struct regex_scratch *scratch;
    struct scrub_window *windows;
    size_t window_count, window_cap;
    struct scrub_window *words, *clusters; /* of a text; rule: the word */
    size_t word_count, word_cap, cluster_count, cluster_cap;
    uint64_t *cluster_sets; /* digit rules that may have the shape */
    size_t cluster_set_cap;
    struct scrub_keys *known_keys;
    const struct scrub_key *near_key; /* the last of these around; or NULL */
    struct map *keys; /* words of keys seen: their number in key_sets */
    uint64_t *key_sets;
    size_t key_cap;
    struct scrub_window *open; /* by rule; end 0: none */
    size_t *reached;           /* by rule: end of its last match in a text */
    uint32_t *touched;
    size_t touched_count;
    struct scrub_hits hits;
    struct scrub_edit *edits;
    size_t edit_count, edit_cap;
    struct buf arena, norm, seed;
    struct buf form, before, owner, drawn, word; /* of a draw (scrub_fake*.c) */
    struct scrub_span *spans;
    size_t span_count, span_cap;
    struct slice scope;
    struct scrub_spread spread;
    struct scrub_known *collects;    /* what is found goes here; or NULL */
    const struct scrub_known *knows; /* of other records; or NULL */
    /* The first look at a record only finds; what it found in each text, by
     * the order of texts, serves the second. */
    bool collecting, calls_known;
    const char *parsed; /* the document that is in level[0].json */
    bool prepared;      /* scrub_parse put it there, for the next record */
    struct slice template[SCRUB_TEMPLATES]; /* JSON; of the record */
    size_t template_count;
    struct buf labels; /* that messages enumerate: "\n" label "\n" ... */
    struct scrub_hits found;
    size_t *calls;       /* ends of each text's finds */
    uint8_t *call_plain; /* depth, plus 1, of one with nothing in it; or 0 */
    size_t call_plain_cap;
    size_t call_count, call_cap, call_next;
    struct scrub_skip *skips; /* values of logprobs, as they begin */
    size_t skip_count, skip_cap, skip_next;
    bool strict;    /* what has only the shape acts */
    bool spreading; /* second pass: seek the values of the first */
    /* Token by token an answer cannot be scrubbed: where anything was found,
     * a second pass puts null for its log probabilities. */
    bool logprobs_seen, logprobs_held, logprobs_dropped;
    uint32_t last_rule;
    struct dates_known dates;
    unsigned again; /* draws of the surrogate that were not taken */
    void *finder[SCRUB_FINDERS];
    uint64_t *reported;          /* by rule, of the last record */
    bool reports;                /* any */
    struct scrub_reveal *reveal; /* restores instead of scrubbing; or NULL */
    struct scrub_faked *faked;
    struct scrub_parts *parts;
    struct scrub_draws *draws;
    struct scrub_members *members;
    struct scrub_bounds *bounds;
    struct scrub_level level[SCRUB_LEVELS];
    struct scrub_view view[SCRUB_VIEWS];
    size_t views;    /* of the text looked at */
    bool known_only; /* it is a name of a field: only what is known goes */
    int place;       /* enum scrub_place, of the value looked at */
    bool in_data;    /* within what the user or a tool wrote */
    bool member;     /* a schema says that a value may be this */
};

/* Counts a find that does not act. */
static inline void scrub_report(struct scrub_worker *w, uint32_t rule)
{
    w->reported[rule]++;
    w->reports = true;
}

/* One plain text that is looked at. */
struct scrub_search {
    struct scrub_worker *w;
    struct slice text, key;
    const uint64_t *evidence; /* rules whose keys are in the key, or NULL */
    size_t first;             /* of w->hits that is the text's */
    bool known;               /* sought because the record holds it */
    struct err *err;
};
/* Calls cell for each cell of tables in the text whose column's head tells
 * something, with the head as the key. */
typedef int scrub_cell_fn(void *ctx, struct slice cell, struct slice key);
MUST_CHECK int scrub_table_cells(struct scrub_worker *w, struct slice text,
                                 scrub_cell_fn *cell, void *ctx);
#define SCRUB_SET (SCRUB_MAX_RULES / 64) /* words of a set of rules */
bool scrub_set_has(const uint64_t *set, size_t i);
void scrub_add_window(struct scrub_search *s, struct scrub_window x);
MUST_CHECK int scrub_run_window(struct scrub_search *s, struct scrub_window x);
MUST_CHECK int scrub_push_hit(struct scrub_search *s, struct scrub_hit h);

/* Words of context (scrub_context.c). A hit of the gate with this bit is one.*/
#define SCRUB_IS_WORD 0x80000000u
void scrub_context_add(struct scrub_rules *r, uint32_t rule);
void scrub_context_finish(struct scrub_rules *r);
void scrub_context_hit(struct scrub_search *s, uint32_t word, size_t end);
/* Does the rule's context stand before a find at start, or in the key? */
bool scrub_context_has(const struct scrub_search *s, uint32_t rule,
                       size_t start);
/* Rules with context that a find within [start, end) might have. */
void scrub_context_near(const struct scrub_search *s, size_t start, size_t end,
                        uint64_t *out);
const uint64_t *scrub_context_key(struct scrub_worker *w, struct slice key);
/* A set of r->width words: whose keys are in the key; false: nobody's. */
bool scrub_context_read(const struct scrub_rules *r, struct slice key,
                        uint64_t *set);

/* What scrub_find found, kept for the second look (scrub_calls.c). */
/* Fills w->template with what the agent's builder wrote in the documents:
 * system prompts, tools, response formats; the first document is left parsed.
 */
void scrub_template_read(struct scrub_worker *w, const struct slice *documents,
                         size_t n);
/* The next enumeration of labels from *at on, [*start, *end), its labels
 * appended, as w->labels has them; out may be NULL. */
bool scrub_labels_next(struct slice t, size_t *at, size_t *start, size_t *end,
                       struct buf *out);
void scrub_calls_reset(struct scrub_worker *w);
void scrub_calls_keep(struct scrub_worker *w, size_t first);
/* The call was the first for a text at this depth that holds no media and no
 * base64 and is what it looks like. */
void scrub_calls_mark_plain(struct scrub_worker *w, size_t call,
                            unsigned depth);
/* Was the text at this depth, that is looked at again, so marked? */
bool scrub_calls_plain(const struct scrub_worker *w, unsigned depth);
/* 1: added to w->hits; 0: it is not known. */
MUST_CHECK int scrub_calls_take(struct scrub_worker *w, struct slice text,
                                struct err *err);
/* A value is looked into that the second look may leave out, with all such
 * values in it. */
size_t scrub_calls_begin(struct scrub_worker *w);
void scrub_calls_end(struct scrub_worker *w, size_t value);
void scrub_calls_skip(struct scrub_worker *w);

/* Clusters of digits, and colons (scrub_digits.c, scrub_shape.c). */
#define SCRUB_SEPARATORS " -./()+"
#define SCRUB_SOME_SEPARATOR 0x80u
unsigned scrub_separator_bit(char c); /* 0: none */
void scrub_shape_read(struct slice pattern, size_t digits,
                      struct scrub_shape *out);
void scrub_digits_finish(struct scrub_rules *r);
void scrub_digit_windows(struct scrub_search *s);
/* Second look: numbers that the record holds elsewhere, and no more. */
MUST_CHECK int scrub_digits_seek(struct scrub_search *s);
void scrub_colon_windows(struct scrub_search *s);
void scrub_runs_finish(struct scrub_rules *r);
void scrub_run_windows(struct scrub_search *s);
/* After all patterns: clusters that only have a shape. */
MUST_CHECK int scrub_digit_shapes(struct scrub_search *s);

/* Adds to w->hits what may have to go of one plain text. key: normalised JSON
 * key ("_api_key_"), or empty. */
MUST_CHECK int scrub_find(struct scrub_worker *w, struct slice text,
                          struct slice key, struct err *err);
/* Of w->hits, runs and finds, those that stand: disjoint, in order. What is of
 * tier 3 and does not act is counted. */
void scrub_resolve(struct scrub_worker *w, struct scrub_hit *runs,
                   size_t count);

/* Members of schemas (scrub_member.c): a text that one lists; finds of a text
 * that stand; where they are known of a listed text, they take the place of
 * what else was found in it. */
struct scrub_members *scrub_members_new(void);
void scrub_members_reset(struct scrub_members *m);
void scrub_members_free(struct scrub_members *m); /* NULL is fine */
void scrub_member_list(struct scrub_members *m, struct slice text);
void scrub_member_hold(struct scrub_members *m, struct slice text,
                       const struct scrub_hits *hits);
MUST_CHECK int scrub_member_take(struct scrub_search *s);

/* What a value is for (scrub_place.c). */
/* What schemas allow of moments (scrub_bounds.c). */
struct scrub_bounds *scrub_bounds_new(void);
void scrub_bounds_reset(struct scrub_bounds *b);
void scrub_bounds_free(struct scrub_bounds *b); /* NULL is fine */
/* name: the property's, as scrub_key_words has it. */
void scrub_bounds_learn(struct scrub_bounds *b, struct slice name,
                        const struct json *j, json_ref schema);
/* Whether a value that a property of that name had may become `now`; what no
 * schema allowed before may be anything. text: a string's, without quotes;
 * moves: what enum lists in strings moves as well. */
bool scrub_bounds_allow(struct scrub_worker *w, struct slice name,
                        struct slice was, struct slice now, bool text,
                        bool moves);

enum scrub_place {
    PLACE_TEXT,
    PLACE_STRUCTURE, /* the protocol's: only what a literal begins goes */
    PLACE_SCHEMA,    /* only what is found by itself, or elsewhere, goes */
    PLACE_MEMBER,    /* the same; names that the record holds go, too */
    PLACE_PATTERN,   /* the protocol's, but for such names */
    PLACE_MEDIA,     /* bytes in base64 */
};
/* What a key tells (scrub_key.c). */
enum scrub_data { /* whether the value is the user's or a tool's ... */
                  DATA_NO,
                  DATA_YES,
                  DATA_INPUT, /* ... an object, with such members or without */
                  DATA_OUTPUT,
                  DATA_RESPONSE,
};
enum scrub_date_part { PART_NONE, PART_YEAR, PART_MONTH, PART_DAY };
struct scrub_key {
    struct slice words; /* scrub_key_words */
    uint64_t *evidence; /* scrub_context_read; NULL: none, or not remembered */
    uint64_t name;      /* its bit, if places ask for it; or 0 */
    uint64_t beside;    /* one of these keys beside it makes it `place` */
    enum scrub_place place; /* PLACE_TEXT: no key of the protocol */
    bool alone;             /* `place` needs nothing beside it */
    enum scrub_data data;
    bool function_name; /* "name", the protocol's in "function" */
    bool property; /* "default" and the like: evidence is the key around it */
    bool logprobs;
    enum scrub_date_part part; /* of a day in parts */
    size_t prefix; /* bytes of "_start" in "_start_year_"; all three must have
                    * it */
    bool moment;   /* such a part, or a moment */
    bool born;     /* that of a birth, by the key alone */
    bool may_hold_data; /* the key itself */
    bool may_be_name;   /* the same; no data else */
};
struct scrub_keys;
struct scrub_keys *scrub_keys_new(const struct scrub_rules *r);
void scrub_keys_free(struct scrub_keys *k); /* NULL is fine */
/* A record begins: nothing points to a key. */
void scrub_keys_begin(struct scrub_keys *k);
/* A key without escapes. Valid for the record; of one that is not remembered,
 * as long as *own and *words are. */
const struct scrub_key *scrub_key_of(struct scrub_keys *k, struct slice key,
                                     struct scrub_key *own, struct buf *words);
/* What the words tell of parts of a day (scrub_parts.c). */
void scrub_key_read_part(struct scrub_key *key);
/* The rule whose surrogate moves dates; UINT32_MAX: none acts. */
uint32_t scrub_date_rule(const struct scrub_rules *r);
/* The days that an object's members are parts of, read once an object: [1] is
 * that of a birth. Zeros but for the first three. */
struct scrub_days {
    const struct json *j;
    json_ref object;
    struct slice key; /* the object's own */
    bool read[2];
    struct slice part[2][PART_DAY + 1]; /* n 0: none; by scrub_date_part */
    struct buf name[2][PART_DAY + 1];   /* words of the keys of those */
    unsigned asked; /* how often for keys that begin alike */
};
void scrub_days_release(struct scrub_days *d);
/* The value is a part of such a day: what it is once that day is moved,
 * appended. number: of JSON. False: there is no such day. */
bool scrub_part_move(struct scrub_worker *w, struct scrub_days *days,
                     const struct scrub_key *key, struct slice value,
                     bool number, struct buf *out);
/* [1984, 7, 23] under such a key of a birth: the numbers that they become,
 * each appended to its own. */
bool scrub_list_move(struct scrub_worker *w, struct slice key,
                     const struct slice list[3], struct buf out[3]);
/* The parts that are about places (scrub_place.c). */
void scrub_place_read(struct slice key, struct scrub_key *out);
bool scrub_speaks_of_property(struct slice key);
/* *around: of the object, 0 until asked for: which keys it has. */
enum scrub_place scrub_place_of(struct scrub_worker *w, const struct json *j,
                                json_ref object, struct slice object_key,
                                const struct scrub_key *key, json_ref value,
                                uint64_t *around);
/* A member whose value is the user's or a tool's, whatever keys it has. */
bool scrub_is_data_key(const struct json *j, json_ref value,
                       const struct scrub_key *key);
bool scrub_is_payload(struct slice t);
/* The payload of the next data: URL from *at on. */
bool scrub_media_next(struct slice t, size_t *at, size_t *start, size_t *end);

/* One look at a record. */
struct scrub_walk {
    struct scrub_worker *w;
    struct err *err;
    bool number; /* the text is a number of JSON */
    bool key;    /* the text is a key of an object, or stands in one */
};
bool scrub_is_number(struct slice v); /* as JSON has them */
/* The value with nines for its digits, appended: what a number may become. */
void scrub_put_nines(struct slice v, struct buf *out);
MUST_CHECK int scrub_push_edit(struct scrub_walk *s, struct scrub_edit e);
/* Edits [from, to) of a text done, appended. */
void scrub_write_edits(const struct scrub_worker *w, struct slice in,
                       size_t from, size_t to, struct buf *out);
/* Edits for all that must go of a text that is JSON or plain; of one that is
 * no JSON. sure: keys of objects are evidence, not text, and only what needs
 * no context is taken out of them. depth: texts around this one. */
MUST_CHECK int scrub_text(struct scrub_walk *s, struct slice text,
                          struct slice key, unsigned depth);
/* A value of the record, before surrogates are drawn. */
void scrub_note_value(struct scrub_worker *w, uint32_t rule,
                      struct slice value);
MUST_CHECK int scrub_plain_text(struct scrub_walk *s, struct slice text,
                                struct slice key, bool sure, unsigned depth);
/* The same for a worker that turns surrogates back. */
MUST_CHECK int scrub_reveal_plain(struct scrub_walk *s, struct slice text);
/* The text whose tokens a "logprobs" value lists, appended. */
void scrub_logprobs_join(const struct json *j, json_ref v, struct buf *out);
/* The surrogate of value, appended; not the value itself, unless it tells
 * nothing. */
void scrub_surrogate(struct scrub_worker *w, const struct scrub_rule *rule,
                     struct slice value, struct buf *out);
/* 1, 2, ...: values of one type in the order in which the record has them. */
unsigned scrub_tag_number(struct scrub_worker *w, const struct scrub_rule *rule,
                          struct slice value);
/* What stands in place of a find, appended. In a number of JSON, which must
 * stay one, digits become nines; in a key, which must not become another's,
 * mask and drop are tags. */
void scrub_act(const struct scrub_walk *s, const struct scrub_rule *rule,
               struct slice value, struct buf *out);
/* True if the value stays, by its type or by the list of what to keep. */
bool scrub_keeps(const struct scrub_worker *w, const struct scrub_rule *rule,
                 struct slice value);
/* Settles actions by type; ERR_INVALID tells what is wrong with them. */
MUST_CHECK int scrub_actions_finish(struct scrub_rules *r, struct err *err);
/* Appends what of the actions belongs to the version. */
void scrub_actions_describe(const struct scrub_rules *r, struct buf *text,
                            bool *tags, bool *masks, bool *drops);
void scrub_spread_add(struct scrub_worker *w, uint32_t rule,
                      struct slice value);
bool scrub_spread_any(const struct scrub_worker *w);
bool scrub_spread_digits(const struct scrub_worker *w);
void scrub_spread_reset(struct scrub_worker *w);
void scrub_spread_release(struct scrub_worker *w);
/* Second look: hits for the values of the first in a text. */
MUST_CHECK int scrub_spread_seek(struct scrub_search *s, bool literal_only);

#endif
