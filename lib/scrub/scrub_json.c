/*
 * scrub_json.c - every position of a record, JSON in strings included
 *
 * A text is either JSON, whose strings, numbers and keys are texts in turn, or
 * plain. What is found travels outward as edits in the coordinates of the
 * enclosing text, each level adding its own escapes; only the outermost text
 * is written, once, so that bytes outside the edits cannot change.
 */
#include "scrub/scrub_fake.h"

#include "base/mem.h"
#include "names/names.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX 26  /* bytes of a day's part, quotes included */
#define NUMBER_MIN 4 /* characters; one rule is about shorter numbers */

static bool looks_like_json(struct slice t)
{
    t = slice_trim(t);
    if (t.n < 2)
        return false;
    switch (t.p[0]) {
    case '{': return t.p[t.n - 1] == '}';
    case '[': return t.p[t.n - 1] == ']';
    case '"': return t.p[t.n - 1] == '"';
    default: return false;
    }
}

__attribute__((noinline)) static void grow_units(struct scrub_level *l)
{
    void *all = l->units;

    mem_grow(&all, &l->unit_cap, l->unit_count + 1, sizeof(*l->units));
    l->units = all;
}

static inline void add_unit(struct scrub_level *l, size_t decoded, size_t raw)
{
    if (l->unit_count == l->unit_cap)
        grow_units(l);
    l->units[l->unit_count][0] = decoded;
    l->units[l->unit_count++][1] = raw;
}

#define EACH UINT64_C(0x0101010101010101)
#define COPIED 8 /* bytes at once, some behind the end of a run */

/* Copies what stands before the next backslash at or after raw[i]. Returns how
 * much. */
static size_t copy_run(struct slice raw, size_t i, char *to)
{
    const char *from = raw.p + i;
    size_t n = 0, left = raw.n - i;

    for (; n + COPIED <= left; n += COPIED) {
        uint64_t v, none;

        memcpy(&v, from + n, COPIED);
        memcpy(to + n, &v, COPIED);
        v = le64toh(v) ^ EACH * '\\';
        none = (v - EACH) & ~v & EACH * 0x80;
        if (none)
            return n + (size_t)__builtin_ctzll(none) / 8;
    }
    for (; n < left && from[n] != '\\'; n++)
        to[n] = from[n];
    return n;
}

/* The string's text in l->decoded, which is never longer; units: where each
 * escape, and the text after it, begins on both sides. */
static void decode(struct scrub_level *l, struct slice raw)
{
    char *from, *to;
    size_t i = 0;

    buf_reset(&l->decoded);
    from = to = buf_reserve(&l->decoded, raw.n + COPIED);
    assert(from); /* texts have a limit */
    l->unit_count = 0;
    add_unit(l, 0, 0);
    while (i < raw.n) {
        size_t run = copy_run(raw, i, to);

        to += run;
        i += run;
        if (i == raw.n)
            break;
        if (run) /* the escape's own unit; the last one may serve */
            add_unit(l, (size_t)(to - from), i);
        if (raw.p[i + 1] == 'u') {
            i += json_unescape(raw.p + i, raw.n - i, &to);
        } else {
            *to++ = json_unescape_letter(raw.p[i + 1]);
            i += 2;
        }
        add_unit(l, (size_t)(to - from), i);
    }
    *to = '\0';
    l->decoded.len = (size_t)(to - from);
}

/* Last unit that begins at or before a decoded offset. */
static size_t unit_at(const struct scrub_level *l, size_t at)
{
    size_t low = 0, high = l->unit_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (l->units[mid][0] <= at)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* A unit is an escape if it takes more raw bytes than decoded ones; it is
 * never cut. */
static bool is_escape(const struct scrub_level *l, struct slice raw, size_t u)
{
    return l->units[u][1] < raw.n && raw.p[l->units[u][1]] == '\\';
}

static size_t raw_start(const struct scrub_level *l, struct slice raw,
                        size_t at)
{
    size_t u = unit_at(l, at);

    if (is_escape(l, raw, u))
        return l->units[u][1];
    return l->units[u][1] + (at - l->units[u][0]);
}

static size_t raw_end(const struct scrub_level *l, struct slice raw, size_t at)
{
    size_t u = unit_at(l, at - 1);

    if (is_escape(l, raw, u))
        return l->units[u + 1][1];
    return l->units[u][1] + (at - l->units[u][0]);
}

/* The replacement as it must stand inside a JSON string. */
static void escape_edit(struct scrub_worker *w, struct scrub_edit *e)
{
    struct buf quoted = { 0 };
    bool plain = true;

    for (size_t i = 0; i < e->rep_len && plain; i++) {
        unsigned char c = (unsigned char)w->arena.data[e->rep + i];

        plain = c >= 0x20 && c != '"' && c != '\\';
    }
    if (plain)
        return;
    json_quote(&quoted, (struct slice){ w->arena.data + e->rep, e->rep_len });
    e->rep = w->arena.len;
    e->rep_len = quoted.len - 2;
    buf_add(&w->arena, quoted.data + 1, quoted.len - 2);
    buf_release(&quoted);
}

/* Bytes [1, n - 1) of a string node, which begins at byte `base` of its text;
 * the edits that come of it are moved into that text. */
static int string_value(struct scrub_walk *s, struct slice inner, size_t base,
                        bool escaped, struct slice key, unsigned depth)
{
    struct scrub_worker *w = s->w;
    struct scrub_level *l = &w->level[depth];
    size_t mark = w->edit_count;
    int rc;

    if (escaped)
        decode(l, inner);
    rc =
        scrub_text(s, escaped ? buf_slice(&l->decoded) : inner, key, depth + 1);
    for (size_t i = mark; rc == ERR_OK && i < w->edit_count; i++) {
        struct scrub_edit *e = &w->edits[i];

        escape_edit(w, e);
        if (escaped) {
            size_t start = raw_start(l, inner, e->start);

            e->end = raw_end(l, inner, e->end);
            e->start = start;
        }
        e->start += base;
        e->end += base;
    }
    return rc;
}

/* The one shorter number that a rule is about: an age over 89. */
static bool is_old_age(struct slice raw, struct slice key)
{
    return raw.n >= 2 && (raw.p[0] == '9' || raw.p[0] == '1') && key.n &&
           (memmem(key.p, key.n, "_age_", 5) ||
            memmem(key.p, key.n, "_ages_", 6));
}

/* {"number": 12} and {"area_code": 415}, of an address and a telephone. */
static bool is_part_of_address(struct slice key)
{
    static const char number[] = "_number_", area[] = "_area_code_";
    size_t n = sizeof(number) - 1, m = sizeof(area) - 1;

    return (key.n >= n && memcmp(key.p + key.n - n, number, n) == 0) ||
           (key.n >= m && memcmp(key.p + key.n - m, area, m) == 0);
}

/* What a rule made is no number: its digits are nines. */
static void nines_instead(struct scrub_worker *w, struct slice raw, size_t mark)
{
    for (size_t i = mark; i < w->edit_count; i++) {
        struct scrub_edit *e = &w->edits[i];
        struct slice was = { raw.p + e->start, e->end - e->start };

        e->rep = w->arena.len;
        e->rep_len = was.n;
        scrub_put_nines(was, &w->arena);
    }
}

/* A surrogate must leave a number a number. */
static int number_value(struct scrub_walk *s, struct slice raw, size_t base,
                        struct slice key, unsigned depth)
{
    struct scrub_worker *w = s->w;
    size_t mark = w->edit_count;
    struct buf now = { 0 };
    int rc = ERR_OK;

    s->number = true;
    if (raw.n >= NUMBER_MIN || is_old_age(raw, key) || is_part_of_address(key))
        rc = scrub_plain_text(s, raw, key, false, depth + 1);
    s->number = false;
    if (rc < 0 || w->edit_count == mark)
        return rc;
    scrub_write_edits(w, raw, mark, w->edit_count, &now);
    if (!w->collecting && !scrub_is_number(buf_slice(&now)))
        nines_instead(w, raw, mark);
    for (size_t i = mark; i < w->edit_count; i++) {
        w->edits[i].start += base;
        w->edits[i].end += base;
    }
    buf_release(&now);
    return rc;
}

/* The text of a key that may hold data, or, known: only what the record knows.
 */
static int object_key(struct scrub_walk *s, const struct json *j, json_ref k,
                      bool known, unsigned depth)
{
    struct slice raw = json_raw(j, k), inner = { raw.p + 1, raw.n - 2 };
    size_t mark = s->w->edit_count, base = j->nodes[k].start + 1;
    bool outer = s->key;
    int rc;

    s->key = true;
    if (j->nodes[k].count) { /* escaped; the value comes later */
        rc = string_value(s, inner, base, true, (struct slice){ 0 }, depth);
        s->key = outer;
        return rc;
    }
    s->w->known_only = known;
    rc = scrub_plain_text(s, inner, (struct slice){ 0 }, true, depth + 1);
    s->w->known_only = false;
    s->key = outer;
    for (size_t i = mark; i < s->w->edit_count; i++) {
        escape_edit(s->w, &s->w->edits[i]);
        s->w->edits[i].start += base;
        s->w->edits[i].end += base;
    }
    return rc;
}

static int json_value(struct scrub_walk *s, const struct json *j, json_ref v,
                      struct slice key, unsigned depth);

/* Is anything in the text that the tokens make? Pieces of it are looked at
 * like all strings; edits of the joined text count, but have no place. */
static int logprobs_value(struct scrub_walk *s, const struct json *j,
                          json_ref v, unsigned depth)
{
    struct scrub_worker *w = s->w;
    struct slice raw = json_raw(j, v);
    size_t mark = w->edit_count, begun;
    struct buf text = { 0 };
    int rc;

    w->logprobs_seen = true;
    if (w->logprobs_dropped) {
        struct scrub_edit e = { .start = j->nodes[v].start,
                                .end = j->nodes[v].start + raw.n,
                                .rep = w->arena.len,
                                .rep_len = 4,
                                .rule = w->last_rule };

        buf_add(&w->arena, "null", 4);
        scrub_calls_skip(w);
        return scrub_push_edit(s, e);
    }
    begun = scrub_calls_begin(w);
    scrub_logprobs_join(j, v, &text);
    rc = scrub_plain_text(s, buf_slice(&text), (struct slice){ 0 }, false,
                          depth + 1);
    w->logprobs_held |= w->edit_count > mark;
    w->edit_count = mark;
    buf_release(&text);
    if (rc == ERR_OK)
        rc = json_value(s, j, v, (struct slice){ 0 }, depth);
    scrub_calls_end(w, begun);
    return rc;
}

/* An object whose members are looked at. */
struct members {
    const struct json *j;
    json_ref object;
    struct slice key;     /* its own */
    uint64_t around;      /* see scrub_place_of */
    struct buf text;      /* of a key with escapes */
    struct buf words;     /* of one that is not remembered */
    struct buf both;      /* the object's key and one of its members' */
    struct scrub_key own; /* the same */
    struct scrub_days days;
    int personal; /* has_personal_member: 0 not asked for, 1 no, 2 yes */
};

/* Whose "id" in an object of that key identifies somebody or something of
 * theirs; named: whose "name" is a person's. */
static const struct {
    const char *word;
    bool named;
} owners[] = {
    { "_customer_", true },   { "_client_", true },   { "_patient_", true },
    { "_passenger_", true },  { "_guest_", true },    { "_contact_", true },
    { "_employee_", true },   { "_student_", true },  { "_user_", true },
    { "_driver_", false },    { "_member_", false },  { "_subscriber_", false },
    { "_person_", false },    { "_buyer_", false },   { "_seller_", false },
    { "_device_", false },    { "_account_", false }, { "_invoice_", false },
    { "_applicant_", false }, { "_tenant_", false },
};

/* "Test User", "Service Account" */
static bool is_role(struct slice word)
{
    static const char *const words[] = {
        "User",   "Account", "Bot",    "Service",   "Admin",   "Team",
        "Group",  "Agent",   "System", "Test",      "Support", "Customer",
        "Client", "Guest",   "Demo",   "Assistant", "Name",    "Sales",
        "Member", "Role",    "Owner",  "Not",       "No",      "Unknown"
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_is(word, words[i]))
            return true;
    return false;
}

/* "Acme Ltd" is none; "Bo Derekson" is, whether or not a list has Bo. */
static bool is_full_name(const struct scrub_worker *w, struct slice v)
{
    size_t words = 0;

    for (size_t i = 1; i + 1 < v.n; words++) { /* within quotes */
        struct slice word = { v.p + i, 0 };

        while (i + 1 < v.n && v.p[i] != ' ')
            i++;
        word.n = (size_t)(v.p + i - word.p);
        i++;
        if (!word.n || !(word.p[0] >= 'A' && word.p[0] <= 'Z') ||
            is_role(word) ||
            names_is(w->rules->names, NAMES_LIST_ORGANIZATION, word))
            return false;
        for (size_t k = 1; k < word.n; k++)
            if (!((word.p[k] | 0x20) >= 'a' && (word.p[k] | 0x20) <= 'z') &&
                (unsigned char)word.p[k] < 0x80 && word.p[k] != '-' &&
                word.p[k] != '\'' && word.p[k] != '.')
                return false;
    }
    return words == 2 || words == 3;
}

/* "Ng" or "Bo Derekson" of lists of names; a firm's telephone makes nobody of
 * it. */
static bool is_listed_name(const struct scrub_worker *w, struct slice v)
{
    const struct names *m = w->rules->names;
    const char *blank;
    struct slice last;

    v.p++; /* within quotes */
    v.n -= 2;
    blank = memchr(v.p, ' ', v.n);
    last = (struct slice){ blank ? blank + 1 : v.p,
                           blank ? v.n - (size_t)(blank + 1 - v.p) : v.n };
    return last.n > 1 && last.p[0] >= 'A' && last.p[0] <= 'Z' &&
           names_is(m, NAMES_LIST_LAST, last) &&
           !(names_in(m, last) & (NAMES_BIT(NAMES_LIST_COMMON) |
                                  NAMES_BIT(NAMES_LIST_ORGANIZATION))) &&
           (!blank || names_is(m, NAMES_LIST_FIRST,
                               (struct slice){ v.p, (size_t)(blank - v.p) }));
}

/* Beside such a member a name is a person's. */
static bool has_personal_member(struct members *m)
{
    static const char *const keys[] = { "tel",      "Tel",   "phone", "Phone",
                                        "email",    "Email", "mail",  "mobile",
                                        "birthday", "dob",   "ssn",   "age" };

    for (size_t i = 0; !m->personal && i < sizeof(keys) / sizeof(*keys); i++)
        if (json_get(m->j, m->object, keys[i]) != JSON_NONE)
            m->personal = 2;
    if (!m->personal)
        m->personal = 1;
    return m->personal == 2;
}

/* {"customer": {"id": ...}}: what is under "customer_id" elsewhere. */
static bool joins_owner(const struct scrub_walk *s, struct members *m,
                        json_ref e, struct slice words)
{
    bool id = slice_is(words, "_id_") || slice_is(words, "_number_") ||
              slice_is(words, "_no_");
    struct slice owner = m->key;

    if (slice_is(words, "_name_") && json_is(m->j, e, JSON_STRING) &&
        is_listed_name(s->w, json_raw(m->j, e)) && has_personal_member(m)) {
        buf_reset(&m->both);
        buf_str(&m->both, "_full_name_");
        return true;
    }
    if (!owner.n ||
        (!id && !(slice_is(words, "_name_") && json_is(m->j, e, JSON_STRING) &&
                  is_full_name(s->w, json_raw(m->j, e)))))
        return false;
    owner.n -= owner.n > 3 && owner.p[owner.n - 2] == 's' ? 2 : 1;
    buf_reset(&m->both);
    buf_add_slice(&m->both, owner);
    buf_char(&m->both, '_');
    for (size_t i = 0; i < sizeof(owners) / sizeof(*owners); i++) {
        size_t n = strlen(owners[i].word);

        if (m->both.len < n || (!id && !owners[i].named) ||
            memcmp(m->both.data + m->both.len - n, owners[i].word, n) != 0)
            continue;
        if (!id)
            buf_str(&m->both, "full_");
        buf_add(&m->both, words.p + 1, words.n - 1);
        return true;
    }
    return false;
}

/* A part of a day; 1: it was one, and is dealt with. */
static int part_value(struct scrub_walk *s, struct members *m, json_ref e,
                      const struct scrub_key *key)
{
    struct scrub_worker *w = s->w;
    const struct json *j = m->j;
    struct slice v = json_raw(j, e);
    bool text = json_is(j, e, JSON_STRING);
    uint32_t rule;
    struct scrub_edit edit;
    struct buf now = { 0 };
    int rc = 0;

    if (v.n > PART_MAX || (!text && !json_is(j, e, JSON_NUMBER)) || w->reveal)
        return 0;
    v.p += text;
    v.n -= 2 * (size_t)text;
    edit.start = j->nodes[e].start + text;
    edit.end = edit.start + v.n;
    rule = scrub_date_rule(w->rules);
    if (rule != UINT32_MAX && !scrub_keeps(w, &w->rules->rule[rule], v) &&
        scrub_part_move(w, &m->days, key, v, !text, &now)) {
        edit.rep = w->arena.len;
        edit.rule = rule;
        edit.tier = 1;
        s->number = !text;
        if (w->rules->rule[rule].action == SCRUB_SURROGATE)
            buf_add_slice(&w->arena, buf_slice(&now));
        else if (!w->collecting)
            scrub_act(s, &w->rules->rule[rule], v, &w->arena);
        s->number = false;
        edit.rep_len = w->arena.len - edit.rep;
        rc = scrub_push_edit(s, edit);
        rc = rc < 0 ? rc : 1;
    }
    buf_release(&now);
    return rc;
}

/* A member's value: where it stands, and what its key is evidence for. */
static int member_value(struct scrub_walk *s, struct members *m, json_ref e,
                        const struct scrub_key *key, unsigned depth)
{
    struct scrub_worker *w = s->w;
    const struct json *j = m->j;
    bool data = w->in_data, member = w->member;
    const struct scrub_key *near = w->near_key;
    /* "dob": {"_seconds": ...} of Firestore */
    bool as_around =
        m->key.n && (key->property || slice_is(key->words, "_seconds_"));
    struct slice words = as_around ? m->key : key->words;
    int rc;

    if (!as_around)
        w->near_key = key == &m->own ? NULL : key;
    if (!as_around && joins_owner(s, m, e, words)) {
        words = buf_slice(&m->both);
        w->near_key = NULL;
    }

    if (w->collecting && key->moment && slice_is(m->key, "_properties_") &&
        json_is(j, e, JSON_OBJECT))
        scrub_bounds_learn(w->bounds, key->words, j, e);
    w->place = PLACE_TEXT;
    if (depth == 0 && !w->in_data) {
        w->place =
            (int)scrub_place_of(w, j, m->object, m->key, key, e, &m->around);
        w->in_data = scrub_is_data_key(j, e, key);
        w->member = key->property;
    }
    rc = key->part && w->place == PLACE_TEXT ? part_value(s, m, e, key) : 0;
    if (rc != 0)
        rc = rc < 0 ? rc : ERR_OK;
    else if (key->logprobs &&
             (json_is(j, e, JSON_OBJECT) || json_is(j, e, JSON_ARRAY)))
        rc = logprobs_value(s, j, e, depth);
    else
        rc = json_value(s, j, e, words, depth);
    w->near_key = near;
    w->in_data = data;
    w->member = member;
    return rc;
}

static int one_member(struct scrub_walk *s, struct members *m, json_ref e,
                      unsigned depth)
{
    struct scrub_keys *known = s->w->known_keys;
    const struct json *j = m->j;
    json_ref k = json_key(j, e);
    struct slice raw = json_raw(j, k), text = { raw.p + 1, raw.n - 2 };
    const struct scrub_key *key = scrub_key_of(known, text, &m->own, &m->words);
    int rc = ERR_OK;

    s->w->place = PLACE_TEXT;
    if (key->may_hold_data || key->may_be_name)
        rc = object_key(s, j, k, !key->may_hold_data, depth);
    if (j->nodes[k].count) { /* escaped: what it tells, it tells without */
        buf_reset(&m->text);
        (void)json_text(j, k, &m->text);
        key = scrub_key_of(known, buf_slice(&m->text), &m->own, &m->words);
    }
    return rc < 0 ? rc : member_value(s, m, e, key, depth);
}

static int json_members(struct scrub_walk *s, const struct json *j, json_ref v,
                        struct slice key, unsigned depth)
{
    struct members m = {
        .j = j, .object = v, .key = key, .days = { j, v, key }
    };
    int place = s->w->place, rc = ERR_OK;

    for (json_ref e = json_first(j, v); rc == ERR_OK && e != JSON_NONE;
         e = json_next(j, v, e))
        rc = one_member(s, &m, e, depth);
    s->w->place = place;
    scrub_days_release(&m.days);
    buf_release(&m.text);
    buf_release(&m.words);
    buf_release(&m.both);
    return rc;
}

/* "date_of_birth": [1984, 7, 23]; 1: it is one, and dealt with. */
static int birth_list(struct scrub_walk *s, const struct json *j, json_ref v,
                      struct slice key)
{
    struct scrub_worker *w = s->w;
    uint32_t rule;
    struct slice list[3];
    struct buf now[3] = { 0 };
    size_t n = 0, at[3];
    int rc = 0;

    if (j->nodes[v].count != 3 || w->reveal)
        return 0;
    rule = scrub_date_rule(w->rules);
    if (rule == UINT32_MAX || w->rules->rule[rule].action != SCRUB_SURROGATE)
        return 0;
    for (json_ref e = json_first(j, v); e != JSON_NONE; e = json_next(j, v, e))
        if (json_is(j, e, JSON_NUMBER)) {
            at[n] = j->nodes[e].start;
            list[n++] = json_raw(j, e);
        }
    if (n == 3 && scrub_list_move(w, key, list, now))
        for (size_t i = 0; rc >= 0 && i < 3; i++) {
            struct scrub_edit e = { .start = at[i],
                                    .end = at[i] + list[i].n,
                                    .rep = w->arena.len,
                                    .rep_len = now[i].len,
                                    .rule = rule,
                                    .tier = 1 };

            buf_add_slice(&w->arena, buf_slice(&now[i]));
            rc = scrub_push_edit(s, e) < 0 ? -1 : 1;
        }
    for (size_t i = 0; i < 3; i++)
        buf_release(&now[i]);
    return rc < 0 ? ERR_LIMIT : rc;
}

static int json_value(struct scrub_walk *s, const struct json *j, json_ref v,
                      struct slice key, unsigned depth)
{
    struct slice raw = json_raw(j, v);
    int rc = ERR_OK;

    switch (json_kind(j, v)) {
    case JSON_STRING:
        return string_value(s, (struct slice){ raw.p + 1, raw.n - 2 },
                            j->nodes[v].start + 1, j->nodes[v].count != 0, key,
                            depth);
    case JSON_NUMBER:
        return number_value(s, raw, j->nodes[v].start, key, depth);
    case JSON_OBJECT: return json_members(s, j, v, key, depth);
    case JSON_ARRAY:
        if (key.n && s->w->place == PLACE_TEXT)
            rc = birth_list(s, j, v, key);
        if (rc)
            return rc < 0 ? rc : ERR_OK;
        for (json_ref e = json_first(j, v); rc == ERR_OK && e != JSON_NONE;
             e = json_next(j, v, e))
            rc = json_value(s, j, e, key, depth);
        return rc;
    default: return ERR_OK;
    }
}

/* Depth counts the texts around this one. */
int scrub_text(struct scrub_walk *s, struct slice text, struct slice key,
               unsigned depth)
{
    struct json *j;
    int rc;

    if (depth == 0 && scrub_is_number(slice_trim(text))) {
        struct slice raw = slice_trim(text);

        return number_value(s, raw, (size_t)(raw.p - text.p), key, depth);
    }
    if (!looks_like_json(text))
        return scrub_plain_text(s, text, key, false, depth);
    if (depth > SCRUB_MAX_NESTING)
        return err_set(s->err, ERR_LIMIT,
                       "JSON in strings is nested deeper than %d",
                       SCRUB_MAX_NESTING);
    j = &s->w->level[depth].json;
    if (depth == 0 && s->w->parsed == text.p && j->size == text.n)
        return json_value(s, j, 0, key, depth); /* the second look */
    rc = json_parse(j, text.p, text.n, s->err);
    if (depth == 0)
        s->w->parsed = rc == ERR_OK ? text.p : NULL;
    if (rc == ERR_FORMAT)
        return scrub_plain_text(s, text, key, false, depth);
    return rc < 0 ? rc : json_value(s, j, 0, key, depth);
}
