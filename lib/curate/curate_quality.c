/*
 * curate_quality.c - answers that nobody should learn from
 *
 * Each filter looks for one fault that is known from logs of language models
 * and says nothing about the rest. Where a fault can be the right answer (a
 * table repeats itself, a translation is in another language), the filter asks
 * for more, or is off by default. Rules for web pages are no rules for agents:
 * there is no least length.
 */
#include "curate/curate_priv.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#define LONG_BYTES ((size_t)64 << 10)
#define REFUSAL_BYTES 80
#define BARE 4          /* phrases that need no negation */
#define PROSE_WORDS 100 /* before repetition is looked for */
#define PROSE_LINES 10  /* the same, of lines */
/* Of lines, and of 10-word runs; .3 and .1 for web pages (Rae et al. 2021), but
 * agents list things. */
#define REPEATED_SHARE .5
#define RUN_WORDS 10
#define LANGUAGE_LETTERS 24 /* before a script counts */
#define LANGUAGE_WORDS 5    /* the same, of common words of a language */
#define LANGUAGE_WORD_MAX 8 /* bytes of the longest of them */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static const char *find(struct slice text, const char *what)
{
    return text.n ? memmem(text.p, text.n, what, strlen(what)) : NULL;
}

static struct slice after(struct slice text, const char *p)
{
    return (struct slice){ p, text.n - (size_t)(p - text.p) };
}

/* Bytes that a cut left of a character, and that the request did not have. */
static bool is_broken(const struct curate_answer *a)
{
    return a->broken ||
           (find(a->text, REPLACEMENT) && !find(a->request, REPLACEMENT) &&
            !find(a->request, "\\ufffd") && !find(a->request, "\\uFFFD"));
}

/* A thought without an end, or with nothing after it. */
static bool is_thought_only(const struct curate_answer *a)
{
    const char *begin = find(a->text, "<think>"), *end = NULL;
    struct slice rest = a->text;

    for (const char *p = find(rest, "</think>"); p;
         p = find(rest, "</think>")) {
        end = p + strlen("</think>");
        rest = after(a->text, end);
    }
    if (find(rest, "<think>"))
        return true;
    return begin && end && !a->calls && slice_trim(rest).n == 0;
}

/* \boxed without an end, or with nothing in it. */
static bool is_box_malformed(const struct curate_answer *a)
{
    struct slice rest = a->text;

    for (const char *p = find(rest, "\\boxed{"); p;
         p = find(rest, "\\boxed{")) {
        size_t depth = 1, i;

        rest = after(a->text, p + strlen("\\boxed{"));
        for (i = 0; i < rest.n && depth; i++) {
            if (rest.p[i] == '\\')
                i++;
            else if (rest.p[i] == '{')
                depth++;
            else if (rest.p[i] == '}')
                depth--;
        }
        if (depth || slice_trim((struct slice){ rest.p, i - 1 }).n == 0)
            return true;
    }
    return false;
}

/* The same in other languages, as a whole sentence that says not to what;
 * letters beyond ASCII in their own case. */
static bool declines_abroad(const char *head)
{
    static const char *const begin[] = {
        "unfortunately", "sorry",       "i'm ",       "i am ",   "i can",
        "ich ",          "leider",      "es tut mir", "tut mir", "lo siento",
        "lamento",       "no puedo",    "je suis d",  "désol",   "je ne ",
        "mi dispiace",   "non posso",   "het spijt",  "sorry, ", "desculpe",
        "lamento, ",     "sinto muito", "申し訳",     "抱歉",    "对不起",
        "很抱歉",
    };
    static const char *const end[] = {
        "unable to help with this.",
        "unable to help with that.",
        "can't do that.",
        "cannot do that.",
        "not able to discuss that topic.",
        "can't help with this.",
        "can't discuss that.",
        "dabei leider nicht helfen.",
        "dabei nicht helfen.",
        "das leider nicht tun.",
        "no puedo ayudarte con eso.",
        "no puedo ayudarle con eso.",
        "no puedo ayudar con eso.",
        "pas vous aider avec cela.",
        "pas vous aider avec ça.",
        "pas t'aider avec ça.",
        "non posso aiutarti con questo.",
        "non posso aiutarla con questo.",
        "niet mee helpen.",
        "não posso ajudar com isso.",
        "お手伝いできません。",
        "无法协助处理该请求。",
        "无法帮助您处理该请求。",
    };
    size_t n = strlen(head);
    bool own = false;

    for (size_t i = 0; i < sizeof(begin) / sizeof(*begin); i++)
        own = own || strncmp(head, begin[i], strlen(begin[i])) == 0;
    for (size_t i = 0; own && i < sizeof(end) / sizeof(*end); i++) {
        size_t m = strlen(end[i]);

        if (n >= m && strcmp(head + n - m, end[i]) == 0)
            return true;
    }
    return false;
}

static bool declines(const char *head)
{
    return strstr(head, "can't") || strstr(head, "cannot") ||
           strstr(head, "unable to") || strstr(head, "not able to") ||
           strstr(head, "won't");
}

/* A sentence of the one who answers that declines without a word of what; head
 * is in lower case. */
static bool declines_only(const char *head)
{
    static const char *const begin[] = { "i'm ",         "i am ",
                                         "i can",        "i won't",
                                         "sorry",        "es tut mir leid",
                                         "tut mir leid", "leider" };
    static const char *const end[] = {
        "provide that information",
        "provide this information",
        "do that for you",
        "help you with that",
        "help with that",
        "answer that question",
        "dabei kann ich nicht helfen",
        "dabei kann ich ihnen nicht helfen",
        "dabei kann ich dir nicht helfen",
        "dabei nicht helfen",
    };
    bool own = false;

    for (size_t i = 0; i < sizeof(begin) / sizeof(*begin); i++)
        own = own || strncmp(head, begin[i], strlen(begin[i])) == 0;
    for (size_t i = 0; own && i < sizeof(end) / sizeof(*end); i++) {
        const char *at = strstr(head, end[i]), *from = at;
        char said[REFUSAL_BYTES + 1] = "";

        if (!at || !strchr(".!", at[strlen(end[i])]))
            continue;
        while (from > head && !strchr(".!", from[-1]))
            from--;
        memcpy(said, from, (size_t)(at - from));
        if (declines(said) || strstr(end[i], "nicht"))
            return true;
    }
    return false;
}

/* The boilerplate of a model that declines, at the beginning of an answer that
 * calls nothing. An agent that says no by its rules says to what. */
static bool is_refusal(const struct curate_answer *a)
{
    static const char *const phrases[] = {
        "as an ai language model",  "as an ai assistant, i can",
        "as an ai model",           "as a language model",
        "assist with that",         "assist you with that",
        "assist with this request", "assist with your request",
        "help with that request",   "help you with that request",
        "comply with that",         "comply with this",
        "comply with your",         "fulfill that request",
        "fulfill this request",     "fulfill your request",
    };
    char head[REFUSAL_BYTES + 1];
    struct slice text = slice_trim(a->text);
    size_t n = 0;

    for (size_t i = 0; i < text.n && n < REFUSAL_BYTES; i++) {
        if (text.n - i >= 3 && memcmp(text.p + i, "\xe2\x80\x99", 3) == 0) {
            head[n++] = '\'';
            i += 2;
        } else {
            char c = text.p[i];

            head[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        }
    }
    head[n] = '\0';
    for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++)
        if (strstr(head, phrases[i]))
            return !a->calls && (i < BARE || declines(head));
    return !a->calls && (declines_only(head) ||
                         (text.n <= REFUSAL_BYTES && declines_abroad(head)));
}

/* Bytes of the next word; 0: there is none. *at is where it begins. */
static size_t next_word(struct slice text, size_t *at)
{
    size_t i = *at, begin;

    while (i < text.n && (unsigned char)text.p[i] <= ' ')
        i++;
    begin = i;
    while (i < text.n && (unsigned char)text.p[i] > ' ')
        i++;
    *at = begin;
    return i - begin;
}

static bool lines_repeat(struct slice text)
{
    struct map *seen = map_new();
    size_t lines = 0, again = 0;

    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        struct slice line = slice_trim((struct slice){ text.p, n });
        bool added = true;

        if (line.n > 8) { /* "}" and "| --- |" may come again */
            (void)map_put(seen, line.p, line.n, &added);
            lines++;
        }
        again += !added;
        text.p += n + (nl != NULL);
        text.n -= n + (nl != NULL);
    }
    map_free(seen);
    return lines >= PROSE_LINES &&
           (double)again > REPEATED_SHARE * (double)lines;
}

/* Runs of ten words that stood before. */
static bool runs_repeat(struct slice text)
{
    struct map *seen = map_new();
    size_t start[RUN_WORDS], words = 0, again = 0, at = 0, n;

    while ((n = next_word(text, &at)) > 0) {
        start[words++ % RUN_WORDS] = at;
        at += n;
        if (words >= RUN_WORDS) {
            size_t from = start[words % RUN_WORDS];
            bool added;

            (void)map_put(seen, text.p + from, at - from, &added);
            again += !added;
        }
    }
    map_free(seen);
    return words >= PROSE_WORDS &&
           (double)again > REPEATED_SHARE * (double)words;
}

/* Prose only: JSON and code repeat themselves by right. */
static bool is_repetitive(const struct curate_answer *a)
{
    struct slice text = slice_trim(a->text);

    if (text.n < PROSE_WORDS || *text.p == '{' || *text.p == '[' ||
        *text.p == '<' || find(text, "```"))
        return false;
    return lines_repeat(text) || runs_repeat(text);
}

enum script {
    LATIN,
    GREEK,
    CYRILLIC,
    HEBREW,
    ARABIC,
    INDIC,
    THAI,
    HAN,
    HANGUL
};
#define SCRIPTS 9

static int script_of(int32_t c)
{
    static const struct {
        int32_t from, to;
        enum script script;
    } table[] = {
        { 'A', 'Z', LATIN },        { 'a', 'z', LATIN },
        { 0xc0, 0x24f, LATIN },     { 0x370, 0x3ff, GREEK },
        { 0x400, 0x52f, CYRILLIC }, { 0x590, 0x5ff, HEBREW },
        { 0x600, 0x6ff, ARABIC },   { 0x900, 0xdff, INDIC },
        { 0xe00, 0xe7f, THAI },     { 0x3040, 0x30ff, HAN },
        { 0x3400, 0x9fff, HAN },    { 0xac00, 0xd7a3, HANGUL },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (c >= table[i].from && c <= table[i].to)
            return (int)table[i].script;
    return -1;
}

/* The script of most letters; -1: too few to say. */
static int main_script(struct slice text)
{
    size_t count[SCRIPTS] = { 0 }, all = 0;
    int best = 0;

    for (size_t i = 0, used; i < text.n; i += used) {
        int s = script_of(utf8_decode(text.p + i, text.n - i, &used));

        if (s >= 0) {
            size_t weight = s == HAN || s == HANGUL ? 3 : 1; /* words, nearly */

            count[s] += weight;
            all += weight;
        }
    }
    for (int s = 1; s < SCRIPTS; s++)
        if (count[s] > count[best])
            best = s;
    return all >= LANGUAGE_LETTERS && count[best] * 3 >= all * 2 ? best : -1;
}

/* Languages by their commonest words; some have several. */
static const char *const languages[] = {
    " the and of is you with that this are it to for be have not what can will "
    "your i do how please which was from my should on an they would there ",
    " der die das und nicht ist ein eine einen mit ich den zu auf für von wie "
    "wir sie es auch wird mir diese dieser bitte sein haben habe kann dem des "
    "im bei oder wenn aber noch ",
    " le les la et est pas une un dans vous pour des du que qui je il sur mon "
    "ma mes votre avec ce cette sont au aux ne se nous comment de en plus ",
    " el los la y una un por del las su muy pero que en es para con no lo se "
    "mi "
    "como más está qué cómo puedo tengo me al de ",
    " il di che non sono della gli anche nel ma per una un è con mi del le si "
    "come alla posso ho dei ed più questo quando la ",
    " de het een niet van zijn voor ik maar dat en is op te met je mijn wat "
    "hoe "
    "kan aan bij ook naar er heb ",
    " o os uma um para com por mais ao em do da dos não que meu minha se como "
    "é "
    "você está na no de ",
};
#define LANGUAGES (sizeof(languages) / sizeof(*languages))

static bool has_word(const char *list, const char *word, size_t n)
{
    char sought[LANGUAGE_WORD_MAX + 3];

    if (n > LANGUAGE_WORD_MAX)
        return false;
    sought[0] = ' ';
    for (size_t i = 0; i < n; i++)
        sought[i + 1] =
            word[i] >= 'A' && word[i] <= 'Z' ? (char)(word[i] | 0x20) : word[i];
    sought[n + 1] = ' ';
    sought[n + 2] = '\0';
    return strstr(list, sought);
}

/* -1: too few words to say, or of another language nearly as many. */
static int main_language(struct slice text)
{
    size_t hits[LANGUAGES] = { 0 }, at = 0, n, best = 0, next = 0;

    while ((n = next_word(text, &at)) > 0) {
        for (size_t l = 0; l < LANGUAGES; l++)
            hits[l] += has_word(languages[l], text.p + at, n);
        at += n;
    }
    for (size_t l = 1; l < LANGUAGES; l++)
        if (hits[l] > hits[best])
            best = l;
    for (size_t l = 0; l < LANGUAGES; l++)
        if (l != best && hits[l] > next)
            next = hits[l];
    return hits[best] >= LANGUAGE_WORDS && 2 * hits[best] >= 3 * next + 3
               ? (int)best
               : -1;
}

static bool is_foreign(const struct curate_answer *a)
{
    int asked = main_script(a->asked), got = main_script(a->text);

    if (asked < 0 || got < 0)
        return false;
    if (asked != got || asked != LATIN)
        return asked != got;
    asked = main_language(a->asked);
    got = main_language(a->text);
    return asked >= 0 && got >= 0 && asked != got;
}

static bool is_long(const struct curate_answer *a)
{
    return a->text.n > LONG_BYTES;
}

enum curate_reason curate_judge_quality(const struct curate_answer *a,
                                        uint64_t filters)
{
    static const struct {
        enum curate_reason reason;
        bool (*holds)(const struct curate_answer *a);
    } table[] = {
        { CURATE_BROKEN_TEXT, is_broken },
        { CURATE_THOUGHT, is_thought_only },
        { CURATE_BOXED, is_box_malformed },
        { CURATE_REFUSAL, is_refusal },
        { CURATE_LONG, is_long },
        { CURATE_REPETITIVE, is_repetitive },
        { CURATE_LANGUAGE, is_foreign },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (filters >> table[i].reason & 1 && table[i].holds(a))
            return table[i].reason;
    return CURATE_KEPT;
}
