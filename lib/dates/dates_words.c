/*
 * dates_words.c - names of months and weekdays, and how they are written
 *
 * Rows, each one language in one form (the form of a date where nouns are
 * inflected), so that another word of the same row fits the same place. Words
 * are matched whole and without regard to case.
 */
#include "dates/dates_priv.h"

#include <pthread.h>
#include <string.h>

#define ENGLISH 1u
#define SHORT 2u
#define CAPITAL 4u /* the language writes it with a capital */
#define OF 16u     /* and a word between day and month */
#define POINT 8u   /* and the day before it with a point */
#define ROMAN 32u  /* numbers, which only dates_month_roman knows */

struct words {
    unsigned flags;
    const char *word[12]; /* lower case; seven for weekdays */
};

static const struct words months[] = {
    { ENGLISH | CAPITAL,
      { "january", "february", "march", "april", "may", "june", "july",
        "august", "september", "october", "november", "december" } },
    { ENGLISH | SHORT | CAPITAL,
      { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct",
        "nov", "dec" } },
    { ENGLISH | SHORT | CAPITAL,
      { "jan", "feb", "mar", "apr", "may", "june", "july", "aug", "sept", "oct",
        "nov", "dec" } },
    { CAPITAL | POINT,
      { "januar", "februar", "märz", "april", "mai", "juni", "juli", "august",
        "september", "oktober", "november", "dezember" } },
    { CAPITAL | POINT,
      { "jänner", "feber", "märz", "april", "mai", "juni", "juli", "august",
        "september", "oktober", "november", "dezember" } },
    { SHORT | CAPITAL | POINT,
      { "jan", "feb", "mär", "apr", "mai", "jun", "jul", "aug", "sep", "okt",
        "nov", "dez" } },
    { SHORT | CAPITAL | POINT,
      { "jan", "feb", "mrz", "apr", "mai", "jun", "jul", "aug", "sept", "okt",
        "nov", "dez" } },
    { 0,
      { "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août",
        "septembre", "octobre", "novembre", "décembre" } },
    { SHORT,
      { "janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "sept",
        "oct", "nov", "déc" } },
    { 0,
      { "janvier", "fevrier", "mars", "avril", "mai", "juin", "juillet", "aout",
        "septembre", "octobre", "novembre", "decembre" } },
    { OF,
      { "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio",
        "agosto", "septiembre", "octubre", "noviembre", "diciembre" } },
    { SHORT | OF,
      { "ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct",
        "nov", "dic" } },
    { 0,
      { "gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio",
        "agosto", "settembre", "ottobre", "novembre", "dicembre" } },
    { SHORT,
      { "gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott",
        "nov", "dic" } },
    { OF,
      { "janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho",
        "agosto", "setembro", "outubro", "novembro", "dezembro" } },
    { SHORT | OF,
      { "jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out",
        "nov", "dez" } },
    { 0,
      { "januari", "februari", "maart", "april", "mei", "juni", "juli",
        "augustus", "september", "oktober", "november", "december" } },
    { SHORT,
      { "jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt",
        "nov", "dec" } },
    { 0,
      { "januari", "februari", "mars", "april", "maj", "juni", "juli",
        "augusti", "september", "oktober", "november", "december" } },
    { 0,
      { "januar", "februar", "marts", "april", "maj", "juni", "juli", "august",
        "september", "oktober", "november", "december" } },
    { POINT,
      { "januar", "februar", "mars", "april", "mai", "juni", "juli", "august",
        "september", "oktober", "november", "desember" } },
    { POINT,
      { "tammikuuta", "helmikuuta", "maaliskuuta", "huhtikuuta", "toukokuuta",
        "kesäkuuta", "heinäkuuta", "elokuuta", "syyskuuta", "lokakuuta",
        "marraskuuta", "joulukuuta" } },
    { 0,
      { "stycznia", "lutego", "marca", "kwietnia", "maja", "czerwca", "lipca",
        "sierpnia", "września", "października", "listopada", "grudnia" } },
    { POINT,
      { "ledna", "února", "března", "dubna", "května", "června", "července",
        "srpna", "září", "října", "listopadu", "prosince" } },
    { POINT,
      { "januára", "februára", "marca", "apríla", "mája", "júna", "júla",
        "augusta", "septembra", "októbra", "novembra", "decembra" } },
    { POINT,
      { "januarja", "februarja", "marca", "aprila", "maja", "junija", "julija",
        "avgusta", "septembra", "oktobra", "novembra", "decembra" } },
    { POINT,
      { "siječnja", "veljače", "ožujka", "travnja", "svibnja", "lipnja",
        "srpnja", "kolovoza", "rujna", "listopada", "studenoga", "prosinca" } },
    { POINT,
      { "január", "február", "március", "április", "május", "június", "július",
        "augusztus", "szeptember", "október", "november", "december" } },
    { 0,
      { "ianuarie", "februarie", "martie", "aprilie", "mai", "iunie", "iulie",
        "august", "septembrie", "octombrie", "noiembrie", "decembrie" } },
    { CAPITAL,
      { "ocak", "şubat", "mart", "nisan", "mayıs", "haziran", "temmuz",
        "ağustos", "eylül", "ekim", "kasım", "aralık" } },
    { POINT,
      { "jaanuar", "veebruar", "märts", "aprill", "mai", "juuni", "juuli",
        "august", "september", "oktoober", "november", "detsember" } },
    { POINT,
      { "janúar", "febrúar", "mars", "apríl", "maí", "júní", "júlí", "ágúst",
        "september", "október", "nóvember", "desember" } },
    { CAPITAL,
      { "ιανουαρίου", "φεβρουαρίου", "μαρτίου", "απριλίου", "μαΐου", "ιουνίου",
        "ιουλίου", "αυγούστου", "σεπτεμβρίου", "οκτωβρίου", "νοεμβρίου",
        "δεκεμβρίου" } },
    { 0,
      { "января", "февраля", "марта", "апреля", "мая", "июня", "июля",
        "августа", "сентября", "октября", "ноября", "декабря" } },
    { 0,
      { "січня", "лютого", "березня", "квітня", "травня", "червня", "липня",
        "серпня", "вересня", "жовтня", "листопада", "грудня" } },
    { 0,
      { "януари", "февруари", "март", "април", "май", "юни", "юли", "август",
        "септември", "октомври", "ноември", "декември" } },
    { ROMAN | POINT,
      { "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi",
        "xii" } },
};

static const struct words weekdays[] = {
    { ENGLISH | CAPITAL,
      { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
        "sunday" } },
    { ENGLISH | SHORT | CAPITAL,
      { "mon", "tue", "wed", "thu", "fri", "sat", "sun" } },
    { ENGLISH | SHORT | CAPITAL,
      { "mon", "tues", "wed", "thurs", "fri", "sat", "sun" } },
    { CAPITAL,
      { "montag", "dienstag", "mittwoch", "donnerstag", "freitag", "samstag",
        "sonntag" } },
    { CAPITAL,
      { "montag", "dienstag", "mittwoch", "donnerstag", "freitag", "sonnabend",
        "sonntag" } },
    { SHORT | CAPITAL, { "mo", "di", "mi", "do", "fr", "sa", "so" } },
    { 0,
      { "lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi",
        "dimanche" } },
    { 0,
      { "lunes", "martes", "miércoles", "jueves", "viernes", "sábado",
        "domingo" } },
    { 0,
      { "lunedì", "martedì", "mercoledì", "giovedì", "venerdì", "sabato",
        "domenica" } },
    { 0,
      { "segunda", "terça", "quarta", "quinta", "sexta", "sábado",
        "domingo" } },
    { 0,
      { "maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag",
        "zondag" } },
    { 0,
      { "måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag",
        "söndag" } },
    { 0,
      { "mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag",
        "søndag" } },
    { 0,
      { "poniedziałek", "wtorek", "środa", "czwartek", "piątek", "sobota",
        "niedziela" } },
    { 0,
      { "понедельник", "вторник", "среда", "четверг", "пятница", "суббота",
        "воскресенье" } },
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define BUCKETS 256

/* All months by length and first bytes: heads of chains through next. */
static short bucket[BUCKETS];
static short next[COUNT(months) * 12];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned slot(const char *p, size_t n)
{
    return ((unsigned char)p[0] * 31u + (unsigned char)p[1] * 7u +
            (unsigned)n) %
           BUCKETS;
}

static void build(void)
{
    memset(bucket, -1, sizeof(bucket));
    for (int i = COUNT(next) - 13; i >= 0; i--) { /* no Roman ones */
        const char *word = months[i / 12].word[i % 12];
        unsigned b = slot(word, strlen(word));

        next[i] = bucket[b];
        bucket[b] = (short)i;
    }
}

static uint32_t lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
        (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F))
        return c + 0x20;
    if (c >= 0x400 && c <= 0x40F)
        return c + 0x50;
    if (c >= 0x388 && c <= 0x38A)
        return c + 0x25;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c + (c & 1);
    if (c >= 0x100 && c <= 0x177)
        return c | 1;
    return c == 0x386 ? 0x3AC : c;
}

static uint32_t upper(uint32_t c)
{
    static const uint8_t back[] = { 0x20, 0x50, 0x25, 1 };

    for (size_t i = 0; i < sizeof(back); i++)
        if (c > 0x60 && lower(c - back[i]) == c)
            return c - back[i];
    return c == 0x3AC ? 0x386 : c;
}

/* At most DATES_WORD_MAX bytes; 0 if longer or no UTF-8. */
static size_t fold(const char *p, size_t n, char out[DATES_WORD_MAX + 4])
{
    size_t len = 0;

    for (size_t i = 0, used; i < n; i += used) {
        int32_t c = utf8_decode(p + i, n - i, &used);

        if (c < 0 || len > DATES_WORD_MAX)
            return 0;
        len += utf8_encode(lower((uint32_t)c), out + len);
    }
    return len > DATES_WORD_MAX ? 0 : len;
}

bool dates_is_letter(char c)
{
    return ascii_is_letter(c) || (unsigned char)c >= 0x80;
}

size_t dates_word_length(struct slice t, size_t at)
{
    size_t i = at;

    while (i < t.n && i - at <= DATES_WORD_MAX && dates_is_letter(t.p[i]))
        i++;
    return i - at;
}

/* A dash, quote or blank beyond ASCII ends before i: no part of a word. */
static bool is_mark_before(struct slice t, size_t i)
{
    const unsigned char *p = (const unsigned char *)t.p + i;

    if (i >= 2 && p[-2] == 0xC2)
        return p[-1] < 0xC0 && !memchr("\xAA\xB5\xBA", p[-1], 3);
    return i >= 3 && ((p[-3] == 0xE2 && (p[-2] | 1) == 0x81) ||
                      (p[-3] == 0xE3 && p[-2] == 0x80));
}

size_t dates_word_start(struct slice t, size_t end)
{
    size_t i = end;

    while (i > 0 && end - i <= DATES_WORD_MAX && dates_is_letter(t.p[i - 1]) &&
           !is_mark_before(t, i))
        i--;
    return i;
}

static bool is_capital(const char *p, size_t n)
{
    size_t used;
    int32_t c = utf8_decode(p, n, &used);

    return c >= 0 && lower((uint32_t)c) != (uint32_t)c;
}

/* How well row fits a word: languages that end the day with a point, or that
 * write the word as it is written here, go first. */
static int fitness(const struct words *w, unsigned beside, bool capital)
{
    return (w->flags & beside ? 4 : 0) +
           (capital == ((w->flags & CAPITAL) != 0) ? 1 : 0) +
           (w->flags & ENGLISH ? 2 : 0) - (w->flags & OF ? 1 : 0);
}

struct dates_word dates_month(const char *p, size_t n, enum dates_beside beside)
{
    struct dates_word found = { -1, 0, n };
    char low[DATES_WORD_MAX + 4];
    unsigned flags = beside == DATES_BESIDE_POINT ? POINT
                     : beside == DATES_BESIDE_OF  ? OF
                                                  : 0;
    size_t len;
    int best = -9;

    if (n < 3 || n > DATES_WORD_MAX)
        return found;
    pthread_once(&once, build);
    len = fold(p, n, low);
    if (len < 3)
        return found;
    for (int i = bucket[slot(low, len)]; i >= 0; i = next[i]) {
        const char *word = months[i / 12].word[i % 12];
        int score;

        if (strlen(word) != len || memcmp(word, low, len) != 0)
            continue;
        score = fitness(&months[i / 12], flags, is_capital(p, n));
        if (score > best) {
            best = score;
            found.row = i / 12;
            found.index = i % 12 + 1;
        }
    }
    return found;
}

struct dates_word dates_month_roman(const char *p, size_t n)
{
    struct dates_word found = { -1, 0, n };

    for (int i = 0; i < 12; i++) {
        const char *word = months[COUNT(months) - 1].word[i];
        size_t k = 0;

        while (k < n && word[k] && p[k] == (char)(word[k] & ~0x20))
            k++;
        if (k == n && !word[k]) {
            found.row = COUNT(months) - 1;
            found.index = i + 1;
        }
    }
    return found;
}

struct dates_word dates_weekday(const char *p, size_t n)
{
    struct dates_word found = { -1, 0, n };
    char low[DATES_WORD_MAX + 4];
    size_t len;

    if (n < 2 || n > DATES_WORD_MAX)
        return found;
    len = fold(p, n, low);
    for (int row = 0; len && row < COUNT(weekdays); row++)
        for (int i = 0; i < 7; i++) {
            const char *word = weekdays[row].word[i];

            if (word[0] == low[0] && strlen(word) == len &&
                memcmp(word, low, len) == 0)
                return (struct dates_word){ row, i + 1, n };
        }
    return found;
}

void dates_word_put(bool weekday, int row, int index, struct slice old,
                    struct buf *out)
{
    const struct words *w = weekday ? &weekdays[row] : &months[row];
    const char *word = w->word[index - 1];
    size_t n = strlen(word), first = 0;
    bool capital = is_capital(old.p, old.n), all;

    (void)utf8_decode(old.p, old.n, &first);
    all = (w->flags & ROMAN) || (capital && first < old.n &&
                                 is_capital(old.p + first, old.n - first));
    for (size_t i = 0, used; i < n; i += used) {
        uint32_t c = (uint32_t)utf8_decode(word + i, n - i, &used);
        char bytes[4];

        if (all || (capital && i == 0))
            c = upper(c);
        buf_add(out, bytes, utf8_encode(c, bytes));
    }
}

bool dates_month_english(int row)
{
    return months[row].flags & ENGLISH;
}

int dates_month_shorter(int row, struct slice word)
{
    return row == 0 && word.n == 3 ? 1 : row;
}

bool dates_month_short(int row)
{
    return months[row].flags & SHORT;
}
