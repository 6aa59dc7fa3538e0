/*
 * curate_report_jobs.c - what somebody in a text lives by
 *
 * "a 30-year-old female nurse", "my plumber", "works as a beekeeper": a list of
 * occupations behind an article and words that tell age, sex and rank, or
 * whatever follows "works as a". No grammar, and no guess from one word alone.
 */
#include "curate/curate_report_priv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define QUALIFIERS_MAX 6 /* between the article and the occupation */
#define WORDS_MAX 3      /* of one that no list has */
#define WORD_MIN 4

/* Sorted. */
static const char *const jobs[] = {
    "accountant",   "actor",        "actress",
    "actuary",      "anesthetist",  "apprentice",
    "architect",    "astronaut",    "astronomer",
    "attorney",     "auditor",      "author",
    "baker",        "banker",       "barber",
    "barista",      "barrister",    "bartender",
    "beekeeper",    "biologist",    "blacksmith",
    "bookkeeper",   "bricklayer",   "builder",
    "butcher",      "cardiologist", "caretaker",
    "carpenter",    "cashier",      "chef",
    "chemist",      "chiropractor", "cleaner",
    "clerk",        "cobbler",      "comedian",
    "composer",     "conductor",    "contractor",
    "cook",         "councillor",   "courier",
    "dancer",       "dentist",      "dermatologist",
    "designer",     "detective",    "developer",
    "dietitian",    "diplomat",     "diver",
    "doctor",       "driver",       "economist",
    "editor",       "electrician",  "engineer",
    "farmer",       "firefighter",  "fisherman",
    "florist",      "gardener",     "geologist",
    "goldsmith",    "governor",     "hairdresser",
    "historian",    "housekeeper",  "imam",
    "interpreter",  "janitor",      "jeweller",
    "jockey",       "journalist",   "judge",
    "lawyer",       "lecturer",     "librarian",
    "lifeguard",    "locksmith",    "lumberjack",
    "magician",     "masseur",      "mathematician",
    "mayor",        "mechanic",     "midwife",
    "miner",        "minister",     "musician",
    "nanny",        "neurologist",  "notary",
    "nun",          "nurse",        "nutritionist",
    "optician",     "orderly",      "organist",
    "orthodontist", "painter",      "paralegal",
    "paramedic",    "pastor",       "pathologist",
    "pediatrician", "pharmacist",   "photographer",
    "physician",    "physicist",    "physiotherapist",
    "pianist",      "pilot",        "plumber",
    "poet",         "policeman",    "policewoman",
    "politician",   "porter",       "postman",
    "potter",       "priest",       "principal",
    "professor",    "programmer",   "prosecutor",
    "psychiatrist", "psychologist", "rabbi",
    "radiologist",  "realtor",      "receptionist",
    "roofer",       "sailor",       "salesman",
    "scientist",    "sculptor",     "seamstress",
    "secretary",    "senator",      "sheriff",
    "shoemaker",    "singer",       "soldier",
    "solicitor",    "statistician", "stonemason",
    "surgeon",      "surveyor",     "tailor",
    "teacher",      "technician",   "therapist",
    "translator",   "tutor",        "undertaker",
    "veterinarian", "violinist",    "waiter",
    "waitress",     "warden",       "watchmaker",
    "welder",       "writer",       "zookeeper",
};

static int compare(const void *word, const void *item)
{
    const struct slice *v = word;
    const char *name = *(const char *const *)item;
    int d = strncasecmp(v->p, name, v->n);

    return d ? d : name[v->n] ? -1 : 0;
}

static bool is_job(struct slice v)
{
    return bsearch(&v, jobs, sizeof(jobs) / sizeof(*jobs), sizeof(*jobs),
                   compare) != NULL;
}

/* The word at `at`, hyphens within; empty: none. */
static struct slice word_at(struct slice t, size_t at)
{
    size_t n = 0;

    while (at + n < t.n && (isalnum((unsigned char)t.p[at + n]) ||
                            (n && t.p[at + n] == '-' && at + n + 1 < t.n &&
                             isalnum((unsigned char)t.p[at + n + 1]))))
        n++;
    return (struct slice){ t.p + at, n };
}

static bool is_in(const char *list, struct slice v)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");

        if (n == v.n && strncasecmp(p, v.p, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static bool qualifies(struct slice v)
{
    return memchr(v.p, '-', v.n) || isdigit((unsigned char)v.p[0]) ||
           is_in("year years old yo male female only young elderly retired "
                 "former senior junior chief head assistant trainee student "
                 "married single divorced widowed pregnant licensed certified "
                 "registered professional freelance unemployed local",
                 v);
}

/* "works as" before the article at `at` */
static bool behind_work(struct slice t, size_t at)
{
    static const char *const all[] = { "work as ",     "works as ",
                                       "worked as ",   "working as ",
                                       "employed as ", "job as " };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        size_t n = strlen(all[i]);

        if (at >= n && strncasecmp(t.p + at - n, all[i], n) == 0 &&
            (at == n || !isalnum((unsigned char)t.p[at - n - 1])))
            return true;
    }
    return false;
}

/* "data scientist" of "data scientist in Leeds" */
static struct slice any_job(struct slice t, size_t at)
{
    struct slice out = { t.p + at, 0 };

    for (unsigned i = 0; i < WORDS_MAX; i++) {
        struct slice v = word_at(t, at);

        if (!v.n || is_in("in at for with and of on near from by to but or "
                          "who since until because",
                          v))
            break;
        out.n = (size_t)(v.p + v.n - out.p);
        at += v.n;
        if (at >= t.n || t.p[at] != ' ')
            break;
        at++;
    }
    if (out.n < WORD_MIN)
        out.n = 0;
    return out;
}

struct slice report_job(struct slice t, size_t at)
{
    struct slice v = word_at(t, at);
    bool worked;

    if (!is_in("a an my the", v))
        return (struct slice){ 0 };
    worked = behind_work(t, at);
    for (unsigned i = 0; i <= QUALIFIERS_MAX; i++) {
        at += v.n;
        if (at >= t.n || t.p[at] != ' ')
            break;
        at++;
        if (i == 0 && v.n == 3 && !is_in("only", word_at(t, at)))
            break; /* "the", of anything */
        v = word_at(t, at);
        if (is_job(v))
            return v;
        if (v.n && qualifies(v))
            continue;
        return worked && v.n ? any_job(t, at) : (struct slice){ 0 };
    }
    return (struct slice){ 0 };
}
