/*
 * curate_report.h - what can be shown about examples that were scrubbed
 *
 * Part of curate/curate.h. The calls of all kept examples are scrubbed again,
 * in memory, to know what was replaced; each value is then sought in every
 * example. No value leaves memory: what is told are places, types, counts and
 * surrogates. Absence of what no rule knows cannot be shown, and nothing here
 * says so.
 */
#ifndef CURATE_REPORT_H
#define CURATE_REPORT_H

#include "crypto/crypto.h"
#include "scrub/scrub.h"
#include "store/store.h"

#define CURATE_REPORT_SHOWN 100 /* values that survive and are listed */
#define CURATE_QUASI_K 5        /* fewer conversations than this are few */
#define CURATE_CANARIES 200     /* persons, unless told otherwise */
/* Of canaries of one type more than this part surely survives: no pass. */
#define CURATE_CANARIES_LOST .05

struct curate_place {
    int64_t call; /* 0: none */
    char where[120];
};

/* What happened to the values of one type. */
struct curate_report_type {
    const char *type;
    bool kept;               /* all its finds stay, by --action */
    uint64_t pieces, values; /* replaced; different ones among them */
    uint64_t reported;       /* of tier 3: shape only, left as they are */
    uint64_t survivors;      /* pairs of a value and an example */
    uint64_t elsewhere;      /* words that are a value in another conversation*/
    uint64_t too_short;      /* values that nobody can search for */
    uint64_t coincide;       /* surrogates that are a value of another */
    struct curate_place place; /* the first piece */
    char surrogate[64];        /* what stands there now */
};

/* One value; the place is the first. */
struct curate_survivor {
    struct curate_place place;
    int64_t example;
    uint64_t examples; /* that have it */
    const char *type;
    char form[48];
};

/* Wilson's interval at 95 %. */
struct curate_canary {
    const char *name;
    bool kept; /* the settings ask for it: by --action, or without names */
    uint64_t planted, survived;
    double low, high;
};

enum { CURATE_BY_TYPE, CURATE_BY_POSITION, CURATE_BY_ENCODING };

/* Strings that look like keys or numbers and were left. */
struct curate_rest {
    const char *kind;
    uint64_t strings, values;
    struct {
        struct curate_place place;
        size_t length;
        char hash[9];
    } shown[5];
    size_t shown_count;
};
#define CURATE_RESTS 4

/* One set of attributes, as "age sex zip3". */
struct curate_quasi {
    char attributes[64];
    uint64_t rare, conversations; /* combinations; conversations that have one*/
    uint64_t smallest;
    int64_t call; /* of one of the rarest */
};

enum curate_cover { CURATE_COVERED, CURATE_IN_PART, CURATE_NOT_COVERED };
struct curate_category {
    char letter;
    const char *name, *how;
    enum curate_cover cover;
    uint64_t pieces;
    bool kept; /* some of its types are, by --action */
};
#define CURATE_CATEGORIES 18

struct curate_report_options {
    const struct scrub_rules *rules;
    const struct crypto_key *key;
    unsigned threads, canaries; /* persons */
    const struct progress *progress;
    size_t values_most; /* sought; 0: SCRUB_LEAK_MAX_VALUES */
};

struct curate_report {
    uint64_t examples, same; /* whose bytes are what the rules give today */
    uint64_t changed;        /* are not, and are searched as they are */
    uint64_t gone;           /* their calls are no longer there */
    uint64_t pieces, values, searched;
    uint64_t unsought; /* pieces whose value is none of those sought */
    uint64_t survivors, elsewhere;
    /* In the very conversation, but in other case, or an ordinary word. */
    uint64_t own;
    struct curate_place own_place; /* the first */
    /* Bytes of views that were too deep or too many to be searched. */
    uint64_t unsearched, unsearched_examples;
    struct curate_place unsearched_place; /* the first */
    uint64_t zones; /* places in names of time zones, which stay */
    struct curate_report_type *type;
    size_t types;
    struct curate_survivor *survivor; /* at most CURATE_REPORT_SHOWN */
    size_t survivors_shown;
    struct curate_canary *canary[3]; /* CURATE_BY_... */
    size_t canaries[3];
    struct curate_rest rest[CURATE_RESTS];
    struct curate_quasi *quasi;
    size_t quasis;
    uint64_t limited; /* conversations of which not all is known to each call */
    uint64_t conversations, quasi_conversations; /* all; with attributes */
    struct curate_category category[CURATE_CATEGORIES];
    uint64_t splits[3], groups, straddling, inputs, inputs_straddling;
    uint64_t duplicates, near, retried;     /* dropped */
    uint64_t clusters, clusters_straddling; /* of near duplicates */
};

/* Reads only. The store must have been curated by the same rules and key; what
 * was not shows as changed. */
MUST_CHECK int curate_report_run(struct store *s,
                                 const struct curate_report_options *o,
                                 struct curate_report *r, struct err *err);
/* Is there nothing that speaks against the examples? None at all is no pass. */
bool curate_report_passes(const struct curate_report *r);
/* Does the interval of the canary begin above CURATE_CANARIES_LOST? */
bool curate_canary_lost(const struct curate_canary *c);
void curate_report_release(struct curate_report *r);

#endif
