/*
 * constrain.h - which tokens may come next if a text must keep to a form
 *
 * A form is a JSON schema, a set of labels or a regular expression. Each
 * becomes an automaton over bytes; a state's allowed tokens are found once,
 * by walking the sorted vocabulary, and kept. Every state can reach an end
 * and knows how far that is.
 * May use: base json tokenizer.
 */
#ifndef CONSTRAIN_H
#define CONSTRAIN_H

#include "base/buf.h"
#include "base/err.h"
#include "json/json.h"
#include "tokenizer/tokenizer.h"

#define CONSTRAIN_MAX_TEXT ((size_t)1 << 20) /* bytes of a form */
#define CONSTRAIN_MAX_NODES 400000u /* of the nondeterministic automaton */
#define CONSTRAIN_MAX_STATES 60000u /* of the deterministic one, as used */
#define CONSTRAIN_MAX_REPEAT 2000   /* {m,n}, lengths, numbers of items */
#define CONSTRAIN_MAX_DEPTH 64      /* groups, schemas in schemas */
#define CONSTRAIN_FREE_ORDER 4      /* members that may come in any order */
#define CONSTRAIN_ANY_DEPTH 4       /* of values without a schema */
#define CONSTRAIN_DOCUMENT_DEPTH 8  /* of documents without one */
#define CONSTRAIN_MASK_BYTES ((size_t)64 << 20)  /* kept masks together */
#define CONSTRAIN_STATE_BYTES ((size_t)64 << 20) /* states, without masks */

/* The bytes of every token, in order. Special tokens are not part of a text;
 * a form may have them where it says so (constrain_put_mark).
 * The tokenizer may go once this is made. */
struct constrain_vocab;
MUST_CHECK int constrain_vocab_new(const struct tokenizer *t,
                                   struct constrain_vocab **out,
                                   struct err *err);
void constrain_vocab_free(struct constrain_vocab *v); /* NULL is fine */

/* Borrows the vocabulary. Not for two threads at once. */
struct constrain;

/* Keywords: type, enum, const, properties, required, additionalProperties,
 * minProperties and maxProperties (where there are few named members), items,
 * prefixItems, minItems, maxItems, minLength, maxLength, pattern (found
 * anywhere, as the drafts have it), format (dates and times, duration, email,
 * hostname, ipv4, ipv6, uri, uuid), minimum, maximum and the exclusive ones,
 * anyOf, allOf, oneOf where types, literals or members tell its choices apart,
 * $ref into the same schema. Notes such as title, description and default, and
 * names that begin with "x-", are passed over; any other keyword is refused by
 * name (ERR_UNSUPPORTED). What is written fits, but not all that fits is
 * written: where additionalProperties is absent or true there are no members
 * but the named ones; a schema in itself comes three times at most; lengths end
 * at CONSTRAIN_MAX_REPEAT; numbers have at most 15 digits, and no exponent
 * where they have bounds. Of enum and const those values are taken that fit all
 * that stands beside them. Up to CONSTRAIN_FREE_ORDER members come in any
 * order, more, or many levels of them, in the schema's or that of their names.
 * White space: none, a blank or a line break with up to 16 blanks where JSON
 * allows it. */
MUST_CHECK int constrain_schema(const struct constrain_vocab *v,
                                struct slice schema, struct constrain **out,
                                struct err *err);
/* One of the labels, exactly. */
MUST_CHECK int constrain_labels(const struct constrain_vocab *v,
                                const struct slice *labels, size_t count,
                                struct constrain **out, struct err *err);
/* The whole text matches: characters, ".", classes with ranges and \d \w \s
 * \D \W \S (ASCII), groups, "|", and "* + ? {m} {m,} {m,n}". Anything else is
 * refused by name. */
MUST_CHECK int constrain_regex(const struct constrain_vocab *v,
                               struct slice regex, struct constrain **out,
                               struct err *err);
void constrain_free(struct constrain *c); /* NULL is fine */

/* Forms made of parts. A part begins at a place, and is returned as the place
 * where it ends; several parts may begin at one place, and jumps join them.
 * A failure (a limit) shows at the end, which frees the builder. */
typedef uint32_t constrain_place;
struct constrain_builder;
struct constrain_builder *constrain_builder_new(const struct constrain_vocab *v,
                                                struct err *err,
                                                constrain_place *start);
MUST_CHECK int constrain_builder_end(struct constrain_builder *b,
                                     constrain_place final,
                                     struct constrain **out);
constrain_place constrain_put_place(struct constrain_builder *b);
void constrain_put_jump(struct constrain_builder *b, constrain_place from,
                        constrain_place to);
constrain_place constrain_put_text(struct constrain_builder *b,
                                   constrain_place from, struct slice text);
constrain_place constrain_put_regex(struct constrain_builder *b,
                                    constrain_place from, const char *regex);
/* White space as in a schema's texts. */
constrain_place constrain_put_white(struct constrain_builder *b,
                                    constrain_place from);
/* The text, spelled out or as the special token that is written so. */
constrain_place constrain_put_mark(struct constrain_builder *b,
                                   constrain_place from, struct slice text);
/* Any bytes up to and with the first mark, where the result is; *end: before
 * there is one. */
constrain_place constrain_put_until(struct constrain_builder *b,
                                    constrain_place from, struct slice mark,
                                    constrain_place *end);
/* Any bytes that, white space at their start apart, do not begin with one of
 * these prefixes, whose first bytes differ and are no white space. */
constrain_place constrain_put_unlike(struct constrain_builder *b,
                                     constrain_place from,
                                     const char *const *prefixes, size_t count);
/* As constrain_schema, but nothing is refused: keywords that are not known are
 * passed over, and where type, properties or items are missing any value fits
 * that is nested at most CONSTRAIN_ANY_DEPTH deep. */
constrain_place constrain_put_schema(struct constrain_builder *b,
                                     constrain_place from, const struct json *j,
                                     json_ref schema);
/* As constrain_schema; what it refuses, constrain_builder_end does. */
constrain_place constrain_put_strict(struct constrain_builder *b,
                                     constrain_place from, const struct json *j,
                                     json_ref schema);
/* Any JSON object or, unless objects alone may be, array; depth, at most
 * CONSTRAIN_DOCUMENT_DEPTH, counts values in values. */
constrain_place constrain_put_document(struct constrain_builder *b,
                                       constrain_place from, unsigned depth,
                                       bool objects);

/* States are numbers; the first is 0. mask: bit i of word i / 64 for id i, of
 * vocabulary words; NULL: the automaton grew over its limit. Valid until the
 * next call. */
const uint64_t *constrain_mask(struct constrain *c, int64_t state);
size_t constrain_size(const struct constrain *c); /* ids that a mask covers */
/* The text so far is complete. */
bool constrain_is_end(const struct constrain *c, int64_t state);
/* Bytes of the shortest rest of the text, a special token counting as one; 0
 * where it is complete. A caller that runs out of tokens asks for nothing but
 * tokens whose states' rests still fit. */
size_t constrain_rest(const struct constrain *c, int64_t state);
size_t constrain_longest_rest(const struct constrain *c); /* of all states */
/* The state after a token; negative: the token is not allowed. */
int64_t constrain_step(struct constrain *c, int64_t state, int32_t id);

/* An automaton grows with the texts that it sees, and never shrinks. Worn: half
 * of a limit of its states is used up, so that texts that begin now should get
 * one made anew. Bytes: what it holds, the graph too. Both from any thread,
 * while another one uses it. */
bool constrain_is_worn(const struct constrain *c);
size_t constrain_bytes(const struct constrain *c);

#endif
