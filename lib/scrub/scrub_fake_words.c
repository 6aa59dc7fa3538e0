/*
 * scrub_fake_words.c - words of names, firms and streets that tell the kind
 *
 * They stay where the words beside them are drawn. All lists are one table, so
 * that a word is asked once for all that it may be.
 */
#include "scrub/scrub_fake.h"

#include <pthread.h>
#include <string.h>

#define SLOTS 1024 /* for some three hundred words */
#define BYTES 16   /* of the longest word, at most */

static const struct {
    unsigned kind;
    const char *words; /* folded, between blanks */
} lists[] = {
    { SCRUB_WORD_LEGAL,
      "inc incorporated llc ltd limited corp corporation co company plc "
      "gmbh ag kg kgaa ohg ug se sa sarl sas sl srl spa bv nv oy oyj ab "
      "as asa aps pty pte llp lp kk sro doo ev foundation mbh" },
    { SCRUB_WORD_KIND,
      "university college school institute academy hospital clinic bank "
      "airlines airways airport hotel church insurance ministry "
      "department agency council court association society club union "
      "party museum library center centre laboratory laboratories "
      "pharmacy press times post news magazine group holding holdings "
      "partners solutions systems technologies consulting universitat "
      "universite universidad universita banco banque klinik "
      "krankenhaus hopital medical health services industries "
      "international state national community high elementary memorial "
      "general" },
    { SCRUB_WORD_SMALL, "of the and for de la du des der und di del y in at" },
    { SCRUB_WORD_STREET,
      "street st avenue ave av road rd boulevard blvd lane ln drive dr "
      "court ct place pl square sq terrace ter way parkway pkwy highway "
      "hwy circle cir trail trl close crescent cres alley row walk "
      "plaza gardens grove mews hill north south east west n s e w ne "
      "nw se sw flat apt apartment suite ste unit floor fl room rm bldg "
      "building po box p o pmb lot rue via calle avenida strasse platz "
      "weg allee piazza rua plein straat gasse upper lower old new ul "
      "ulica al aleja aleje osiedle ulitsa utca str avda chemin viale corso" },
    { SCRUB_WORD_TITLE,
      "mr mrs ms miss mx dr prof sir madam lord rev hon capt lt sgt "
      "professor doctor herr frau monsieur madame mme mlle senor senora "
      "srta sra signor signora dipl ing jr sr ii iii iv phd md esq dds "
      "mba cpa rn father sister captain" },
    { SCRUB_WORD_PARTICLE,
      "van von de der den del della di da dos das du la le al el bin "
      "ibn ben abu ter ten af zu zur y e und and of the bint st s" },
};

static struct entry {
    uint64_t text[BYTES / 8]; /* NULs behind it */
    unsigned kinds;           /* 0: free */
} entries[SLOTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The word's slot, or the free one where it would be. */
static struct entry *entry_of(const uint64_t text[BYTES / 8])
{
    uint64_t hash =
        (text[0] ^ text[1] * 0x9E3779B97F4A7C15u) * 0xA0761D6478BD642Fu;
    size_t at = hash >> 54;

    while (entries[at].kinds &&
           (entries[at].text[0] != text[0] || entries[at].text[1] != text[1]))
        at = (at + 1) % SLOTS;
    return &entries[at];
}

static void fill(void)
{
    for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
        for (const char *p = lists[i].words; *p;) {
            size_t n = strcspn(p, " ");
            uint64_t text[BYTES / 8] = { 0 };
            struct entry *e;

            memcpy(text, p, n);
            e = entry_of(text);
            memcpy(e->text, text, sizeof(text));
            e->kinds |= lists[i].kind;
            p += n + (p[n] == ' ');
        }
}

unsigned scrub_word_kinds(struct slice folded)
{
    uint64_t text[BYTES / 8] = { 0 };

    if (!folded.n || folded.n > BYTES)
        return 0;
    (void)pthread_once(&once, fill);
    memcpy(text, folded.p, folded.n);
    return entry_of(text)->kinds;
}

unsigned scrub_word_kinds_of(struct slice word)
{
    char folded[SCRUB_FOLD_ROOM(4 * BYTES)];
    size_t n;

    if (word.n > 4 * BYTES)
        return 0;
    n = scrub_fold_into(word, folded);
    return scrub_word_kinds((struct slice){ folded, n });
}
