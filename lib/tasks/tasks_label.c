/*
 * tasks_label.c - template texts with {slots}, marking words, slugs
 *
 * The template is cut out of a real prompt: what most members share is kept
 * as it was written, what lies between becomes a slot that is named after the
 * word before its colon.
 */
#include "tasks/tasks_label.h"

#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 300      /* prompts that a label is made from */
#define SHARED 0.8       /* of them, to be part of the template */
#define HALF 0.5         /* of them, to count as repetitive */
#define SYSTEM_SHARE 0.3 /* of them, for one system prompt to name the task */
#define LABEL_MAX 240    /* bytes */
#define SYSTEM_MAX 160
#define TERMS 6
#define SLUG_WORDS 3
#define SLUG_MAX 40

static const char *const stop_words[] = {
    "a",       "about",     "all",    "also",  "an",    "and",     "any",
    "are",     "as",        "at",     "be",    "best",  "between", "but",
    "by",      "can",       "could",  "did",   "do",    "does",    "each",
    "exactly", "following", "for",    "from",  "given", "has",     "have",
    "here",    "how",       "i",      "if",    "in",    "into",    "is",
    "it",      "its",       "know",   "let",   "me",    "my",      "no",
    "not",     "notice",    "now",    "of",    "on",    "one",     "only",
    "or",      "out",       "please", "role",  "s",     "she",     "should",
    "so",      "some",      "t",      "that",  "the",   "their",   "them",
    "there",   "these",     "they",   "this",  "to",    "use",     "want",
    "was",     "we",        "were",   "what",  "when",  "where",   "which",
    "who",     "why",       "will",   "with",  "would", "yes",     "you",
    "your",    "he",        "her",    "his",   "him",   "am",      "been",
    "had",     "than",      "then",   "while",
};

static bool is_stop_word(const char *w, size_t n)
{
    for (size_t i = 0; i < sizeof(stop_words) / sizeof(stop_words[0]); i++)
        if (strlen(stop_words[i]) == n && memcmp(stop_words[i], w, n) == 0)
            return true;
    return false;
}

/* The next word of ASCII letters and digits at or after *at, in lower case;
 * its length, 0 at the end. A word keeps inner hyphens. */
static size_t next_word(const char *s, size_t *at, char word[64])
{
    size_t n = 0;

    while (s[*at] && !isalnum((unsigned char)s[*at])) {
        if (s[*at] == '{' && strcspn(s + *at, "}") < 24) /* a slot */
            *at += strcspn(s + *at, "}");
        else
            ++*at;
    }
    for (; s[*at]; ++*at) {
        unsigned char c = (unsigned char)s[*at];
        bool inner = c == '-' && n && isalnum((unsigned char)s[*at + 1]);
        if (!isalnum(c) && !inner && c != '_')
            break;
        if (n < 63)
            word[n++] = (char)tolower(c);
    }
    word[n] = '\0';
    return n;
}

static bool is_in_slug(const struct buf *slug, const char *word)
{
    const char *at = slug->len ? strstr(slug->data, word) : NULL;

    return at && (at == slug->data || at[-1] == '-');
}

/* The first few words of a text that say something, joined by hyphens; NULL
 * if there are none. */
static char *make_slug(const char *text)
{
    struct buf out = { 0 };
    char word[64];
    size_t at = 0, n, words = 0;

    buf_init(&out, SLUG_MAX);
    while (words < SLUG_WORDS && (n = next_word(text, &at, word))) {
        if (n < 2 || is_stop_word(word, n) || isdigit(word[0]) ||
            is_in_slug(&out, word) || out.len + n + 1 > SLUG_MAX)
            continue;
        for (size_t i = 0; i < n; i++)
            word[i] = word[i] == '_' ? '-' : word[i];
        buf_printf(&out, "%s%s", words++ ? "-" : "", word);
    }
    if (out.len)
        return buf_take(&out, NULL);
    buf_release(&out);
    return NULL;
}

/* White space as single spaces, at most `most` bytes, "..." where cut. */
static void put_collapsed(struct buf *out, const char *text, size_t n,
                          size_t most)
{
    size_t start = out->len;
    bool space = false;

    for (size_t i = 0; i < n; i++) {
        if (isspace((unsigned char)text[i])) {
            space = out->len > start;
            continue;
        }
        if (out->len - start >= most && (text[i] & 0xC0) != 0x80) {
            buf_str(out, "...");
            return;
        }
        if (space)
            buf_char(out, ' ');
        space = false;
        buf_char(out, text[i]);
    }
}

struct word_visit {
    struct map *seen; /* words of this prompt */
    struct map *df;
};

static void each_word(const struct tasks_prompt *p, struct word_visit *v)
{
    char word[64];
    size_t at = 0, n;

    while ((n = next_word(p->user_text, &at, word))) {
        bool added;
        if (n < 3 || is_stop_word(word, n) || isdigit(word[0]))
            continue;
        map_put(v->seen, word, n, &added);
        if (added)
            ++*map_put(v->df, word, n, NULL);
    }
}

static void count_words(const struct tasks_prompt *p, struct map *df)
{
    struct word_visit v = { map_new(), df };

    each_word(p, &v);
    map_free(v.seen);
}

void tasks_words_add(struct tasks_words *w, const struct tasks_prompt *p)
{
    if (!w->df)
        w->df = map_new();
    count_words(p, w->df);
    w->texts++;
}

void tasks_words_release(struct tasks_words *w)
{
    map_free(w->df);
    *w = (struct tasks_words){ 0 };
}

struct term {
    struct slice word;
    double score;
    size_t order;
};

static int compare_terms(const void *a, const void *b)
{
    const struct term *x = a, *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score > y->score ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Words that this task has more often than all together. */
static void put_terms(const struct tasks_prompt *const *p, size_t n,
                      const struct tasks_words *words, struct buf *out)
{
    struct map *df = map_new();
    size_t count;

    for (size_t i = 0; i < n; i++)
        count_words(p[i], df);
    count = map_count(df);
    struct term *t = mem_array(count, sizeof(*t));
    for (size_t i = 0; i < count; i++) {
        struct slice w = map_key(df, i);
        double here = (double)*map_value(df, i) / (double)n;
        const uint64_t *all = words->df ? map_get(words->df, w.p, w.n) : NULL;
        double there =
            ((all ? (double)*all : 0) + 1) / ((double)words->texts + 1);
        t[i] = (struct term){ w, here * log(1 + here / there), i };
    }
    qsort(t, count, sizeof(*t), compare_terms);
    for (size_t i = 0; i < count && i < TERMS; i++) {
        buf_str(out, i ? " " : "");
        buf_add_slice(out, t[i].word);
    }
    free(t);
    map_free(df);
}

/* Tokens of prompt p (from its user message on, or all) that lie in shared
 * shingles; covered: tokens + 2 flags, may be NULL. */
static size_t shared_tokens(const struct tasks_profile *shared,
                            const struct tasks_prompt *p, bool all,
                            bool *covered, size_t *tokens)
{
    size_t n;
    uint64_t *s = tasks_doc_shingles(p, all, &n, tokens);
    bool *known = mem_array(n, 1);

    for (size_t i = 0; i < n; i++)
        known[i] = tasks_profile_has(shared, s[i]);
    size_t found = tasks_cover(known, n, *tokens, covered);
    free(known);
    free(s);
    return found;
}

/* What at least `share` of the members have. */
static void shared_profile(const struct tasks_prompt *const *p, size_t n,
                           bool all, double share, struct tasks_profile *out)
{
    struct tasks_doc *doc = mem_array(n, sizeof(*doc));
    uint64_t **s = mem_array(n, sizeof(*s));

    for (size_t i = 0; i < n; i++) {
        s[i] = tasks_doc_shingles(p[i], all, &doc[i].shingles, &doc[i].tokens);
        doc[i].shingle = s[i];
    }
    tasks_profile_make(doc, n, NULL, 0, share, SIZE_MAX, out);
    for (size_t i = 0; i < n; i++)
        free(s[i]);
    free(s);
    free(doc);
}

/* The member that shows the template: most of it, in the shortest text. */
static size_t show_member(const struct tasks_prompt *const *p, size_t n,
                          const struct tasks_profile *shared)
{
    size_t best = 0, most = 0, least = SIZE_MAX, tokens;

    for (size_t i = 0; i < n; i++) {
        size_t found = shared_tokens(shared, p[i], false, NULL, &tokens);
        if (found > most || (found == most && tokens < least)) {
            best = i;
            most = found;
            least = tokens;
        }
    }
    return best;
}

/* "{question}" after "Question:", else "{text}". */
static void put_slot(struct buf *out)
{
    size_t end = out->len, at;

    while (end && isspace((unsigned char)out->data[end - 1]))
        end--;
    bool colon = end && out->data[end - 1] == ':';
    at = end -= colon;
    while (at && isalpha((unsigned char)out->data[at - 1]))
        at--;
    if (out->len && !isspace((unsigned char)out->data[out->len - 1]) &&
        !strchr("\"'`([", out->data[out->len - 1]))
        buf_char(out, ' ');
    if (!colon || at == end) {
        buf_str(out, "{text}");
        return;
    }
    char *name = mem_strndup(out->data + at, end - at);
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    buf_printf(out, "{%s}", name);
    free(name);
}

/* Cut the template out of a member's text. Returns the shared tokens. */
static size_t put_template(const struct tasks_prompt *p,
                           const struct tasks_profile *shared, struct buf *out)
{
    size_t tokens, n, found = 0;
    bool *covered = mem_array(p->tokens + 2, 1), gap = false;
    struct tasks_token *t = tasks_tokenize(slice_of(p->user_text), &n);
    uint32_t last = 0;

    shared_tokens(shared, p, false, covered, &tokens);
    for (size_t i = 0; i < n && i < tokens; i++) {
        if (!covered[i + 1]) {
            gap = true;
            continue;
        }
        uint32_t from = gap || !found ? t[i].start : last;
        if (gap)
            put_slot(out);
        if (gap && t[i].start > last && p->user_text[t[i].start - 1] == ' ')
            buf_char(out, ' ');
        buf_add(out, p->user_text + from, t[i].end - from);
        last = t[i].end;
        gap = false;
        found++;
    }
    if (gap && found)
        put_slot(out);
    free(t);
    free(covered);
    return found;
}

static double repetitive_share(const struct tasks_prompt *const *p, size_t n)
{
    struct tasks_profile shared;
    size_t found = 0, all = 0;

    shared_profile(p, n, true, HALF, &shared);
    for (size_t i = 0; i < n; i++) {
        size_t tokens;
        found += shared_tokens(&shared, p[i], true, NULL, &tokens);
        all += tokens + 2;
    }
    tasks_profile_release(&shared);
    return all && n > 1 ? (double)found / (double)all : 0;
}

struct tally {
    uint64_t key;
    size_t count, first; /* the member that had it first */
};

/* The key that most members have: the sample's luck must not name a task, so
 * no single member is asked. Key 0 is none. */
static struct tally most_common(const uint64_t *key, size_t n)
{
    struct tally *t = mem_array(n, sizeof(*t)), best = { 0 };
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        if (!key[i])
            continue;
        while (k < count && t[k].key != key[i])
            k++;
        if (k == count)
            t[count++] = (struct tally){ key[i], 0, i };
        t[k].count++;
        if (t[k].count > best.count)
            best = t[k];
    }
    free(t);
    return best;
}

/* The tools that half of the members offer name a task of tool calls. */
static const char *common_tools(const struct tasks_prompt *const *p, size_t n)
{
    uint64_t *key = mem_array(n, sizeof(*key));
    struct tally most;

    for (size_t i = 0; i < n; i++)
        key[i] = p[i]->tool_names[0] ? hash_stable(p[i]->tool_names,
                                                   strlen(p[i]->tool_names), 0)
                                     : 0;
    most = most_common(key, n);
    free(key);
    return most.count * 2 >= n ? p[most.first]->tool_names : NULL;
}

/* The member whose system prompt stands for all, NULL if none is common. */
static const struct tasks_prompt *
common_system(const struct tasks_prompt *const *p, size_t n)
{
    uint64_t *key = mem_array(n, sizeof(*key));
    struct tally most;

    for (size_t i = 0; i < n; i++)
        key[i] = p[i]->system;
    most = most_common(key, n);
    free(key);
    return (double)most.count >= SYSTEM_SHARE * (double)n ? p[most.first]
                                                          : NULL;
}

static void make_texts(const struct tasks_prompt *const *p, size_t n,
                       const char *template, const char *terms,
                       struct tasks_label *out)
{
    struct buf text = { 0 };
    const char *tools = common_tools(p, n);
    const struct tasks_prompt *system = common_system(p, n);
    const char *source = template[0] ? template : terms;

    if (system) {
        source = system->system_text;
        put_collapsed(&text, source, strlen(source), SYSTEM_MAX);
        if (template[0])
            buf_str(&text, " | ");
    }
    if (template[0])
        put_collapsed(&text, template, strlen(template), LABEL_MAX);
    else if (!system)
        buf_printf(&text, "%s: %s", p[0]->tools ? "tool calls" : "free text",
                   terms);
    char *collapsed = mem_strdup(text.data ? text.data : "");
    for (char *c = collapsed; *c; c++)
        if (*c == '\n')
            *c = ' ';
    out->text = collapsed;
    if (p[0]->tools && !system && !template[0])
        source = tools && !strchr(tools, '\n') ? tools : "tool-calls";
    out->name = make_slug(source);
    if (!out->name)
        out->name = make_slug(terms);
    if (!out->name)
        out->name = mem_strdup("task");
    buf_release(&text);
}

void tasks_label_make(const struct tasks_prompt *const *p, size_t n,
                      const struct tasks_words *words, struct json_writer *w,
                      struct tasks_label *out)
{
    size_t m = n < MEMBERS ? n : MEMBERS;
    const struct tasks_prompt **s = mem_array(m, sizeof(*s));
    struct tasks_profile shared;
    struct buf template = { 0 }, terms = { 0 };

    for (size_t i = 0; i < m; i++)
        s[i] = p[n * i / m];
    shared_profile(s, m, false, SHARED, &shared);
    if (m > 1 &&
        put_template(s[show_member(s, m, &shared)], &shared, &template) < 3)
        buf_reset(&template);
    put_terms(s, m, words, &terms);
    if (!template.data || template.len == 0)
        buf_str(&template, "");
    make_texts(s, m, template.data ? template.data : "",
               terms.data ? terms.data : "", out);
    out->repetitive = repetitive_share(s, m);
    json_put_slice(w, "template", buf_slice(&template));
    json_put_slice(w, "terms", buf_slice(&terms));
    json_put_double(w, "repetitive", round(out->repetitive * 1000) / 1000);
    tasks_profile_release(&shared);
    buf_release(&template);
    buf_release(&terms);
    free(s);
}

void tasks_label_release(struct tasks_label *l)
{
    free(l->name);
    free(l->text);
    *l = (struct tasks_label){ 0 };
}
