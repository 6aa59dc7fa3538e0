/*
 * curate_report_canary.c - persons who do not exist, planted and sought
 *
 * Each is planted into a copy of a real call: all that identifies him, at
 * random places of the conversation and in random spellings; the copy is
 * scrubbed in memory as a call is, and whatever of him can still be read in any
 * encoding has survived; of a copy that could not be searched to its end only
 * survivors count. The generator is its own: the lists and rules of the
 * search for personal data have no part in it.
 */
#include "curate/curate_report_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN_TEXT, IN_MEMBER, IN_ARGUMENTS, IN_RESULT, POSITIONS };
static const char *const position_names[POSITIONS] = {
    "a sentence", "a member of the request", "tool-call arguments",
    "a tool's result"
};

enum {
    AS_PLAIN,
    AS_ESCAPED,
    AS_UPPER,
    AS_PERCENT,
    AS_BASE64,
    AS_ZERO_WIDTH,
    AS_FULL_WIDTH,
    ENCODINGS
};
static const char *const encoding_names[ENCODINGS] = {
    "plain",  "\\u escapes", "capitals",  "percent",
    "base64", "zero-width",  "full-width"
};

struct person {
    struct rng *r;
    char first[24], last[24];
};

struct kind {
    const char *name, *type, *key, *sentence; /* type: of rules */
    void (*make)(const struct person *p, struct buf *out);
};

/* What was planted once. */
struct plant {
    unsigned kind, position, encoding;
    char *value, *written; /* as it is; as it was written */
};

static unsigned below(const struct person *p, unsigned n)
{
    return (unsigned)rng_below(p->r, n);
}

static void digits(const struct person *p, unsigned n, struct buf *out)
{
    while (n--)
        buf_char(out, (char)('0' + below(p, 10)));
}

static void make_name(const struct person *p, struct buf *out)
{
    buf_printf(out, "%s %s", p->first, p->last);
}

static void make_email(const struct person *p, struct buf *out)
{
    static const char *const hosts[] = { "gmail.com", "outlook.com", "web.de",
                                         "corvane.io", "uni-halden.org" };

    buf_printf(out, "%c%s%u@%s", p->first[0] | 0x20, p->last + 1,
               10 + below(p, 90), hosts[below(p, 5)]);
}

static void make_phone(const struct person *p, struct buf *out)
{
    unsigned area = 201 + below(p, 78), office = 220 + below(p, 300);
    unsigned line = below(p, 10000);

    switch (below(p, 4)) {
    case 0: buf_printf(out, "(%03u) %03u-%04u", area, office, line); break;
    case 1: buf_printf(out, "%03u-%03u-%04u", area, office, line); break;
    case 2: buf_printf(out, "+1 %03u %03u %04u", area, office, line); break;
    default: buf_printf(out, "%03u.%03u.%04u", area, office, line); break;
    }
}

static void make_ssn(const struct person *p, struct buf *out)
{
    buf_printf(out, "%03u-%02u-%04u", 100 + below(p, 500), 10 + below(p, 89),
               1000 + below(p, 8999));
}

static void make_card(const struct person *p, struct buf *out)
{
    char d[17] = "4";
    unsigned sum = 0;

    for (int i = 1; i < 15; i++)
        d[i] = (char)('0' + below(p, 10));
    for (int i = 0; i < 15; i++) {
        unsigned v = (unsigned)(d[i] - '0') * (i % 2 ? 1 : 2);

        sum += v > 9 ? v - 9 : v;
    }
    d[15] = (char)('0' + (10 - sum % 10) % 10);
    buf_printf(out, "%.4s %.4s %.4s %.4s", d, d + 4, d + 8, d + 12);
}

static void make_iban(const struct person *p, struct buf *out)
{
    char d[25] = "";
    unsigned rest = 0;

    for (int i = 0; i < 18; i++)
        d[i] = (char)('0' + below(p, 10));
    strcpy(d + 18, "131400"); /* D, E, 00 */
    for (int i = 0; d[i]; i++)
        rest = (rest * 10 + (unsigned)(d[i] - '0')) % 97;
    buf_printf(out, "DE%02u%.18s", 98 - rest, d);
}

static void make_birth(const struct person *p, struct buf *out)
{
    static const char *const months[] = { "January", "April", "July",
                                          "October" };
    unsigned y = 1940 + below(p, 65), m = 1 + below(p, 12),
             d = 1 + below(p, 28);

    switch (below(p, 3)) {
    case 0: buf_printf(out, "%04u-%02u-%02u", y, m, d); break;
    case 1: buf_printf(out, "%02u/%02u/%04u", m, d, y); break;
    default: buf_printf(out, "%s %u, %u", months[m % 4], d, y); break;
    }
}

static void make_address(const struct person *p, struct buf *out)
{
    static const char *const streets[] = { "Larchmont", "Old Mill",
                                           "Harbor View", "Quarry", "Juniper" };
    static const char *const kinds[] = { "Street", "Avenue", "Rd", "Lane" };
    static const char *const towns[] = { "Dayton, OH", "Tacoma, WA",
                                         "Mobile, AL", "Boise, ID" };

    buf_printf(out, "%u %s %s, %s %u", 11 + below(p, 9000),
               streets[below(p, 5)], kinds[below(p, 4)], towns[below(p, 4)],
               20000 + below(p, 70000));
}

static void make_key(const struct person *p, struct buf *out)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                              "wxyz0123456789";

    buf_str(out, "sk-proj-");
    for (int i = 0; i < 40; i++)
        buf_char(out, set[below(p, sizeof(set) - 1)]);
}

static void make_ip(const struct person *p, struct buf *out)
{
    buf_printf(out, "%u.%u.%u.%u", 62 + below(p, 40), 1 + below(p, 250),
               1 + below(p, 250), 1 + below(p, 250));
}

static void make_record(const struct person *p, struct buf *out)
{
    digits(p, 8, out);
}

static void make_passport(const struct person *p, struct buf *out)
{
    buf_char(out, (char)('A' + below(p, 26)));
    digits(p, 8, out);
}

static void make_licence(const struct person *p, struct buf *out)
{
    buf_char(out, (char)('A' + below(p, 26)));
    digits(p, 7, out);
}

static void make_account(const struct person *p, struct buf *out)
{
    digits(p, 10, out);
}

static void make_password(const struct person *p, struct buf *out)
{
    buf_printf(out, "%c%s!%u#", p->last[0], p->first + 1,
               1000 + below(p, 8999));
}

static const struct kind kinds[] = {
    { "name", "PERSON", "customer_name", "My name is %s, can you help me?",
      make_name },
    { "e-mail", "EMAIL", "email", "Please write to %s about it.", make_email },
    { "phone", "PHONE", "phone_number", "You can call me at %s today.",
      make_phone },
    { "SSN", "SSN", "ssn", "My social security number is %s.", make_ssn },
    { "card", "CARD", "card_number", "Charge the card %s for this.",
      make_card },
    { "IBAN", "IBAN", "iban", "The IBAN is %s, thanks.", make_iban },
    { "date of birth", "DATE", "date_of_birth", "I was born on %s.",
      make_birth },
    { "address", "ADDRESS", "address", "I live at %s.", make_address },
    { "API key", "API_KEY", "api_key", "Use the API key %s for it.", make_key },
    { "IP address", "IP", "ip_address", "It came from the IP address %s.",
      make_ip },
    { "medical record", "MEDICAL_RECORD", "medical_record_number",
      "The medical record number is %s.", make_record },
    { "passport", "PASSPORT", "passport_number", "My passport number is %s.",
      make_passport },
    { "driving licence", "DRIVER_LICENSE", "driver_license_number",
      "My driver's license number is %s.", make_licence },
    { "bank account", "ACCOUNT", "account_number",
      "The bank account number is %s.", make_account },
    { "password", "SECRET", "password", "My password: %s", make_password },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static void make_person(struct person *p, struct rng *r)
{
    static const char *const first[] = {
        "Amara",   "Bjorn",  "Carlos",  "Deirdre", "Emeka",   "Fatima",
        "Gustavo", "Helena", "Ibrahim", "Jasmine", "Kenji",   "Leila",
        "Mateusz", "Nadia",  "Olivia",  "Pedro",   "Rachel",  "Sanjay",
        "Tomas",   "Ursula", "Vikram",  "Wanda",   "Yusuf",   "Zoe",
        "Daniel",  "Emily",  "James",   "Laura",   "Michael", "Susan"
    };
    static const char *const last[] = {
        "Abernathy",  "Bergstrom",  "Castellanos", "Dimitrov",  "Eriksson",
        "Fitzgerald", "Gutierrez",  "Hathaway",    "Ivanov",    "Johansson",
        "Kowalski",   "Lindqvist",  "Mbeki",       "Nakamura",  "Okonkwo",
        "Petrosyan",  "Quinlan",    "Rodriguez",   "Svensson",  "Takahashi",
        "Underwood",  "Villanueva", "Whitaker",    "Yamamoto",  "Zielinski",
        "Patel",      "Nguyen",     "Hernandez",   "O'Donnell", "Schneider"
    };

    p->r = r;
    (void)snprintf(p->first, sizeof(p->first), "%s", first[below(p, 30)]);
    (void)snprintf(p->last, sizeof(p->last), "%s", last[below(p, 30)]);
}

static void put_base64(struct slice in, struct buf *out)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                              "wxyz0123456789+/";

    for (size_t i = 0; i < in.n; i += 3) {
        unsigned v = 0;

        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < in.n ? (unsigned char)in.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_char(out, i + k > in.n ? '=' : set[v >> (18 - 6 * k) & 63]);
    }
}

/* Text in a spelling; the escapes of JSON come later. */
static void spell(struct slice in, unsigned encoding, struct buf *out)
{
    char wide[4];

    if (encoding == AS_BASE64) {
        put_base64(in, out);
        return;
    }
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];

        if (encoding == AS_UPPER && c >= 'a' && c <= 'z')
            buf_char(out, (char)(c - 32));
        else if (encoding == AS_PERCENT && strchr(" @/:#!+,'()", c))
            buf_printf(out, "%%%02X", c);
        else if (encoding == AS_FULL_WIDTH && c > 0x20 && c < 0x7F)
            buf_add(out, wide, utf8_encode(0xFF00u + c - 0x20, wide));
        else
            buf_char(out, (char)c);
        if (encoding == AS_ZERO_WIDTH && i % 3 == 1 && i + 1 < in.n)
            buf_str(out, "\xE2\x80\x8B");
    }
}

/* What is spelt in ways that nobody writes in capitals keeps its case. */
static bool spells(unsigned kind, unsigned encoding)
{
    bool secret =
        kinds[kind].make == make_key || kinds[kind].make == make_password;

    return !(secret && encoding == AS_UPPER);
}

static void add_plant(struct plant *p, const struct person *who, unsigned kind)
{
    static const char plain[] = { AS_PLAIN,   AS_PLAIN,      AS_PLAIN,
                                  AS_PLAIN,   AS_PLAIN,      AS_PLAIN,
                                  AS_ESCAPED, AS_UPPER,      AS_PERCENT,
                                  AS_BASE64,  AS_ZERO_WIDTH, AS_FULL_WIDTH };
    struct buf value = { 0 }, written = { 0 };

    kinds[kind].make(who, &value);
    p->kind = kind;
    p->position = below(who, POSITIONS);
    p->encoding = (unsigned)plain[below(who, sizeof(plain))];
    if (!spells(kind, p->encoding))
        p->encoding = AS_PLAIN;
    spell(buf_slice(&value), p->encoding, &written);
    p->value = buf_take(&value, NULL);
    p->written = buf_take(&written, NULL);
}

/* The text that stands in a string; all of it with \u escapes if asked. */
static void put_inner(struct buf *out, struct slice text, bool escaped)
{
    struct buf quoted = { 0 };

    for (size_t i = 0; escaped && i < text.n; i++)
        buf_printf(out, "\\u%04x", (unsigned char)text.p[i]);
    if (!escaped) {
        json_quote(&quoted, text);
        buf_add(out, quoted.data + 1, quoted.len - 2);
    }
    buf_release(&quoted);
}

static void put_sentence(const struct plant *p, struct buf *out)
{
    const char *s = kinds[p->kind].sentence, *at = strstr(s, "%s");

    put_inner(out, (struct slice){ s, (size_t)(at - s) }, false);
    put_inner(out, slice_of(p->written), p->encoding == AS_ESCAPED);
    put_inner(out, slice_of(at + 2), false);
}

/* {"key": "value"} as text, for a string. */
static void put_nested(const struct plant *p, struct buf *out)
{
    struct buf inner = { 0 };

    buf_printf(&inner, "{\"%s\":\"", kinds[p->kind].key);
    put_inner(&inner, slice_of(p->written), p->encoding == AS_ESCAPED);
    buf_str(&inner, "\",\"status\":\"open\"}");
    put_inner(out, buf_slice(&inner), false);
    buf_release(&inner);
}

static void put_message(const struct plant *p, unsigned n, struct buf *out)
{
    switch (p->position) {
    case IN_ARGUMENTS:
        buf_printf(out,
                   ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
                   "\"id\":\"call_%u\",\"type\":\"function\",\"function\":{"
                   "\"name\":\"update\",\"arguments\":\"",
                   n);
        put_nested(p, out);
        buf_str(out, "\"}}]}");
        break;
    case IN_RESULT:
        buf_printf(out,
                   ",{\"role\":\"tool\",\"tool_call_id\":\"call_%u\","
                   "\"content\":\"",
                   n);
        put_nested(p, out);
        buf_str(out, "\"}");
        break;
    default:
        buf_str(out, ",{\"role\":\"user\",\"content\":\"");
        put_sentence(p, out);
        buf_str(out, "\"}");
        break;
    }
}

static void put_members(const struct plant *plant, size_t count,
                        struct buf *out)
{
    buf_str(out, ",\"metadata\":{\"origin\":\"web\"");
    for (size_t i = 0; i < count; i++) {
        if (plant[i].position != IN_MEMBER)
            continue;
        buf_printf(out, ",\"%s\":\"", kinds[plant[i].kind].key);
        put_inner(out, slice_of(plant[i].written),
                  plant[i].encoding == AS_ESCAPED);
        buf_char(out, '"');
    }
    buf_char(out, '}');
}

/* A copy of the request with the plants in it; false if it has no messages. */
static bool put_request(struct slice request, const struct plant *plant,
                        size_t count, struct buf *out)
{
    struct json j = { 0 };
    json_ref messages;
    bool good = false;

    if (json_parse(&j, request.p, request.n, NULL) == 0) {
        messages = json_get(&j, 0, "messages");
        good = json_is(&j, messages, JSON_ARRAY) && json_count(&j, messages);
    }
    if (good) {
        size_t at = j.nodes[messages].end - 1;

        buf_add(out, request.p, at);
        for (size_t i = 0; i < count; i++)
            if (plant[i].position != IN_MEMBER)
                put_message(&plant[i], (unsigned)i, out);
        buf_char(out, ']');
        put_members(plant, count, out);
        buf_add(out, request.p + at + 1, request.n - at - 1);
    }
    json_release(&j);
    return good;
}

static void mark(void *ctx, const struct scrub_leak *hit)
{
    bool *survives = ctx;

    survives[hit->value / 2] = true;
}

/* One person: all kinds in one call. Plants whose values the call has anyway
 * are not counted. */
static int plant_person(struct scrub_worker *w, struct slice request,
                        struct plant *plant, bool *survives, bool *there,
                        struct err *err)
{
    struct slice value[2 * KINDS];
    struct scrub_leaks *leaks = NULL;
    struct buf dirty = { 0 }, clean = { 0 };
    struct slice in;
    size_t missed = 0;
    int rc = ERR_OK;

    memset(survives, 0, KINDS * sizeof(*survives));
    memset(there, 0, KINDS * sizeof(*there));
    for (size_t i = 0; i < KINDS; i++) {
        value[2 * i] = slice_of(plant[i].value);
        value[2 * i + 1] = slice_of(plant[i].written);
    }
    if (!put_request(request, plant, KINDS, &dirty)) {
        memset(there, true, KINDS * sizeof(*there));
        goto done;
    }
    in = buf_slice(&dirty);
    rc = scrub_leaks_new(value, 2 * KINDS, &leaks, err);
    if (rc < 0)
        goto done;
    (void)scrub_leaks_look(leaks, request, mark, there, NULL);
    /* What cannot be scrubbed is quarantined: nothing survives. */
    if (scrub_record(w, slice_of("canary"), &in, 1, &clean, NULL, NULL, NULL) ==
        ERR_OK)
        (void)scrub_leaks_look(leaks, buf_slice(&clean), mark, survives,
                               &missed);
    /* Of what was not searched nobody can say that it is clean. */
    for (size_t i = 0; missed && i < KINDS; i++)
        if (!survives[i])
            there[i] = true;
done:
    scrub_leaks_free(leaks);
    buf_release(&dirty);
    buf_release(&clean);
    return rc;
}

static void count_one(struct curate_canary *c, bool survives)
{
    c->planted++;
    c->survived += survives;
}

static void settle(struct curate_canary *c)
{
    double n = (double)c->planted, z = 1.959963984540054;
    double p = n > 0 ? (double)c->survived / n : 0;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half =
        z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n);

    c->low = n > 0 && middle - half > 0 ? middle - half : 0;
    c->high = n > 0 && middle + half < 1 ? middle + half : 1;
    if (!c->survived)
        c->low = 0;
}

/* Do the settings let such a value stay? */
static bool is_kept(const struct curate_report *r,
                    const struct scrub_rules *rules, const struct kind *kind)
{
    for (size_t i = 0; i < r->types; i++)
        if (strcmp(r->type[i].type, kind->type) == 0 && r->type[i].kept)
            return true;
    return kind->make == make_name &&
           scrub_rules_settings(rules)->names == SCRUB_NAMES_OFF;
}

static void make_rows(struct curate_report *r, const struct scrub_rules *rules)
{
    const size_t counts[3] = { KINDS, POSITIONS, ENCODINGS };

    for (int by = 0; by < 3; by++) {
        r->canaries[by] = counts[by];
        r->canary[by] = mem_zalloc(counts[by] * sizeof(*r->canary[by]));
        for (size_t i = 0; i < counts[by]; i++)
            r->canary[by][i].name = by == CURATE_BY_TYPE ? kinds[i].name
                                    : by == CURATE_BY_POSITION
                                        ? position_names[i]
                                        : encoding_names[i];
    }
    for (size_t i = 0; i < KINDS; i++)
        r->canary[CURATE_BY_TYPE][i].kept = is_kept(r, rules, &kinds[i]);
}

static int plant_all(struct scrub_worker *w,
                     const struct report_samples *samples, unsigned persons,
                     struct curate_report *r, struct err *err)
{
    struct rng rng;
    int rc = ERR_OK;

    rng_init(&rng, 20);
    for (unsigned n = 0; rc == ERR_OK && n < persons; n++) {
        const struct buf *b = &samples->request[n % samples->count];
        struct plant plant[KINDS];
        bool survives[KINDS], there[KINDS];
        struct person who;

        make_person(&who, &rng);
        for (unsigned i = 0; i < KINDS; i++)
            add_plant(&plant[i], &who, i);
        rc = plant_person(w, buf_slice(b), plant, survives, there, err);
        for (unsigned i = 0; i < KINDS; i++) {
            if (rc == ERR_OK && !there[i]) {
                count_one(&r->canary[CURATE_BY_TYPE][i], survives[i]);
                count_one(&r->canary[CURATE_BY_POSITION][plant[i].position],
                          survives[i]);
                count_one(&r->canary[CURATE_BY_ENCODING][plant[i].encoding],
                          survives[i]);
            }
            free(plant[i].value);
            free(plant[i].written);
        }
    }
    return rc;
}

int report_canaries(const struct report_samples *samples,
                    const struct curate_report_options *o,
                    struct curate_report *r, struct err *err)
{
    struct scrub_worker *w = scrub_worker_new(o->rules, o->key);
    int rc = ERR_OK;

    make_rows(r, o->rules);
    if (samples->count)
        rc = plant_all(w, samples, o->canaries, r, err);
    for (int by = 0; by < 3; by++)
        for (size_t i = 0; i < r->canaries[by]; i++)
            settle(&r->canary[by][i]);
    scrub_worker_free(w);
    return rc;
}
