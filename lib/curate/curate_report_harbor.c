/*
 * curate_report_harbor.c - the identifiers of HIPAA's Safe Harbor, and splits
 *
 * 45 CFR 164.514(b)(2) lists 18 kinds. A kind is covered if rules look for it
 * wherever it stands, in part if words and context decide or text can hold more
 * of it than rules know, not covered if it is no text. That says what is looked
 * for, not that all was found, and never that anything complies.
 */
#include "curate/curate_report_priv.h"

#include <string.h>

#define TYPES_MAX 12

static const struct {
    char letter;
    enum curate_cover best; /* if there are rules */
    const char *name, *how;
    const char *types[TYPES_MAX]; /* parts of names of types */
} kinds[CURATE_CATEGORIES] = {
    { 'A',
      CURATE_IN_PART,
      "names",
      "by context, field names, word lists and a tagger",
      { "PERSON", "=NAME", "FULL_NAME" } },
    { 'B',
      CURATE_IN_PART,
      "places smaller than a state",
      "addresses and postal codes by shape, others by word lists",
      { "ADDRESS", "ZIP", "POSTCODE", "POSTAL", "GPE", "LOCATION", "PLACE",
        "COORDINATE", "CITY" } },
    { 'C',
      CURATE_IN_PART,
      "dates except the year, ages over 89",
      "dates by shape, ages by context; years of birth stay, also those of "
      "ages over 89",
      { "DATE", "BIRTH", "AGE", "DOB" } },
    { 'D',
      CURATE_COVERED,
      "telephone numbers",
      "by shape and context",
      { "PHONE" } },
    { 'E',
      CURATE_COVERED,
      "fax numbers",
      "as telephone numbers",
      { "PHONE", "FAX" } },
    { 'F', CURATE_COVERED, "e-mail addresses", "by shape", { "EMAIL" } },
    { 'G',
      CURATE_COVERED,
      "social security numbers",
      "by shape and context",
      { "SSN", "ITIN" } },
    { 'H',
      CURATE_IN_PART,
      "medical record numbers",
      "beside words that name them",
      { "MRN", "MEDICAL_RECORD", "HEALTH_RECORD", "PATIENT", "NHS" } },
    { 'I',
      CURATE_IN_PART,
      "health plan numbers",
      "by check digits, and beside words that name them",
      { "HEALTH_PLAN", "MBI", "MEMBER", "INSURANCE", "POLICY", "MEDICARE",
        "HEALTH_ID" } },
    { 'J',
      CURATE_COVERED,
      "account numbers",
      "by check digits, and beside words that name them",
      { "IBAN", "CARD", "ACCOUNT", "BANK", "ABA", "ROUTING" } },
    { 'K',
      CURATE_IN_PART,
      "certificate and licence numbers",
      "beside words that name them",
      { "LICEN", "CERTIFICATE", "NPI", "DEA", "PASSPORT" } },
    { 'L',
      CURATE_IN_PART,
      "vehicles and number plates",
      "by check digit, plates beside words that name them",
      { "VIN", "PLATE", "VEHICLE" } },
    { 'M',
      CURATE_IN_PART,
      "device identifiers",
      "by check digit and shape, others beside words that name them",
      { "IMEI", "ICCID", "MAC", "DEVICE", "SERIAL", "UUID" } },
    { 'N', CURATE_COVERED, "web addresses", "by shape", { "URL", "DOMAIN" } },
    { 'O', CURATE_COVERED, "IP addresses", "by shape", { "=IP", "IPV" } },
    { 'P', CURATE_NOT_COVERED, "biometric identifiers", "no text", { NULL } },
    { 'Q', CURATE_NOT_COVERED, "photographs", "no text", { NULL } },
    { 'R',
      CURATE_IN_PART,
      "any other unique number or code",
      "secrets and ids that rules know",
      { "SECRET", "KEY", "TOKEN", "USER", "PASSWORD", "=ID", "_ID", "JWT",
        "CRYPTO", "BTC", "ETH", "CREDENTIAL" } },
};

/* "=X": the whole name, else a part of it. */
static bool is_of(const char *type, const char *part)
{
    if (!part)
        return false;
    return *part == '=' ? strcmp(type, part + 1) == 0
                        : strstr(type, part) != NULL;
}

void report_harbor(const struct scrub_rules *rules, struct curate_report *r)
{
    (void)rules; /* types are those of all rules */
    for (size_t k = 0; k < CURATE_CATEGORIES; k++) {
        struct curate_category *c = &r->category[k];
        bool any = false, acts = false;

        *c = (struct curate_category){ .letter = kinds[k].letter,
                                       .name = kinds[k].name,
                                       .how = kinds[k].how,
                                       .cover = CURATE_NOT_COVERED };
        for (size_t t = 0; t < r->types; t++) {
            bool of = false;

            for (size_t i = 0; i < TYPES_MAX; i++)
                of |= is_of(r->type[t].type, kinds[k].types[i]);
            any |= of;
            acts |= of && !r->type[t].kept;
            c->kept |= of && r->type[t].kept;
            c->pieces += of ? r->type[t].pieces : 0;
        }
        if (any && !acts)
            c->how = "kept by --action";
        else if (any)
            c->cover = c->kept ? CURATE_IN_PART : kinds[k].best;
        else if (kinds[k].types[0])
            c->how = "no rule looks for them";
    }
}

static int count(struct store *s, const char *query, uint64_t *out,
                 struct err *err)
{
    int64_t n = 0;
    int rc = sql_one_int(store_sql(s), query, 0, &n, err);

    *out = (uint64_t)n;
    return rc;
}

int report_splits(struct store *s, struct curate_report *r, struct err *err)
{
    const struct {
        const char *query;
        uint64_t *out;
    } all[] = {
        { "SELECT count(*) FROM example WHERE kept AND split = 'train'",
          &r->splits[0] },
        { "SELECT count(*) FROM example WHERE kept AND split = 'validation'",
          &r->splits[1] },
        { "SELECT count(*) FROM example WHERE kept AND split = 'test'",
          &r->splits[2] },
        { "SELECT count(DISTINCT groups) FROM example WHERE kept", &r->groups },
        { "SELECT count(*) FROM (SELECT groups FROM example WHERE kept GROUP "
          "BY groups HAVING count(DISTINCT split) > 1)",
          &r->straddling },
        { "SELECT count(DISTINCT input) FROM example WHERE kept", &r->inputs },
        { "SELECT count(*) FROM (SELECT input FROM example WHERE kept GROUP BY "
          "input HAVING count(DISTINCT split) > 1)",
          &r->inputs_straddling },
        { "SELECT count(*) FROM example WHERE reason = 'duplicate'",
          &r->duplicates },
        { "SELECT count(*) FROM example WHERE reason = 'retried'",
          &r->retried },
        { "SELECT count(*) FROM example WHERE reason LIKE 'near%'", &r->near },
        { "SELECT count(DISTINCT cluster) FROM example WHERE cluster NOTNULL",
          &r->clusters },
        { "SELECT count(*) FROM (SELECT cluster FROM example WHERE kept AND "
          "cluster NOTNULL GROUP BY cluster HAVING count(DISTINCT split) > 1)",
          &r->clusters_straddling },
    };
    int rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < sizeof(all) / sizeof(*all); i++)
        rc = count(s, all[i].query, all[i].out, err);
    return rc;
}
