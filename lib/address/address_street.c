/*
 * address_street.c - the street and its number
 *
 * Asked at a number: it is what stands before a street's name, behind one, or
 * both. Names whose words say that they are streets are sure; a number, words
 * with capitals and another number only look like one.
 */
#include "address/address_priv.h"

#define NAME_WORDS 6 /* of a street */

static const struct address_token *token(const struct address_tokens *t, int i)
{
    static const struct address_token none = { .kind = TOKEN_CODE,
                                               .gap = GAP_HARD };

    return i >= 0 && i < t->count ? &t->item[i] : &none;
}

static bool has(const struct address_tokens *t, int i, unsigned flags)
{
    return token(t, i)->kind == TOKEN_WORD && (address_flags(t, i) & flags);
}

static bool is_number(const struct address_tokens *t, int i, unsigned digits)
{
    const struct address_token *x = token(t, i);

    return x->kind == TOKEN_NUMBER && x->digits <= digits;
}

static bool joined(const struct address_tokens *t, int i)
{
    return token(t, i)->gap == GAP_BLANK;
}

/* May stand in a street's name. */
static bool is_name(const struct address_tokens *t, int i)
{
    if (has(t, i, WORD_STOP | WORD_UNIT) ||
        (has(t, i, WORD_LOCATE) && !has(t, i, WORD_PARTICLE)))
        return false;
    return has(t, i,
               WORD_CAPITAL | WORD_PARTICLE | WORD_STREET | WORD_COMPOUND |
                   WORD_AFTER | WORD_PREFIX) ||
           (has(t, i, WORD_WEAK) && has(t, i, WORD_CAPITAL));
}

static bool says_street(const struct address_tokens *t, int from, int to)
{
    for (int i = from; i <= to; i++)
        if (has(t, i, WORD_COMPOUND) ||
            (has(t, i, WORD_STREET | WORD_AFTER) && i > from) ||
            (has(t, i, WORD_PREFIX) && i < to))
            return true;
    return false;
}

/* "USB Drive", "Hard Drive" */
static bool is_device(const struct address_tokens *t, int i)
{
    static const char *const words[] = { "usb",  "hard",   "flash", "disk",
                                         "test", "google", NULL };

    for (int k = 0; words[k]; k++)
        if (address_is_word(t, i, words[k]))
            return true;
    return false;
}

/* The name from token i on that ends in a street's word: its last token, or
 * -1. *weak: that word has other meanings, or nothing has a capital. */
static int name_ahead(const struct address_tokens *t, int i, bool *weak)
{
    int last = -1;
    bool capital = false;

    for (int j = i; j < i + NAME_WORDS; j++) {
        bool ends;

        if (!joined(t, j) || token(t, j)->kind != TOKEN_WORD ||
            has(t, j, WORD_STOP | WORD_UNIT) ||
            (has(t, j, WORD_LOCATE) && !has(t, j, WORD_PARTICLE)))
            break;
        ends = has(t, j, WORD_STREET | WORD_WEAK) ||
               (has(t, j, WORD_AFTER) && has(t, j, WORD_CAPITAL));
        if (j > i && ends && !is_device(t, j - 1) &&
            (capital || !has(t, j, WORD_CAPITAL))) {
            *weak = !capital || !has(t, j, WORD_STREET);
            last = j;
            if (!*weak)
                break;
        }
        capital |= has(t, j, WORD_CAPITAL) && !has(t, j, WORD_PARTICLE);
        if (j - i >= 4)
            break;
    }
    return last;
}

/* "rue de la Hulotais", "Via Roma": the last token of the name, or -1. */
static int prefixed_name(const struct address_tokens *t, int i)
{
    int j = i + 1, last = -1;

    if (!has(t, i, WORD_PREFIX))
        return -1;
    for (; j <= i + NAME_WORDS && joined(t, j); j++) {
        if (has(t, j, WORD_PARTICLE) && !has(t, j, WORD_CAPITAL))
            continue;
        if (!has(t, j, WORD_CAPITAL) || has(t, j, WORD_UNIT) ||
            (has(t, j, WORD_STOP) && !has(t, j - 1, WORD_PARTICLE)))
            break; /* but Rua 7 de Setembro */
        last = j;
    }
    if (last < 0 && token(t, j)->kind == TOKEN_WORD && joined(t, j) &&
        !has(t, j, WORD_STOP | WORD_UNIT) && !has(t, i, WORD_CAPITAL))
        last = j; /* all in small letters */
    return last;
}

/* Words with capitals and a number behind: its token, or -1. */
static int number_ahead(const struct address_tokens *t, int i)
{
    int j = i, capitals = 0;

    for (; j < i + NAME_WORDS && joined(t, j) && is_name(t, j); j++)
        capitals +=
            has(t, j, WORD_CAPITAL) &&
            (!has(t, j, WORD_UPPER) || token(t, j)->end - token(t, j)->at > 3);
    if (capitals && joined(t, j) && is_number(t, j, 4) &&
        has(t, j - 1, WORD_CAPITAL | WORD_AFTER | WORD_COMPOUND | WORD_STREET))
        return j;
    return -1;
}

/* "2505 Heatherleigh Suite 620": the last word before the flat, or -1. */
static int name_with_unit(const struct address_tokens *t, int i)
{
    int j = i;

    while (j < i + 4 && joined(t, j) && is_name(t, j) &&
           has(t, j, WORD_CAPITAL))
        j++;
    return j > i && joined(t, j) && has(t, j, WORD_UNIT) &&
                   has(t, j, WORD_CAPITAL) && joined(t, j + 1) &&
                   is_number(t, j + 1, 5)
               ? j - 1
               : -1;
}

static int with_direction(const struct address_tokens *t, int last)
{
    return joined(t, last + 1) && has(t, last + 1, WORD_DIRECTION) &&
                   has(t, last + 1, WORD_CAPITAL)
               ? last + 1
               : last;
}

static bool is_year(const struct address_tokens *t, int k)
{
    const char *p = t->text.p + token(t, k)->at;

    return is_number(t, k, 4) && token(t, k)->digits == 4 &&
           ((p[0] == '1' && p[1] == '9') || (p[0] == '2' && p[1] == '0'));
}

/* "in 2008 Wall Street fell" */
static bool is_year_of_event(const struct address_tokens *t, int k)
{
    static const char *const words[] = { "in",     "since", "by",   "during",
                                         "of",     "until", "from", "before",
                                         "around", "the",   NULL };

    if (!is_year(t, k))
        return false;
    for (int i = 0; words[i]; i++)
        if (address_is_word(t, k - 1, words[i]))
            return true;
    return false;
}

/* "35. Ghent trails": the number ends a sentence, and no street is called so.
 */
static bool is_sentence(const struct address_tokens *t, int k, int last)
{
    size_t end = token(t, k)->end;

    return end < t->text.n && t->text.p[end] == '.' &&
           !has(t, last, WORD_CAPITAL);
}

/* Number first. */
static int street_behind(const struct address_tokens *t, int k, int *last)
{
    bool weak = false;
    int name, number;

    if (!is_number(t, k, 5) || !joined(t, k + 1))
        return 0;
    name = prefixed_name(t, k + 1);
    if (name > 0) {
        *last =
            joined(t, name + 1) && is_number(t, name + 1, 5) ? name + 1 : name;
        return 1;
    }
    name = name_with_unit(t, k + 1);
    if (name > 0) {
        *last = name;
        return 1;
    }
    number = number_ahead(t, k + 1);
    name = name_ahead(t, k + 1, &weak);
    if (number > 0 && number > name) {
        *last = number;
        return says_street(t, k + 1, number - 1) ? 1 : 2;
    }
    if (name > 0 && !is_sentence(t, k, name)) {
        *last = with_direction(t, name);
        return weak ? 2 : 1;
    }
    return 0;
}

/* First token of a name that ends before token k, as far back as words with
 * capitals go; a number before them ends it. */
static int name_start(const struct address_tokens *t, int k, int words)
{
    int i = k - 1;

    while (k - i < words && joined(t, i) && has(t, i - 1, WORD_CAPITAL) &&
           !has(t, i - 1, WORD_STOP))
        i--;
    return i;
}

/* "UFC", "PSC" */
static bool is_initials(const struct address_tokens *t, int i)
{
    return has(t, i, WORD_UPPER) && token(t, i)->end - token(t, i)->at < 5;
}

/* Prefix word of the name that ends before token k, or -1. */
static int prefix_before(const struct address_tokens *t, int k)
{
    for (int i = k - 1; i >= 0 && k - i <= NAME_WORDS; i--) {
        if (has(t, i, WORD_PREFIX) && i < k - 1)
            return i;
        if (!(is_name(t, i) || has(t, i, WORD_PARTICLE) ||
              (has(t, i, WORD_CAPITAL) && has(t, i - 1, WORD_PARTICLE))) ||
            !joined(t, i))
            return -1;
    }
    return -1;
}

static bool is_small_number(const struct address_tokens *t, int k)
{
    return is_number(t, k, 4) &&
           (joined(t, k) || token(t, k)->gap == GAP_COMMA);
}

/* Number behind. */
static int street_before(const struct address_tokens *t, int k, int *first)
{
    int prefix;

    if (!is_small_number(t, k) || token(t, k - 1)->kind != TOKEN_WORD)
        return 0;
    prefix = prefix_before(t, k);
    if (prefix >= 0 && has(t, k - 1, WORD_CAPITAL)) {
        *first = prefix;
        return has(t, prefix, WORD_CAPITAL | WORD_DOT) ? 1 : 2;
    }
    if (!joined(t, k))
        return 0;
    if (has(t, k - 1, WORD_COMPOUND)) {
        *first = name_start(t, k, 1);
        if (joined(t, k - 1) && has(t, k - 2, WORD_CAPITAL) &&
            !has(t, k - 2, WORD_STOP | WORD_LOCATE) &&
            address_flags(t, k - 2) & WORD_DOT)
            *first = k - 2; /* C. Beerninckstraat */
        return 1;
    }
    if (has(t, k - 1, WORD_AFTER | WORD_STREET) && joined(t, k - 1) &&
        (has(t, k - 2, WORD_CAPITAL) ||
         (token(t, k - 2)->kind == TOKEN_WORD && joined(t, k - 2) &&
          !has(t, k - 2, WORD_STOP | WORD_LOCATE) &&
          has(t, k - 3, WORD_CAPITAL)))) {
        *first = name_start(t, has(t, k - 2, WORD_CAPITAL) ? k : k - 2, 4);
        return has(t, k - 1, WORD_AFTER) ? 1 : 2;
    }
    if (!has(t, k - 1, WORD_CAPITAL) || has(t, k - 1, WORD_STOP) ||
        token(t, k - 1)->end - token(t, k - 1)->at < 3)
        return 0;
    *first = name_start(t, k, 4);
    for (int i = *first; i < k; i++)
        if (is_initials(t, i))
            return 0;
    return is_year(t, k) ? 0 : 3;
}

/* "PSC 9009, Box 9725 APO AA 33274", asked at the last number. */
static int military(const struct address_tokens *t, int k, int *first)
{
    int i = k - 3;

    if (!is_number(t, k, 5) || token(t, k)->digits != 5 ||
        !has(t, k - 2, WORD_MILITARY) ||
        !(address_is_word(t, k - 1, "aa") || address_is_word(t, k - 1, "ae") ||
          address_is_word(t, k - 1, "ap")))
        return 0;
    if (is_number(t, i, 5) && has(t, i - 1, WORD_BOX)) {
        i -= 2;
        if (is_number(t, i, 5) && token(t, i - 1)->kind == TOKEN_WORD)
            i -= 2;
        *first = i + 1;
        return 1;
    }
    while (i > k - 6 && token(t, i)->kind == TOKEN_WORD &&
           token(t, i + 1)->gap != GAP_HARD) {
        if (address_is_word(t, i, "uss") || address_is_word(t, i, "usns") ||
            address_is_word(t, i, "usnv") || address_is_word(t, i, "usnm") ||
            address_is_word(t, i, "uscgc")) {
            *first = i;
            return 1;
        }
        i--;
    }
    *first = k - 2;
    return 1;
}

/* The same, asked at the first number. */
static bool military_ahead(const struct address_tokens *t, int k, int *last)
{
    int first;

    if (!is_number(t, k, 5) || !has(t, k + 1, WORD_BOX) ||
        !is_number(t, k + 2, 5) || k + 5 >= t->count ||
        !military(t, k + 5, &first))
        return false;
    *last = k + 5;
    return true;
}

static int post_box(const struct address_tokens *t, int k, int *first)
{
    if (!is_number(t, k, 6) || !joined(t, k) || !has(t, k - 1, WORD_BOX))
        return 0;
    *first = k - 1;
    if (!address_is_word(t, k - 1, "box"))
        return has(t, k - 1, WORD_CAPITAL) ? 1 : 2;
    if (address_is_word(t, k - 2, "office") &&
        address_is_word(t, k - 3, "post"))
        *first = k - 3;
    else if (address_is_word(t, k - 2, "o") && address_is_word(t, k - 3, "p"))
        *first = k - 3;
    else if (address_is_word(t, k - 2, "po"))
        *first = k - 2;
    else
        return 0;
    return 1;
}

/* Rooms and floors by themselves are nobody's. */
static bool is_home(const struct address_tokens *t, int i)
{
    static const char *const words[] = { "apt",  "apartment", "suite",
                                         "ste",  "flat",      "wohnung",
                                         "lejl", "appt",      "appartement",
                                         NULL };

    for (int k = 0; words[k]; k++)
        if (address_is_word(t, i, words[k]))
            return true;
    return false;
}

/* "Suite 913 0547 Bygget 91", asked at the first number. */
static int unit_first(const struct address_tokens *t, int k, int *first,
                      int *last)
{
    int tier = 0;

    if (!joined(t, k) || !has(t, k - 1, WORD_UNIT) || !is_number(t, k, 5))
        return 0;
    *first = k - 1;
    *last = k;
    if (is_number(t, k + 1, 5))
        tier = street_behind(t, k + 1, last);
    if (tier > 1 && !joined(t, k + 1))
        *last = k;
    else if (tier)
        return 1;
    return has(t, k - 1, WORD_CAPITAL) && is_home(t, k - 1) ? 2 : 0;
}

/* Words with capitals before a number that a second name follows: "Tungata 11
 * Rott Crossroad", behind a word that says where. */
static int name_before(const struct address_tokens *t, int k)
{
    int i = k;

    while (k - i < 3 && joined(t, i) && has(t, i - 1, WORD_CAPITAL) &&
           !has(t, i - 1, WORD_STOP))
        i--;
    if (i == k || (k - i == 1 && has(t, i, WORD_LOCATE)))
        return k;
    if (joined(t, i) &&
        (has(t, i - 1, WORD_LOCATE) || address_is_word(t, i - 1, "with")))
        return i;
    return k;
}

/* Small letters only: "74678 midtvollen 130"; worth something with what
 * follows alone. */
static int small_letters(const struct address_tokens *t, int k, int *last)
{
    int j = k + 1;

    if (!is_number(t, k, 5))
        return 0;
    while (j <= k + 4 && joined(t, j) && token(t, j)->kind == TOKEN_WORD &&
           !has(t, j, WORD_STOP | WORD_UNIT | WORD_LOCATE))
        j++;
    if (j == k + 1 || !joined(t, j) || !is_number(t, j, 4))
        return 0;
    *last = j;
    return says_street(t, k + 1, j - 1) ? 3 : 4;
}

static int around_number(const struct address_tokens *t, int k, int *first,
                         int *last)
{
    int start = k, end = k, tier, before = street_before(t, k, &start);

    if (before == 1) {
        *first = start;
        return 1;
    }
    tier = street_behind(t, k, last);
    if (!tier && is_number(t, k + 1, 5) && joined(t, k + 1)) {
        tier = street_behind(t, k + 1, last);
        if (tier == 2 && !is_number(t, *last, 9))
            tier = 1; /* two numbers before it are more than chance */
    }
    if (tier) {
        *first = name_before(t, k);
        return tier;
    }
    if (before) {
        *first = start;
        *last = k;
        return before;
    }
    tier = small_letters(t, k, &end);
    *last = tier ? end : k;
    return tier;
}

int address_street(const struct address_tokens *t, int k, int *first, int *last)
{
    int tier;

    *first = *last = k;
    if (k > 0 && military_ahead(t, k, last)) {
        *first = k - 1;
        return 1;
    }
    if (is_year_of_event(t, k)) {
        bool sure = false;

        tier = street_behind(t, k, last); /* what follows must say so */
        if (tier)
            (void)address_tail(t, k, *last, &sure);
        return sure ? tier : 0;
    }
    tier = military(t, k, first);
    if (!tier)
        tier = post_box(t, k, first);
    if (!tier)
        tier = unit_first(t, k, first, last);
    return tier ? tier : around_number(t, k, first, last);
}
