/*
 * scrub_fake_place.c - surrogates of places and of those who live there
 *
 * Countries stand for countries, and who comes from one for who comes from
 * the other; states of the US for states, with the ZIP codes of each; the rest
 * are towns. A place has the same surrogate in an address and alone.
 */
#include "scrub/scrub_fake.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *folded, *code, *people;
} countries[] = {
    { "Argentina", "argentina", "ar", "Argentinian" },
    { "Australia", "australia", "au", "Australian" },
    { "Austria", "austria", "at", "Austrian" },
    { "Bangladesh", "bangladesh", "bd", "Bangladeshi" },
    { "Belgium", "belgium", "be", "Belgian" },
    { "Bolivia", "bolivia", "bo", "Bolivian" },
    { "Brazil", "brazil", "br", "Brazilian" },
    { "Bulgaria", "bulgaria", "bg", "Bulgarian" },
    { "Canada", "canada", "ca", "Canadian" },
    { "Chile", "chile", "cl", "Chilean" },
    { "China", "china", "cn", "Chinese" },
    { "Colombia", "colombia", "co", "Colombian" },
    { "Croatia", "croatia", "hr", "Croatian" },
    { "Cuba", "cuba", "cu", "Cuban" },
    { "Denmark", "denmark", "dk", "Danish" },
    { "Ecuador", "ecuador", "ec", "Ecuadorian" },
    { "Egypt", "egypt", "eg", "Egyptian" },
    { "Estonia", "estonia", "ee", "Estonian" },
    { "Ethiopia", "ethiopia", "et", "Ethiopian" },
    { "Finland", "finland", "fi", "Finnish" },
    { "France", "france", "fr", "French" },
    { "Germany", "germany", "de", "German" },
    { "Ghana", "ghana", "gh", "Ghanaian" },
    { "Greece", "greece", "gr", "Greek" },
    { "Hungary", "hungary", "hu", "Hungarian" },
    { "Iceland", "iceland", "is", "Icelandic" },
    { "India", "india", "in", "Indian" },
    { "Indonesia", "indonesia", "id", "Indonesian" },
    { "Iran", "iran", "ir", "Iranian" },
    { "Iraq", "iraq", "iq", "Iraqi" },
    { "Ireland", "ireland", "ie", "Irish" },
    { "Israel", "israel", "il", "Israeli" },
    { "Italy", "italy", "it", "Italian" },
    { "Jamaica", "jamaica", "jm", "Jamaican" },
    { "Japan", "japan", "jp", "Japanese" },
    { "Kenya", "kenya", "ke", "Kenyan" },
    { "Latvia", "latvia", "lv", "Latvian" },
    { "Lebanon", "lebanon", "lb", "Lebanese" },
    { "Lithuania", "lithuania", "lt", "Lithuanian" },
    { "Malaysia", "malaysia", "my", "Malaysian" },
    { "Malta", "malta", "mt", "Maltese" },
    { "Mexico", "mexico", "mx", "Mexican" },
    { "Morocco", "morocco", "ma", "Moroccan" },
    { "Nepal", "nepal", "np", "Nepalese" },
    { "Netherlands", "netherlands", "nl", "Dutch" },
    { "Nigeria", "nigeria", "ng", "Nigerian" },
    { "Norway", "norway", "no", "Norwegian" },
    { "Pakistan", "pakistan", "pk", "Pakistani" },
    { "Peru", "peru", "pe", "Peruvian" },
    { "Philippines", "philippines", "ph", "Filipino" },
    { "Poland", "poland", "pl", "Polish" },
    { "Portugal", "portugal", "pt", "Portuguese" },
    { "Romania", "romania", "ro", "Romanian" },
    { "Russia", "russia", "ru", "Russian" },
    { "Senegal", "senegal", "sn", "Senegalese" },
    { "Serbia", "serbia", "rs", "Serbian" },
    { "Singapore", "singapore", "sg", "Singaporean" },
    { "Slovakia", "slovakia", "sk", "Slovak" },
    { "Slovenia", "slovenia", "si", "Slovenian" },
    { "Spain", "spain", "es", "Spanish" },
    { "Sweden", "sweden", "se", "Swedish" },
    { "Switzerland", "switzerland", "ch", "Swiss" },
    { "Thailand", "thailand", "th", "Thai" },
    { "Tunisia", "tunisia", "tn", "Tunisian" },
    { "Turkey", "turkey", "tr", "Turkish" },
    { "Ukraine", "ukraine", "ua", "Ukrainian" },
    { "Uruguay", "uruguay", "uy", "Uruguayan" },
    { "Vietnam", "vietnam", "vn", "Vietnamese" },
    { "United States", "unitedstates", "us", "American" },
    { "United Kingdom", "unitedkingdom", "gb", "British" },
};
#define COUNTRIES (sizeof(countries) / sizeof(*countries))

/* Name, abbreviation, and the first three digits of its ZIP codes. */
static const struct {
    const char *name, *folded, *code;
    unsigned short low, high;
} states[] = {
    { "Alabama", "alabama", "AL", 350, 369 },
    { "Alaska", "alaska", "AK", 995, 999 },
    { "Arizona", "arizona", "AZ", 850, 865 },
    { "Arkansas", "arkansas", "AR", 716, 729 },
    { "California", "california", "CA", 900, 961 },
    { "Colorado", "colorado", "CO", 800, 816 },
    { "Connecticut", "connecticut", "CT", 60, 69 },
    { "Delaware", "delaware", "DE", 197, 199 },
    { "Florida", "florida", "FL", 320, 349 },
    { "Georgia", "georgia", "GA", 300, 319 },
    { "Hawaii", "hawaii", "HI", 967, 968 },
    { "Idaho", "idaho", "ID", 832, 838 },
    { "Illinois", "illinois", "IL", 600, 629 },
    { "Indiana", "indiana", "IN", 460, 479 },
    { "Iowa", "iowa", "IA", 500, 528 },
    { "Kansas", "kansas", "KS", 660, 679 },
    { "Kentucky", "kentucky", "KY", 400, 427 },
    { "Louisiana", "louisiana", "LA", 700, 714 },
    { "Maine", "maine", "ME", 39, 49 },
    { "Maryland", "maryland", "MD", 206, 219 },
    { "Massachusetts", "massachusetts", "MA", 10, 27 },
    { "Michigan", "michigan", "MI", 480, 499 },
    { "Minnesota", "minnesota", "MN", 550, 567 },
    { "Mississippi", "mississippi", "MS", 386, 397 },
    { "Missouri", "missouri", "MO", 630, 658 },
    { "Montana", "montana", "MT", 590, 599 },
    { "Nebraska", "nebraska", "NE", 680, 693 },
    { "Nevada", "nevada", "NV", 889, 898 },
    { "New Hampshire", "newhampshire", "NH", 30, 38 },
    { "New Jersey", "newjersey", "NJ", 70, 89 },
    { "New Mexico", "newmexico", "NM", 870, 884 },
    { "New York", "newyork", "NY", 100, 149 },
    { "North Carolina", "northcarolina", "NC", 270, 289 },
    { "North Dakota", "northdakota", "ND", 580, 588 },
    { "Ohio", "ohio", "OH", 430, 459 },
    { "Oklahoma", "oklahoma", "OK", 730, 749 },
    { "Oregon", "oregon", "OR", 970, 979 },
    { "Pennsylvania", "pennsylvania", "PA", 150, 196 },
    { "Rhode Island", "rhodeisland", "RI", 28, 29 },
    { "South Carolina", "southcarolina", "SC", 290, 299 },
    { "South Dakota", "southdakota", "SD", 570, 577 },
    { "Tennessee", "tennessee", "TN", 370, 385 },
    { "Texas", "texas", "TX", 750, 799 },
    { "Utah", "utah", "UT", 840, 847 },
    { "Vermont", "vermont", "VT", 50, 59 },
    { "Virginia", "virginia", "VA", 220, 246 },
    { "Washington", "washington", "WA", 980, 994 },
    { "West Virginia", "westvirginia", "WV", 247, 268 },
    { "Wisconsin", "wisconsin", "WI", 530, 549 },
    { "Wyoming", "wyoming", "WY", 820, 831 },
};
#define STATES (sizeof(states) / sizeof(*states))

/* The one after `at` in a ring of n that key and scope decide: no two have the
 * same, and none itself. */
static size_t ring_next(struct scrub_worker *w, const char *what, size_t at,
                        size_t n)
{
    return scrub_ring(w, what, n)[at];
}

/* Those whose ZIP codes begin with a zero keep among themselves, as those of
 * the others do: a number of JSON has none. */
static size_t other_state(struct scrub_worker *w, size_t state)
{
    bool zero = states[state].low < 100;
    size_t alike[STATES], n = 0, at = 0;

    for (size_t i = 0; i < STATES; i++) {
        if ((states[i].low < 100) != zero)
            continue;
        if (i == state)
            at = n;
        alike[n++] = i;
    }
    return alike[ring_next(w, zero ? "states with 0" : "states", at, n)];
}

bool scrub_state_draw(struct scrub_worker *w, struct slice v, struct buf *out)
{
    struct scrub_folded f;
    size_t at = STATES, to;

    scrub_folded_init(&f, v);
    for (size_t i = 0; i < STATES && at == STATES; i++)
        if (f.text.n && f.text.p[0] == states[i].folded[0] &&
            (slice_is(v, states[i].code) || slice_is(f.text, states[i].folded)))
            at = i;
    scrub_folded_release(&f);
    if (at == STATES)
        return false;
    to = other_state(w, at);
    if (v.n == 2)
        buf_str(out, states[to].code);
    else
        scrub_cased_add(v, slice_of(states[to].name), out);
    return true;
}

void scrub_state_zip(struct scrub_worker *w, char d[5])
{
    unsigned area =
        (unsigned)((d[0] - '0') * 100 + (d[1] - '0') * 10 + (d[2] - '0'));
    struct rng r;
    size_t to;

    scrub_draw(w, "zip", (struct slice){ d, 5 }, 0, &r);
    for (size_t i = 0; i < STATES; i++) {
        if (area < states[i].low || area > states[i].high)
            continue;
        to = other_state(w, i);
        area = (unsigned)(states[to].low +
                          rng_below(&r, (uint64_t)(states[to].high -
                                                   states[to].low + 1)));
        break;
    }
    d[0] = (char)('0' + area / 100);
    d[1] = (char)('0' + area / 10 % 10);
    d[2] = (char)('0' + area % 10);
    d[3] = scrub_draw_digit(&r);
    d[4] = scrub_draw_digit(&r);
}

static size_t country_of(struct slice folded)
{
    static const struct {
        const char *name, *code;
    } also[] = { { "usa", "us" },        { "unitedstatesofamerica", "us" },
                 { "america", "us" },    { "uk", "gb" },
                 { "england", "gb" },    { "greatbritain", "gb" },
                 { "holland", "nl" },    { "deutschland", "de" },
                 { "espana", "es" },     { "italia", "it" },
                 { "osterreich", "at" }, { "schweiz", "ch" },
                 { "suisse", "ch" },     { "svizzera", "ch" },
                 { "frankreich", "fr" }, { "allemagne", "de" },
                 { "alemania", "de" },   { "polska", "pl" },
                 { "brasil", "br" },     { "sverige", "se" },
                 { "norge", "no" },      { "danmark", "dk" },
                 { "suomi", "fi" },      { "nederland", "nl" },
                 { "belgique", "be" },   { "turkiye", "tr" } };

    for (size_t i = 0; i < COUNTRIES; i++)
        if (folded.n && folded.p[0] == countries[i].folded[0] &&
            slice_is(folded, countries[i].folded))
            return i;
    for (size_t i = 0; i < sizeof(also) / sizeof(*also); i++)
        for (size_t k = 0; folded.n && folded.p[0] == also[i].name[0] &&
                           slice_is(folded, also[i].name) && k < COUNTRIES;
             k++)
            if (strcmp(countries[k].code, also[i].code) == 0)
                return k;
    return COUNTRIES;
}

/* One that is not in the table; no region, and no town that is called so in
 * its own language. */
static bool is_country(const struct names *names, struct slice folded)
{
    static const char *const more[] = { "saudiarabia",   "southkorea",
                                        "northkorea",    "newzealand",
                                        "southafrica",   "unitedarabemirates",
                                        "uae",           "costarica",
                                        "elsalvador",    "dominicanrepublic",
                                        "czechrepublic", "srilanka",
                                        "hongkong",      "puertorico",
                                        "ivorycoast",    "scotland",
                                        "wales",         "macau",
                                        "palestine",     "burma" };

    if (scrub_is_one_of(folded, more, sizeof(more) / sizeof(*more)))
        return true;
    return names_draws(names, NAMES_LIST_COUNTRY, folded);
}

static size_t other_country(struct scrub_worker *w, size_t country)
{
    return ring_next(w, "countries", country, COUNTRIES);
}

static void draw_listed(struct scrub_worker *w, enum names_list list,
                        const char *what, struct slice v, struct buf *out)
{
    struct buf *owner = &w->owner, *drawn = &w->drawn;
    struct scrub_folded f;

    scrub_folded_init(&f, v);
    buf_reset(owner);
    buf_str(owner, what);
    buf_char(owner, ' ');
    buf_add_slice(owner, f.text);
    for (unsigned again = 0; again < SCRUB_FAKE_TRIES; again++) {
        struct rng r;
        struct slice s;

        scrub_draw(w, what, f.text, again, &r);
        s = names_draw_like(w->rules->names, list, v, rng_next(&r));
        buf_reset(drawn);
        scrub_cased_add(v, s, drawn);
        if (scrub_faked_take(w->faked, s, buf_slice(owner)))
            break;
    }
    buf_add_slice(out, buf_slice(drawn));
    scrub_folded_release(&f);
}

/* "County" of "San Diego County", "downtown" of "downtown Paris": bytes at the
 * end, or at the beginning, that tell what kind of place it is; the blank
 * beside them is theirs. */
static size_t kind_behind(struct slice v)
{
    static const char *const list[] = {
        "national park", "park",   "county", "city",    "province", "district",
        "state",         "region", "area",   "island",  "islands",  "beach",
        "bay",           "valley", "river",  "airport", "township"
    };
    const char *blank = memrchr(v.p, ' ', v.n);

    if (!blank || blank + 1 == v.p + v.n)
        return 0;
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        size_t n;

        if (i && list[i][0] != (blank[1] | 0x20))
            continue; /* all but the first are one word */
        n = strlen(list[i]);
        if (v.n > n + 2 && v.p[v.n - n - 1] == ' ' &&
            strncasecmp(v.p + v.n - n, list[i], n) == 0)
            return n + 1;
    }
    return 0;
}

static size_t kind_before(struct slice v)
{
    static const char *const list[] = {
        "downtown ", "greater ",     "central ", "northern ",  "southern ",
        "eastern ",  "western ",     "city of ", "county of ", "province of ",
        "state of ", "the city of ", "lake ",    "mount ",
    };

    if (!memchr(v.p, ' ', v.n))
        return 0;
    for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
        size_t n;

        if (list[i][0] != (v.p[0] | 0x20))
            continue;
        n = strlen(list[i]);
        if (v.n > n + 1 && strncasecmp(v.p, list[i], n) == 0)
            return n;
    }
    return 0;
}

/* "New York" is a town here, as it is in addresses. */
static void draw_bare(struct scrub_worker *w, struct slice v, struct buf *out)
{
    struct scrub_folded f;
    size_t country;

    scrub_folded_init(&f, v);
    country = country_of(f.text);
    if (country < COUNTRIES)
        scrub_cased_add(v, slice_of(countries[other_country(w, country)].name),
                        out);
    else if (!slice_is(f.text, "newyork") && !slice_is(f.text, "washington") &&
             scrub_state_draw(w, v, out))
        ;
    else if (is_country(w->rules->names, f.text))
        draw_listed(w, NAMES_LIST_COUNTRY, "country", v, out);
    else
        draw_listed(w, NAMES_LIST_CITY, "place", v, out);
    scrub_folded_release(&f);
}

void scrub_place_draw(struct scrub_worker *w, struct slice v, struct buf *out)
{
    size_t front = kind_before(v), tail;

    buf_add(out, v.p, front);
    v.p += front;
    v.n -= front;
    tail = kind_behind(v);
    draw_bare(w, (struct slice){ v.p, v.n - tail }, out);
    buf_add(out, v.p + v.n - tail, tail);
}

/* "Springfield, IL": piece by piece. */
void scrub_fake_place(struct scrub_worker *w, const struct scrub_rule *rule,
                      struct slice v, struct rng *r, struct buf *out)
{
    (void)rule;
    if (scrub_has_legal_form(v)) {
        scrub_fake_organization(w, rule, v, r, out);
        return;
    }
    while (v.n) {
        const char *comma = memchr(v.p, ',', v.n);
        size_t n = comma ? (size_t)(comma - v.p) : v.n, from = 0, to = n;

        while (from < n && v.p[from] == ' ')
            from++;
        while (to > from && v.p[to - 1] == ' ')
            to--;
        buf_add(out, v.p, from);
        if (to > from)
            scrub_place_draw(w, (struct slice){ v.p + from, to - from }, out);
        buf_add(out, v.p + to, n - to);
        if (comma)
            buf_char(out, ',');
        v.p += n + (comma != NULL);
        v.n -= n + (comma != NULL);
    }
}

/* Of one kind: who believes in, or votes for, something, stays such. */
static size_t kind_of(struct slice folded, const char *const **list, size_t *n)
{
    static const char *const faiths[] = { "Christian", "Muslim",    "Jewish",
                                          "Hindu",     "Buddhist",  "Sikh",
                                          "Catholic",  "Protestant" };
    static const char *const parties[] = { "Republican",   "Democrat",
                                           "Conservative", "Liberal",
                                           "Socialist",    "Green" };
    static const char *const *const lists[] = { faiths, parties };
    static const size_t sizes[] = { sizeof(faiths) / sizeof(*faiths),
                                    sizeof(parties) / sizeof(*parties) };

    for (size_t k = 0; k < 2; k++) {
        *list = lists[k];
        *n = sizes[k];
        for (size_t i = 0; i < *n; i++) {
            size_t len = strlen(lists[k][i]);

            if ((folded.n == len || folded.n == len + 1) &&
                strncasecmp(folded.p, lists[k][i], len) == 0)
                return i;
        }
    }
    return SIZE_MAX;
}

/* "Canadians": the s of many, where the other form takes one. */
static void put_people(struct slice was, const char *people, bool many,
                       struct buf *out)
{
    size_t n = strlen(people);

    scrub_cased_add(was, slice_of(people), out);
    if (many && !strchr("shei", people[n - 1]))
        buf_char(out, was.p[was.n - 1]);
}

void scrub_fake_nationality(struct scrub_worker *w,
                            const struct scrub_rule *rule, struct slice v,
                            struct rng *r, struct buf *out)
{
    struct buf folded = { 0 };
    const char *const *list;
    size_t n, at, country = COUNTRIES;
    bool many = false;

    (void)rule;
    scrub_fold(v, &folded);
    at = kind_of(buf_slice(&folded), &list, &n);
    if (at != SIZE_MAX)
        many = folded.len > strlen(list[at]);
    for (size_t i = 0; folded.len && i < COUNTRIES; i++) {
        size_t len;

        if ((folded.data[0] | 0x20) != (countries[i].people[0] | 0x20))
            continue;
        len = strlen(countries[i].people);
        if ((folded.len == len ||
             (folded.len == len + 1 && folded.data[len] == 's')) &&
            strncasecmp(folded.data, countries[i].people, len) == 0) {
            country = i;
            many = folded.len > len;
        }
    }
    if (at != SIZE_MAX)
        put_people(v, list[ring_next(w, list[0], at, n)], many, out);
    else
        put_people(v,
                   countries[country < COUNTRIES ? other_country(w, country)
                                                 : rng_below(r, COUNTRIES)]
                       .people,
                   many, out);
    buf_release(&folded);
}
