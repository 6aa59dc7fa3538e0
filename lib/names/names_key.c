/*
 * names_key.c - what the key of a JSON value says of it
 *
 * A field called first_name holds a name whatever the lists say, unless its
 * value is plainly no name ("string", "N/A"). A field called name may hold a
 * tool's, and wants a first name in front.
 */
#include "names/names_priv.h"

#include <string.h>

#define KEY_WORDS_MAX 6 /* of a value */

struct key_word {
    const char *word;
    size_t n;
    enum names_class class;
    bool strong;
};

#define KEY(word, class, strong)                                               \
    {                                                                          \
        word, sizeof(word) - 1, class, strong                                  \
    }
static const struct key_word keys[] = {
    KEY("_first_name_", NAMES_PERSON, true),
    KEY("_last_name_", NAMES_PERSON, true),
    KEY("_middle_name_", NAMES_PERSON, true),
    KEY("_maiden_name_", NAMES_PERSON, true),
    KEY("_given_name_", NAMES_PERSON, true),
    KEY("_family_name_", NAMES_PERSON, true),
    KEY("_full_name_", NAMES_PERSON, true),
    KEY("_firstname_", NAMES_PERSON, true),
    KEY("_lastname_", NAMES_PERSON, true),
    KEY("_fullname_", NAMES_PERSON, true),
    KEY("_surname_", NAMES_PERSON, true),
    KEY("_氏名_", NAMES_PERSON, true),
    KEY("_姓名_", NAMES_PERSON, true),
    KEY("_お名前_", NAMES_PERSON, true),
    KEY("_성명_", NAMES_PERSON, true),
    KEY("_имя_", NAMES_PERSON, true),
    KEY("_Имя_", NAMES_PERSON, true),
    KEY("_фамилия_", NAMES_PERSON, true),
    KEY("_Фамилия_", NAMES_PERSON, true),
    KEY("_фио_", NAMES_PERSON, true),
    KEY("_ФИО_", NAMES_PERSON, true),
    KEY("_vorname_", NAMES_PERSON, true),
    KEY("_nachname_", NAMES_PERSON, true),
    KEY("_familienname_", NAMES_PERSON, true),
    KEY("_prenom_", NAMES_PERSON, true),
    KEY("_apellido_", NAMES_PERSON, true),
    KEY("_apellidos_", NAMES_PERSON, true),
    KEY("_cognome_", NAMES_PERSON, true),
    KEY("_voornaam_", NAMES_PERSON, true),
    KEY("_achternaam_", NAMES_PERSON, true),
    KEY("_nazwisko_", NAMES_PERSON, true),
    KEY("_customer_name_", NAMES_PERSON, true),
    KEY("_client_name_", NAMES_PERSON, true),
    KEY("_patient_name_", NAMES_PERSON, true),
    KEY("_passenger_name_", NAMES_PERSON, true),
    KEY("_guest_name_", NAMES_PERSON, true),
    KEY("_contact_name_", NAMES_PERSON, true),
    KEY("_employee_name_", NAMES_PERSON, true),
    KEY("_holder_name_", NAMES_PERSON, true),
    KEY("_cardholder_", NAMES_PERSON, true),
    KEY("_account_holder_", NAMES_PERSON, true),
    KEY("_student_name_", NAMES_PERSON, true),
    KEY("_sender_name_", NAMES_PERSON, true),
    KEY("_recipient_name_", NAMES_PERSON, true),
    KEY("_spouse_", NAMES_PERSON, true),
    KEY("_next_of_kin_", NAMES_PERSON, true),
    KEY("_customer_", NAMES_PERSON, false),
    KEY("_patient_", NAMES_PERSON, false),
    KEY("_passenger_", NAMES_PERSON, false),
    KEY("_recipient_", NAMES_PERSON, false),
    KEY("_sender_", NAMES_PERSON, false),
    KEY("_author_", NAMES_PERSON, false),
    KEY("_beneficiary_", NAMES_PERSON, false),
    KEY("_manager_", NAMES_PERSON, false),
    KEY("_doctor_", NAMES_PERSON, false),
    KEY("_physician_", NAMES_PERSON, false),
    KEY("_assignee_", NAMES_PERSON, false),
    KEY("_owner_", NAMES_PERSON, false),
    KEY("_contact_", NAMES_PERSON, false),
    KEY("_attendee_", NAMES_PERSON, false),
    KEY("_attendees_", NAMES_PERSON, false),
    KEY("_nom_", NAMES_PERSON, false),
    KEY("_user_", NAMES_PERSON, false),
    KEY("_user_name_", NAMES_PERSON, false),
    KEY("_display_name_", NAMES_PERSON, false),
    KEY("_name_", NAMES_PERSON, false),
    KEY("_city_", NAMES_PLACE, true),
    KEY("_town_", NAMES_PLACE, true),
    KEY("_birthplace_", NAMES_PLACE, true),
    KEY("_place_of_birth_", NAMES_PLACE, true),
    KEY("_hometown_", NAMES_PLACE, true),
    KEY("_residence_", NAMES_PLACE, false),
    KEY("_country_", NAMES_PLACE, false),
    KEY("_location_", NAMES_PLACE, false),
    KEY("_state_", NAMES_PLACE, false),
    KEY("_region_", NAMES_PLACE, false),
    KEY("_county_", NAMES_PLACE, false),
    KEY("_province_", NAMES_PLACE, false),
    KEY("_employer_", NAMES_ORGANIZATION, true),
    KEY("_company_", NAMES_ORGANIZATION, true),
    KEY("_company_name_", NAMES_ORGANIZATION, true),
    KEY("_organization_name_", NAMES_ORGANIZATION, true),
    KEY("_hospital_", NAMES_ORGANIZATION, true),
    KEY("_school_", NAMES_ORGANIZATION, true),
    KEY("_university_", NAMES_ORGANIZATION, true),
    KEY("_merchant_", NAMES_ORGANIZATION, true),
};

/* A key of somebody and of nothing else; an owner may be a program. */
static bool is_role(const char *word)
{
    static const char list[] =
        "_nom_ _customer_ _patient_ _passenger_ _recipient_ _sender_ "
        "_beneficiary_ _manager_ _doctor_ _physician_ _assignee_ _attendee_";

    return strstr(list, word) != NULL;
}

/* Longer words of a key say more: customer_name before name. Weak words must
 * be the whole key. */
bool names_key_class(struct slice key, struct names_key *out)
{
    if (key.n < 6 && !slice_is(key, "_nom_"))
        return false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        size_t n = keys[i].n;

        if (n > key.n || (!keys[i].strong && n != key.n) ||
            key.p[key.n - 2] != keys[i].word[n - 2])
            continue;
        if (memcmp(key.p + key.n - n, keys[i].word, n) != 0)
            continue;
        *out = (struct names_key){ keys[i].class, keys[i].strong,
                                   !keys[i].strong && is_role(keys[i].word) };
        return true;
    }
    return false;
}

bool names_key_tells(struct slice key)
{
    struct names_key k;

    return names_key_class(key, &k);
}

static bool is_named(const struct names_token *t)
{
    unsigned l = t->lists;

    return names_is_capital(t) && !(l & (W_TECH | W_CALENDAR)) &&
           ((l & (W_POPULAR | W_FEMALE | W_MALE)) ||
            (!(l & (W_COMMON | W_KNOWN)) && (l & W_GIVEN)));
}

/* What stands for a value, and is somebody's surname, too. */
static bool is_filler(struct slice text)
{
    static const char *const words[] = { "string", "name",  "none", "null",
                                         "test",   "user",  "text", "value",
                                         "guest",  "admin", "any",  "first",
                                         "last" };

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_is(text, words[i]))
            return true;
    return false;
}

/* "Dupont" and "Bo Xu" under "manager": a surname, and what may stand before
 * it. */
static bool is_of_role(const struct names_token *t, size_t words)
{
    const struct names_token *last = t + words - 1;
    const unsigned other =
        W_TECH | W_CALENDAR | W_COMMON | W_ORG | W_TITLE | W_FOREIGN | W_SMALL;

    if (words > 2 || last->shape != SHAPE_CAP || !(last->lists & W_LAST) ||
        (last->lists & other))
        return false;
    return words == 1 ||
           (t->shape == SHAPE_CAP && last->gap == 1 &&
            ((t->lists & W_GIVEN) ||
             !(t->lists & (other & ~(unsigned)(W_FOREIGN | W_SMALL)))));
}

static bool accepts_person(const struct names_key *k,
                           const struct names_token *t, size_t words,
                           size_t capitals, struct slice text)
{
    if (k->strong)
        return capitals || t->shape == SHAPE_LETTERS ||
               !(t->lists & (W_COMMON | W_TECH | W_KNOWN)) ||
               (words == 1 && (t->lists & (W_LAST | W_FEMALE | W_MALE)) &&
                !is_filler(text)) ||
               (words == 2 && (t->lists & (W_FEMALE | W_MALE)) &&
                (t[1].lists & W_LAST));
    if (words > 4 || capitals < words)
        return false;
    if (k->role && is_of_role(t, words))
        return true;
    return is_named(t) && (words > 1 || !(t->lists & (W_COMMON | W_KNOWN)));
}

/* Jasmine and Ruby are first names, too. */
static bool is_given(const struct names_token *t)
{
    return (t->lists & (W_GIVEN | W_POPULAR | W_FEMALE | W_MALE)) != 0;
}

bool names_key_accepts(const struct names_key *k, const struct names_tokens *t,
                       struct slice text)
{
    const struct names_token *x = t->item + TOKENS_MARGIN;
    size_t words = 0, capitals = 0;

    if (!t->count || text.n > 80)
        return false;
    for (size_t i = 0; i < t->count; i++) {
        if (x[i].shape == SHAPE_ODD || x[i].shape == SHAPE_NUMBER)
            return false;
        if (x[i].shape == SHAPE_PUNCT && !strchr(".,'-&", text.p[x[i].start]))
            return false;
        words += x[i].shape != SHAPE_PUNCT;
        capitals += names_is_capital(&x[i]);
    }
    if (!words || words > KEY_WORDS_MAX ||
        ((x->lists & W_TECH) && !(k->strong && words > 1 && is_given(x))))
        return false;
    if (k->class == NAMES_PERSON)
        return accepts_person(k, x, words, capitals, text);
    if (x->shape == SHAPE_UPPER && text.n <= 3)
        return false; /* a code */
    if (k->class == NAMES_PLACE)
        return (x->lists & W_PLACE) && !(x->lists & W_CONTINENT)
                   ? capitals || !(x->lists & W_COMMON)
                   : k->strong && capitals && !(x->lists & W_COMMON);
    return capitals && !(words == 1 && (x->lists & W_COMMON));
}
