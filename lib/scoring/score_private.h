/* score_private.h - what the files of scoring share, and nobody else sees */
#ifndef SCORE_PRIVATE_H
#define SCORE_PRIVATE_H

#include "json/json.h"
#include "scoring/scoring.h"

/* An assistant message, read. */
struct score_view {
    struct json doc;
    struct buf content;
    json_ref calls; /* tool_calls array with members, or JSON_NONE */
    bool readable;
};
void score_view_open(struct score_view *v, struct slice message);
void score_view_close(struct score_view *v);

/* One tool call: its arguments as a document of their own. */
struct score_call {
    char *name;
    struct json arguments;
    struct buf text; /* arguments decoded from their JSON string */
    bool well_formed;
};
struct score_calls {
    struct score_call *list;
    size_t count;
};
#define SCORE_MAX_CALLS 64
/* The first SCORE_MAX_CALLS; false if there are more, or one is malformed. */
bool score_calls_read(struct score_calls *l, const struct score_view *v);
void score_calls_release(struct score_calls *l);
/* Text that looks like a call which was not recognised as one. */
bool score_looks_like_call(const struct score_view *v);
/* BFCL's comparison form, appended: blanks and , . / - _ * ^ removed, lower
 * case, ' as ". */
void score_string_standard(const struct json *j, json_ref v, struct buf *out);
bool score_strings_equal(const struct json *a, json_ref x, const struct json *b,
                         json_ref y);

/* Each sets value, reason, method, valid and what else it knows. */
void score_label_pair(const struct score_view *ref,
                      const struct score_view *got, struct score *out);
void score_json_pair(const struct score_view *ref, const struct score_view *got,
                     struct score *out);
void score_tool_pair(struct slice request, const struct score_view *ref,
                     const struct score_view *got, bool malformed,
                     struct score *out);
void score_sql_pair(struct slice request, const struct score_view *ref,
                    const struct score_view *got, uint64_t seed,
                    struct score *out);

/* The content of ``` fences if the text is one fenced block, else the text,
 * trimmed. */
struct slice score_unfence(struct slice text);

/* SQL text: tokens. */
enum score_token_kind {
    TOKEN_END,
    TOKEN_WORD,   /* identifier or keyword, quotes removed if quoted */
    TOKEN_STRING, /* '...' with '' undone by the reader */
    TOKEN_NUMBER,
    TOKEN_PUNCT, /* one or two characters */
};
struct score_token {
    enum score_token_kind kind;
    bool quoted; /* "x", `x` or [x]: an identifier, or a string for SQLite */
    struct slice text; /* without quotes */
    int depth;         /* parentheses open before it */
};
struct score_tokens {
    struct score_token *list;
    size_t count, cap;
};
#define SCORE_SQL_BYTES 65536 /* longest query that is looked at */
/* Comments and white space are dropped; an unclosed quote ends the text. The
 * last token is TOKEN_END. */
void score_sql_lex(struct slice text, struct score_tokens *out);
void score_tokens_release(struct score_tokens *t);
bool score_token_is(const struct score_token *t, const char *word);
bool score_name_eq(struct slice a, struct slice b); /* ASCII case folded */
/* Canonical text: keywords and names lower case, one blank, strings kept, no
 * final semicolon. */
void score_sql_canonical(struct slice text, struct buf *out);

/* Schemas that stand in a prompt. */
enum score_affinity {
    AFFINITY_UNKNOWN,
    AFFINITY_INTEGER,
    AFFINITY_REAL,
    AFFINITY_TEXT,
};
struct score_column {
    char *name;
    enum score_affinity affinity;
    bool sure;     /* the key is declared, or named after its table */
    bool key;      /* declared or evident primary key */
    size_t domain; /* set by the filler */
};
struct score_schema_table {
    char *name;
    struct score_column *columns;
    size_t count, cap;
    bool declared; /* CREATE TABLE */
};
struct score_schema {
    struct score_schema_table *tables;
    size_t count, cap;
};
#define SCORE_MAX_TABLES 64
#define SCORE_MAX_COLUMNS 128
/* CREATE TABLE statements and lines `table(col, col, ...)`; a table named
 * twice keeps its last definition. */
void score_schema_read(struct slice text, struct score_schema *out);
void score_schema_release(struct score_schema *s);
/* All text of a request's messages, one after another. */
void score_request_text(struct slice request, struct buf *out);

/* Rows for the tables of a schema that hit the literals of two queries.
 * Writes CREATE TABLE and INSERT statements for set number `set`. */
struct score_fill;
struct score_fill *score_fill_new(struct score_schema *schema,
                                  const struct score_tokens *first,
                                  const struct score_tokens *second);
void score_fill_write(struct score_fill *f, unsigned set, uint64_t seed,
                      struct buf *out);
void score_fill_free(struct score_fill *f);

#endif
