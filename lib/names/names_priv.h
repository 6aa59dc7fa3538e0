/*
 * names_priv.h - what the files of lib/names and the tool that makes its data
 * (data/names/) share
 *
 * Words are compared folded: lower case, without accents. The list of words is
 * a table of hashes, not of words: small, and nothing to load. Nothing else may
 * include this file.
 */
#ifndef NAMES_PRIV_H
#define NAMES_PRIV_H

#include "names/names.h"

/* What the lists say about a word, or about a phrase of words. */
enum {
    W_FEMALE = 1 << 0, /* first names that are frequent somewhere */
    W_MALE = 1 << 1,
    W_FIRST = 1 << 2, /* any first name */
    W_LAST = 1 << 3,  /* any surname */
    W_POPULAR = 1 << 4,
    W_COMMON = 1 << 5, /* English words, the frequent half */
    W_KNOWN = 1 << 6,  /* the other half */
    W_CITY = 1 << 7,
    W_REGION = 1 << 8,    /* countries and states */
    W_CONTINENT = 1 << 9, /* too large to tell anything */
    W_NATION = 1 << 10,
    W_ORG = 1 << 11, /* the last word of organisations */
    W_TITLE = 1 << 12,
    W_CALENDAR = 1 << 13,
    W_TECH = 1 << 14,   /* products and companies that are nobody */
    W_PHRASE = 1 << 15, /* the first word of places of several words */
    /* The tagger does not ask for these: */
    W_FOREIGN = 1 << 16, /* a common word of another language than English */
    W_SMALL = 1 << 17,   /* its function words */
};
#define W_TAGGER 0xFFFFu
#define W_NAME (W_FEMALE | W_MALE | W_FIRST | W_LAST)
#define W_GIVEN (W_FEMALE | W_MALE | W_FIRST)
#define W_GIVEN_MUCH (W_FEMALE | W_MALE | W_POPULAR)
#define W_PLACE (W_CITY | W_REGION)

#define WORD_MAX 48   /* bytes of a folded word; longer ones are cut */
#define PHRASE_MAX 96 /* bytes of a folded phrase */

/* Folded into out (at most WORD_MAX bytes); returns how many. */
size_t names_fold(struct slice word, char *out);
/* Class of the code point at p: */
enum { CP_OTHER, CP_LOWER, CP_UPPER, CP_LETTER /* of no case */, CP_MARK };
int names_letter(int32_t cp);
uint64_t names_hash(const void *p, size_t n, uint64_t seed);

/* words.bin: "NAMESW2\n", u32 slots, u32 sets, u32 set[sets], then slots of 3
 * bytes: 14 bits of hash, 10 bits of set + 1; 0 is free. Linear probing. */
#define WORDS_MAGIC "NAMESW2\n"
#define WORDS_SETS 1023
/* Words that say something about what stands beside them. */
enum {
    CUE_HONORIFIC = 1 << 0, /* "Mr" */
    CUE_LABEL = 1 << 1,     /* "Passenger" before a colon */
    CUE_PARTICLE = 1 << 2,  /* "van" inside a name */
    CUE_LINK = 1 << 3,      /* "of" inside an organisation */
    CUE_CLOSING = 1 << 4,   /* "regards" */
    CUE_OPENING = 1 << 5,   /* "dear" */
    CUE_SELF = 1 << 6,      /* "my": the text is somebody's own */
    CUE_NAME = 1 << 7,      /* the word itself, and so on */
    CUE_IS = 1 << 8,
    CUE_CALL = 1 << 9,
    CUE_ME = 1 << 10,
    CUE_AM = 1 << 11,
    CUE_I = 1 << 12,
    CUE_THIS = 1 << 13,
    CUE_MY = 1 << 14,
    CUE_NAMED = 1 << 15,
    CUE_NAMED_SO = 1 << 16, /* "heisse": the name follows */
    CUE_A = 1 << 17,
    CUE_LEGAL = 1 << 18,    /* "Inc" behind a company */
    CUE_PART = 1 << 19,     /* "last" before "name" */
    CUE_STATE = 1 << 22,    /* of the United States, behind a town */
    CUE_AREA = 1 << 23,     /* "district" behind its name */
    CUE_NAMESAKE = 1 << 24, /* "Act", with its capital, behind its authors */
    CUE_BUILT = 1 << 25,    /* "Airport" */
    CUE_NOTION = 1 << 21,   /* "theorem" behind whoever found it */
    CUE_OR = 1 << 28,       /* between the last two of a list */
    CUE_VERB = 1 << 29,     /* "Mark", where it asks for something */
    CUE_OBJECT = 1 << 30,   /* "the", behind it */
    CUE_CHOICE = 1 << 27,   /* "labels", before what one is to choose from */
    CUE_MISTER = 1 << 26,   /* "signora": before names without a capital, too */
    CUE_NEVER = 1 << 20,    /* labels and verbs that some list has for a name */
};
#define CUE_SLOTS 1024
struct names_cue {
    uint64_t hash;
    uint32_t cues;
};
#define TURNS_MAX 160
/* A line of the cache. */
#define WORDS_BLOCK 16
struct names_block {
    uint16_t print[WORDS_BLOCK]; /* of slots; 0: free */
    uint16_t set[WORDS_BLOCK];   /* plus one */
};
struct names_words {
    struct names_cue cue[CUE_SLOTS];
    uint64_t turn_pairs[65536 / 64]; /* bytes that turns are known by */
    struct {
        uint16_t pair[2]; /* in either case */
        uint8_t anchor, n;
    } turn[TURNS_MAX];
    uint32_t slots, sets;
    uint32_t set[WORDS_SETS];
    struct names_block *block;
};
MUST_CHECK int names_words_open(struct slice file, struct names_words *out,
                                struct err *err);
void names_words_close(struct names_words *w);
/* Flags of a folded word or phrase; 0: no list has it. */
unsigned names_words_get(const struct names_words *w, const char *folded,
                         size_t n);
/* The same in two steps: the list is larger than caches, and what the first
 * one asks memory for is there when the second one comes later. */
uint64_t names_words_key(const struct names_words *w, const char *folded,
                         size_t n);
unsigned names_words_find(const struct names_words *w, uint64_t key);

void names_cues_fill(struct names_words *w);
/* Cues of a folded word's hash. */
uint32_t names_cues(const struct names_words *w, uint64_t hash);

/* What follows from a word alone; see names_fact.c. */
enum {
    FACT_CUES = 1 << 0, /* and its hash */
    FACT_KEY = 1 << 1,
    FACT_LISTS = 1 << 2,
    FACT_ENDS = 1 << 3, /* suffixes and prefix */
};
#define FACTS_BITS 10
struct names_fact {
    uint64_t word[2]; /* its bytes */
    uint64_t hash, key;
    uint32_t suffix[3], prefix;
    uint32_t cues, lists;
    uint8_t has;
};
/* The slot of the word, which is its own now; NULL: it is too long for one, or
 * there are no slots (1 << FACTS_BITS of them, zeroed at first). */
struct names_fact *names_fact_at(struct names_fact *facts, struct slice word);
/* Makes sure of the facts wanted, all but FACT_LISTS. */
void names_fact_read(struct names_fact *f, const struct names_words *words,
                     struct slice word, unsigned wanted);
unsigned names_fact_lists(struct names_fact *f, const struct names_words *words,
                          struct slice word);

enum names_script {
    SCRIPT_ASCII,
    SCRIPT_LATIN,
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_ARABIC,
    SCRIPT_HEBREW,
    SCRIPT_HAN,
    SCRIPT_HANGUL,
    SCRIPT_ARMENIAN,
    SCRIPT_GEORGIAN,
    SCRIPT_KHMER,
    SCRIPTS,
};
#define DRAW_LISTS (NAMES_LIST_ORGANIZATION + 1)
struct names_draws {
    struct slice *item;
    char *initial;   /* of each, lower case; NUL: of several words, or short */
    uint32_t *order; /* items by their initial */
    size_t from[27]; /* in it, of each letter, and where the last one ends */
    size_t count;
};

/* How a token looks. */
enum names_shape {
    SHAPE_LOWER,
    SHAPE_CAP,    /* Word */
    SHAPE_UPPER,  /* WORD */
    SHAPE_LETTER, /* W */
    SHAPE_MIXED,  /* McWord, O'Word */
    SHAPE_ODD,    /* wordWord, word_word, word(, @word: not prose */
    SHAPE_NUMBER,
    SHAPE_PUNCT,
    SHAPE_LETTERS, /* of a script without case */
    SHAPE_EDGE,    /* before the first, after the last token */
};

enum names_tag {
    TAG_O,
    TAG_B_PERSON,
    TAG_I_PERSON,
    TAG_B_PLACE,
    TAG_I_PLACE,
    TAG_B_ORGANIZATION,
    TAG_I_ORGANIZATION,
    TAGS,
};

struct names_token {
    size_t start, end;
    uint64_t hash; /* of the folded word; of a number: of its length */
    uint64_t key;  /* where lists have it; not asked, or known: 0 */
    uint32_t suffix[3], prefix;
    uint32_t cues;
    uint32_t lists;
    uint16_t fact; /* slot that waits for the lists, plus one */
    uint8_t shape;
    char sign;     /* of an ASCII one */
    uint8_t gap;   /* what stands before: 0 nothing, 1 blanks, 2 a new line
                    * or column */
    bool joined;   /* by a hyphen */
    uint8_t first; /* of a sentence */
    uint8_t place; /* of a place of several words: 1 begins, 2 goes on */
    uint8_t candidate;
    uint8_t tag;
    uint8_t sure;
    int16_t margin; /* of the tag over O */
};
struct names_tokens {
    struct names_token *item;
    size_t count, cap;
    struct names_fact *facts; /* of a worker; may be NULL */
    bool lower;               /* no capital in it */
    bool brief;               /* without what only the tagger asks */
};

#define TOKENS_MARGIN 3 /* edge tokens on both sides of item[0 ... count) */
/* Tokens of text[from, to), both ends between words. */
void names_tokens_read(struct names_tokens *t, const struct names_words *words,
                       struct slice text, size_t from, size_t to);
/* Single tokens without their neighbours: begin, add each (its end is
 * returned), end, which says what lists have. */
void names_tokens_begin(struct names_tokens *t);
size_t names_tokens_add(struct names_tokens *t, const struct names_words *words,
                        struct slice text, size_t at, size_t to);
void names_tokens_end(struct names_tokens *t, const struct names_words *words,
                      struct slice text);
void names_tokens_release(struct names_tokens *t);
/* Marks the tokens that may be part of a name. */
void names_candidates(struct names_tokens *t);
bool names_is_capital(const struct names_token *t);
/* Could be more than the word that it is in other texts. */
bool names_is_interesting(const struct names_token *t);

/* weights.bin: "NAMESP1\n", then TAG_ROWS rows of 8 signed bytes, one for
 * each tag; a feature is a row. */
#define WEIGHTS_MAGIC "NAMESP1\n"
#define TAG_ROWS (1u << 16)
#define TAG_ROW 8
#define TAG_FEATURES 30
/* Rows of the features of token i, whose two predecessors have their tags. */
void names_features(const struct names_tokens *t, size_t i,
                    uint32_t row[TAG_FEATURES]);
/* Whether a token whose predecessor has its tag may have this one. */
bool names_may_be(const struct names_token *k, unsigned tag);
/* Tags of the candidates; `weights` as in the file, without its magic. */
void names_tag(struct names_tokens *t, const signed char *weights);

/* Marks what forms of address, names of fields, turns of phrase and pairs of
 * names say of the tokens: tag and sure. code: only what no code says. */
void names_evidence(struct names_tokens *t, bool code);
/* Marks names without a capital that an introduction says to be names. */
void names_introduced(struct names_tokens *t, const struct names_words *words,
                      struct slice text);
bool names_is_honorific(const struct names_token *t);
/* A common word of some language, and no frequent first name. */
bool names_is_ordinary(const struct names_token *t);

enum names_language {
    LANGUAGE_UNKNOWN, /* not asked yet */
    LANGUAGE_ENGLISH,
    LANGUAGE_ODD,   /* words that no list has */
    LANGUAGE_OTHER, /* common words of another */
};
/* What is spoken in text[from, to) and near it; in doubt English. */
enum names_language names_spoken(const struct names_words *w,
                                 struct names_fact *facts, struct slice text,
                                 size_t from, size_t to);

/* Between the words of a name: "of", signs. */
bool names_is_connecting(const struct names_token *k);
/* Whether something speaks against the name that tokens [from, to) are. */
bool names_refused(const struct names_token *from, const struct names_token *to,
                   enum names_class class);

/* What a JSON key says of its value. */
struct names_key {
    enum names_class class;
    bool strong; /* the value is one, whatever it looks like */
    bool role;   /* of somebody: a surname is enough */
};
bool names_key_class(struct slice key, struct names_key *out);
/* Whether the tokens of a whole value may be what the key says. */
bool names_key_accepts(const struct names_key *k, const struct names_tokens *t,
                       struct slice text);

/* The next value at or behind *at of a field in the text that holds a person's
 * name; *at moves behind its key. */
bool names_field_next(struct names_tokens *t, const struct names_words *words,
                      struct slice text, size_t *at, struct slice *out);

/* How a name is read behind a turn of phrase, or before it. */
enum names_turn_kind {
    TURN_CAPITALS,   /* words with a capital */
    TURN_WORDS,      /* words up to a stop */
    TURN_HAN,        /* a surname and one or two more */
    TURN_JAPANESE,   /* letters up to a tail */
    TURN_HANGUL,     /* two to four syllables before an ending */
    TURN_THAI,       /* letters up to a particle, and a word */
    TURN_HAN_BEFORE, /* forms of address behind the name */
    TURN_JAPANESE_BEFORE,
    TURN_HANGUL_BEFORE,
};
#define TURN_WEAK 16 /* also said of things: more is asked of the name */

struct names_turn {
    uint8_t kind;
    const char *text;
};

/* The longest turn whose first letter that is no ASCII is at i; *end: behind
 * it. NULL: there is none. */
const struct names_turn *names_turn_at(const struct names_words *w,
                                       struct slice t, size_t i, size_t *end);
void names_turns_fill(struct names_words *w);
/* The next name at or behind *at that a turn of phrase of another script
 * introduces; *at moves on. */
bool names_turn_next(const struct names_words *w, struct slice text, size_t *at,
                     struct slice *out);

struct names {
    struct names_words words;
    const signed char *weights;
    struct names_draws draw[DRAW_LISTS][SCRIPTS];
    struct slice *drawn; /* what draw points into */
    char *initials;
    uint32_t *orders;
};

#endif
