/*
 * names_cue.c - the words that say what stands beside them
 *
 * One table of hashes, so that a word is asked once for all its meanings.
 */
#include "names/names_priv.h"

#include <string.h>

static const struct {
    uint32_t cues;
    const char *words; /* between blanks */
} table[] = {
    { CUE_HONORIFIC,
      "mr mrs ms mx miss dr prof sr sra srta herr frau mme mlle senor senora "
      "senorita monsieur madame signora signor mister rev hr fru dhr mevr" },
    { CUE_MISTER, "signor signora signorina senhor senhora senor senora "
                  "monsieur madame mevrouw heer herrn" },
    { CUE_LABEL,
      "name names passenger passengers patient customer client employee "
      "contact attn beneficiary cardholder insured recipient sender signed "
      "author guest tenant applicant student nombre nom imie nome surname "
      "firstname lastname spouse mother father nominee namn navn naam vorname "
      "nachname familienname cognome apellido apellidos prenom voornaam "
      "achternaam kunde cliente" },
    { CUE_PARTICLE,
      "de van von der den la da di del dos bin ibn al el du le ter" },
    { CUE_LINK, "of de van von der den la le du da di del dos y and the al bin "
                "ibn ben zu av el et und e for" },
    { CUE_CLOSING, "regards sincerely cheers wishes truly thanks greetings" },
    { CUE_OPENING, "dear hi hello hey" },
    { CUE_SELF, "i my me i'm we our i've i'd i'll we're we've" },
    { CUE_NAME, "name nombre nom nome naam namn navn" },
    { CUE_IS, "is ist es est e ar er" },
    { CUE_CALL, "call" },
    { CUE_ME, "me" },
    { CUE_AM, "am i'm" },
    { CUE_I, "i" },
    { CUE_THIS, "this" },
    { CUE_MY, "my his her their mi mon meu mein mijn mio mitt mit" },
    { CUE_PART, "first last full family middle maiden given" },
    { CUE_NAMED, "named nee" },
    { CUE_NAMED_SO, "llamo heisse chiamo m'appelle chamo heet heter hedder" },
    { CUE_NEVER,
      "i'm i've i'd i'll we're we've toi cpf mrn nino ssn dni nif nie iban bic "
      "handynummer kontonummer nummer "
      "telefon telefono telefonnummer steuernummer kundennummer chiamami "
      "chiamatemi llamame vivo wohnhaft wohnt appelez appelle rufen ruf "
      "medicare medicaid cretaceous jurassic triassic permian devonian "
      "silurian "
      "ordovician cambrian carboniferous oligocene eocene miocene pliocene "
      "pleistocene holocene paleocene paleogene neogene jammy "
      "personalausweis ausweis passnummer geburtsdatum anschrift vorname "
      "nachname familienname cognome apellido apellidos prenom voornaam "
      "achternaam numero kreditkarte bankleitzahl" },
    /* not MD and PA: degrees, too */
    { CUE_STATE, "al ak az ar ca co ct de fl ga hi id il in ia ks ky la me ma "
                 "mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or ri sc sd tn "
                 "tx ut vt va wa wv wi wy dc" },
    { CUE_AREA, "county district subdistrict sub-district province prefecture "
                "township borough municipality canton parish park" },
    { CUE_NOTION,
      "theorem theorems lemma lemmas conjecture chain chains algorithm "
      "algorithms equation equations distribution transform transforms "
      "inequality principle constant constants cipher decomposition "
      "regression coefficient disease syndrome paradox polynomial polynomials "
      "matrix formula formulas hypothesis integral integrals filter filters "
      "laws operator "
      "divergence entropy kernel expansion quadrature criterion estimator "
      "equilibrium razor scale rank correlation ratio kappa alpha lymphoma "
      "hierarchy theory correction curve simulation simulations sampling "
      "process virus fever protocol bacteria method index sandwich beef rice "
      "wine salad sauce cheese nuts nut hat fries beans coffee tea pie cake "
      "bread soup steak sausage beer whisky pudding mustard pepper butter "
      "terrier shepherd toast dressing noodles curry language languages color "
      "colors colour colours font fonts brand brands" },
    { CUE_OR, "or and oder und ou et o e y of en" },
    { CUE_CHOICE,
      "one label labels category categories option options class classes topic "
      "topics intent intents color colors colour colours brand brands font "
      "fonts language languages model models ingredient ingredients flavor "
      "flavors kategorien kategorie klasse klassen themen categorie "
      "categorias categorias etiquetas etiquettes etichette categories" },
    { CUE_NAMESAKE,
      "act rules award prize medal trophy manual salad pizza "
      "defense defence gambit opening gothic sans test amendment "
      "doctrine treaty style monument post tribune gazette chronicle day "
      "process protocol virus" },
    { CUE_VERB, "mark jack bill chase grant rob sue pat chuck skip nick pierce "
                "chip peg rip please" },
    { CUE_OBJECT, "the a an this that these those it them my your our all any "
                  "each every as up down off out" },
    { CUE_BUILT, "international memorial airport stadium arena bridge museum "
                 "library foundation" },
    { CUE_A, "a" },
    { CUE_LEGAL, "inc llc ltd gmbh corp plc llp kft srl sarl bv pty" },
};

static void put(struct names_words *w, uint64_t hash, uint32_t cues)
{
    size_t at = (size_t)(hash >> 32) % CUE_SLOTS;

    while (w->cue[at].cues && w->cue[at].hash != hash)
        at = (at + 1) % CUE_SLOTS;
    w->cue[at].hash = hash;
    w->cue[at].cues |= cues;
}

void names_cues_fill(struct names_words *w)
{
    memset(w->cue, 0, sizeof(w->cue));
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        for (const char *p = table[i].words; *p;) {
            size_t n = strcspn(p, " ");

            put(w, names_hash(p, n, 1), table[i].cues);
            p += n + (p[n] == ' ');
        }
}

uint32_t names_cues(const struct names_words *w, uint64_t hash)
{
    size_t at = (size_t)(hash >> 32) % CUE_SLOTS;

    while (w->cue[at].cues) {
        if (w->cue[at].hash == hash)
            return w->cue[at].cues;
        at = (at + 1) % CUE_SLOTS;
    }
    return 0;
}
