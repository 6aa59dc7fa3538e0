/*
 * address_words.c - the words that addresses are made of
 *
 * Whole words by a hash table, endings of compounds by comparison. The words
 * are common nouns of some thirty languages, in lower case; capitals of ASCII
 * and Latin-1 are folded, others stand in both forms.
 */
#include "address/address_priv.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

struct group {
    unsigned flags;
    const char *words; /* between single blanks */
};

static const struct group groups[] = {
    { WORD_STREET,
      "street st streets str road rd avenue ave boulevard blvd lane ln drive "
      "dr terrace parkway pkwy highway hwy square sq crescent turnpike "
      "freeway expressway crossroad crossroads causeway mews alley "
      "stravenue throughway trafficway underpass overpass motorway skyway "
      "viaduct esplanade" },
    { WORD_WEAK,
      "bend bluff branch bridge brook burg bypass camp canyon cape center "
      "centers circle circles cliff cliffs club common commons corner corners "
      "course court courts ct cove coves creek crest crossing curve dale dam "
      "divide estate estates extension extensions fall falls ferry field "
      "fields flat flats ford fords forest forge forges fork forks fort "
      "garden gardens gateway glen glens green greens grove groves harbor "
      "harbors haven heights hill hills hollow inlet island islands isle "
      "junction junctions key keys knoll knolls lake lakes land landing light "
      "lights loaf lock locks lodge loop mall manor manors meadow meadows "
      "mill mills mission mount mountain mountains neck orchard oval park "
      "parks parkways pass passage path pike pine pines place pl plain plains "
      "plaza point points port ports prairie radial ramp ranch rapid rapids "
      "rest ridge ridges river roads route row run shoal shoals shore shores "
      "spring springs spur spurs squares station stream summit track trace "
      "trail trails tunnel union unions valley valleys via view views village "
      "villages ville vista walk walks wall way ways well wells rise gate "
      "close "
      "quay wharf parade" },
    { WORD_PREFIX,
      "rue avenue av boulevard bd blvd chemin impasse allée allee quai via "
      "viale piazza piazzale corso vicolo largo strada contrada calle avenida "
      "avda plaza paseo camino carretera ronda travesía travesia carrer rúa "
      "rua praça praca travessa estrada alameda rodovia ul ulica aleja al "
      "jalan jl λεωφόρος Λεωφόρος Οδός οδός улица ул проспект "
      "Улица Проспект переулок calea bulevardul strada faubourg" },
    { WORD_AFTER,
      "utca utcája u út útja tér tere krt körút rkp rakpart köz sétány "
      "strasse straße str weg gasse allee platz terrasse ulice náměstí nám "
      "třída cesta tänav mnt puiestee iela gatvė sokak sokağı caddesi cad "
      "bulvarı tee põik tn pst laan straat plein kapu sor dűlő gata gate vei "
      "veien vej gade "
      "väg vägen gatan katu tie" },
    { WORD_UNIT, "apt apartment suite ste unit flat floor fl room rm bldg "
                 "building wohnung appartement appt piso planta lejl" },
    { WORD_PARTICLE,
      "de la le les du des del della delle dei degli di da do "
      "dos das den der die het van von zu zum zur of the e y i "
      "el los las au aux z ze na nad u el- al ibn bin san santa v w "
      "a" },
    { WORD_STOP,
      "january february march april may june july august september october "
      "november december jan feb mar apr jun jul aug sep sept oct nov dec "
      "januar februar märz mai juni juli oktober dezember janvier février mars "
      "avril juin juillet août septembre octobre novembre décembre enero "
      "febrero marzo abril mayo junio julio agosto septiembre octubre "
      "noviembre diciembre gennaio febbraio aprile maggio giugno luglio "
      "settembre ottobre dicembre janeiro fevereiro março maio junho julho "
      "setembro outubro novembro dezembro januari februari maart mei augustus "
      "monday tuesday wednesday thursday friday saturday sunday am pm utc gmt "
      "est edt cst pst usd eur gbp kg km mb gb tb hz mhz ghz version chapter "
      "section option options reservation seat ticket order bag "
      "section figure table step page line row level flight task question "
      "answer windows iphone android python java chrome room gate terminal "
      "year years day days hour hours minute minutes week weeks month months "
      "passengers people miles dollars euros percent items bags he she it we "
      "it's i'm that's here's they you i this that there these those please "
      "thanks thank yes no not "
      "is are was were will would can could should if then else when what "
      "which who how why and or but so than with for by" },
    { WORD_DIRECTION, "n s e w ne nw se sw north south east west northeast "
                      "northwest southeast southwest" },
    { WORD_BOX, "box postbox postboks postfach pobox apartado casilla" },
    { WORD_LOCATE, "at on in is to of from near address lives live located "
                   "visit and" },
    { WORD_MILITARY, "apo fpo dpo" },
    { WORD_COUNTRY,
      "afghanistan albania algeria argentina armenia australia austria "
      "azerbaijan bahrain bangladesh belarus belgium bolivia botswana brazil "
      "brasil bulgaria cambodia cameroon canada chile china colombia croatia "
      "cuba cyprus czechia denmark danmark ecuador egypt estonia ethiopia "
      "finland france georgia germany deutschland ghana greece greenland "
      "greenlander guatemala honduras hungary iceland india indonesia iran "
      "iraq ireland israel italy italia jamaica japan jordan kazakhstan kenya "
      "korea kuwait latvia lebanon libya lithuania luxembourg malaysia malta "
      "mexico moldova monaco mongolia montenegro morocco nepal netherlands "
      "nederland nicaragua nigeria norway norge oman pakistan panama paraguay "
      "peru philippines poland polska portugal qatar romania russia serbia "
      "singapore slovakia slovenia somalia spain españa sudan sweden sverige "
      "switzerland schweiz suisse syria taiwan tanzania thailand tunisia "
      "turkey uganda ukraine uruguay usa uk uae uzbekistan venezuela vietnam "
      "yemen zambia zimbabwe kingdom zealand republic states africa rica "
      "arabia emirates" },
};

/* Endings that make a word a street's, if enough stands before. */
static const char *const endings[] = {
    "straße",  "strasse", "straat",  "gatan",  "gasse",  "vägen", "vagen",
    "veien",   "vegen",   "vegur",   "gade",   "katu",   "laan",  "platz",
    "plein",   "allee",   "gracht",  "stræde", "plads",  "gata",  "braut",
    "utca",    "torget",  "plassen", "dijk",   "singel", "steeg", "ufer",
    "damm",    "ringvej", "gränd",   "stigen", "kuja",   "polku", "vegi",
    "gränden", "svingen", "bakken",  "backen", "stieg",  "steig", "vænget",
    "sgata",   "weg",     "vej",     "gasse",  "parken", "tunet", "lundur",
};

#define ENTRIES 1024
#define TABLE 4096 /* a power of two */

struct entry {
    const char *p;
    unsigned char n;
    unsigned flags;
};

#define ENDINGS (sizeof(endings) / sizeof(*endings))
/* By their last byte: the first of such endings and one, then the next. */
static unsigned char ending_by_last[256], ending_next[ENDINGS];
static unsigned char ending_size[ENDINGS];
/* The table holds places in entries, so that most words that are none of them
 * cost one look at little memory. */
static struct entry entries[ENTRIES];
static unsigned short table[TABLE]; /* place and 1; 0: free */
static size_t entry_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned short *slot(const char *p, size_t n)
{
    unsigned h = 2166136261u;

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    h ^= h >> 13;
    for (;; h++) {
        unsigned short *at = &table[h & (TABLE - 1)];

        if (!*at ||
            (entries[*at - 1].n == n && memcmp(entries[*at - 1].p, p, n) == 0))
            return at;
    }
}

static void build(void)
{
    for (size_t i = 0; i < ENDINGS; i++) {
        size_t n = strlen(endings[i]);
        unsigned char last = (unsigned char)endings[i][n - 1];

        ending_size[i] = (unsigned char)n;
        ending_next[i] = ending_by_last[last];
        ending_by_last[last] = (unsigned char)(i + 1);
    }
    for (size_t g = 0; g < sizeof(groups) / sizeof(*groups); g++)
        for (const char *p = groups[g].words; *p;) {
            size_t n = strcspn(p, " ");
            unsigned short *at = slot(p, n);

            if (!*at) {
                assert(entry_count < ENTRIES);
                entries[entry_count] = (struct entry){ p, 0, 0 };
                entries[entry_count++].n = (unsigned char)n;
                *at = (unsigned short)entry_count;
            }
            entries[*at - 1].flags |= groups[g].flags;
            p += n + (p[n] == ' ');
        }
}

static bool ends_compound(const char *low, size_t n)
{
    unsigned i = ending_by_last[(unsigned char)low[n - 1]];

    for (; i; i = ending_next[i - 1]) {
        size_t k = ending_size[i - 1];

        if (n >= k + 3 && memcmp(low + n - k, endings[i - 1], k) == 0)
            return true;
    }
    return false;
}

size_t address_wide_letter(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p, second;

    if (c < 0xC3 || n < 2)
        return 0;
    second = (unsigned char)p[1];
    if (c == 0xE2 && (second == 0x80 || second == 0x82))
        return 0; /* quotes, dashes, currencies */
    if (c >= 0xE2 && c <= 0xEF && second >= 0x80)
        return c == 0xE3 && second == 0x80 ? 0 : n >= 3 ? 3 : 0;
    if (c == 0xE1)
        return n >= 3 ? 3 : 0;
    return c < 0xE0 ? 2 : 0;
}

static bool is_capital(const char *p, size_t n)
{
    unsigned char c = (unsigned char)*p;
    unsigned char d = n > 1 ? (unsigned char)p[1] : 0;

    if (c < 0x80)
        return ascii_is_upper(c);
    if (c == 0xC3)
        return d <= 0x9E;
    if (c == 0xC4 || c == 0xC5)
        return c == 0xC5 && d >= 0xB9 ? d & 1 : !(d & 1);
    if (c == 0xCE)
        return d >= 0x86 && d <= 0xAB;
    if (c == 0xD0)
        return d <= 0xAF;
    return c >= 0xE1;
}

static size_t fold(const char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i];

        if (ascii_is_upper(c))
            c = ascii_lower(c);
        else if (i && (unsigned char)p[i - 1] == 0xC3 &&
                 (unsigned char)c <= 0x9E)
            c = (char)(c + 0x20);
        out[i] = c;
    }
    return n;
}

unsigned address_word_flags(const char *p, size_t n)
{
    char low[ADDRESS_WORD_MAX];
    unsigned short at;
    unsigned flags;

    if (!n || n > sizeof(low))
        return 0;
    pthread_once(&once, build);
    fold(p, n, low);
    at = *slot(low, n);
    flags = at ? entries[at - 1].flags : 0;
    if (n > 2 && p[1] == '\'' && is_capital(p + 2, n - 2))
        flags |= WORD_CAPITAL; /* d'Ouchy */
    if (is_capital(p, n)) {
        size_t first = address_letter(p, n);

        flags |= WORD_CAPITAL;
        if (first && first < n && is_capital(p + first, n - first))
            flags |= WORD_UPPER;
    }
    if (n >= 6 && ends_compound(low, n))
        flags |= WORD_COMPOUND;
    return flags;
}
