/*
 * names_language.c - whether English is spoken around a find
 *
 * Counts common words of English and of other languages near it. No guess at
 * which other language: capitals and the tagger tell nothing in any of them.
 */
#include "names/names_priv.h"

#define JUDGED 240 /* bytes on both sides whose words are counted */

static bool is_word_byte(char c)
{
    return (unsigned char)c >= 0x80 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

struct tally {
    size_t small, known, english, foreign;
};

static void tally_word(const struct names_words *w, struct names_fact *facts,
                       struct slice word, struct tally *t)
{
    struct names_fact bare = { 0 }, *f = names_fact_at(facts, word);
    unsigned char c = (unsigned char)word.p[0];
    bool low = c >= 'a' && c <= 'z';
    unsigned lists = names_fact_lists(f ? f : &bare, w, word);
    bool own = (lists & W_COMMON) != 0, other = (lists & W_FOREIGN) != 0;

    if (!low && ((lists & W_PHRASE) ||
                 ((lists & (W_NAME | W_PLACE)) && !(lists & W_SMALL))))
        return;
    t->small += low;
    t->known += low && own;
    t->english += own && !other;
    t->foreign += other && !own;
}

enum names_language names_spoken(const struct names_words *w,
                                 struct names_fact *facts, struct slice text,
                                 size_t from, size_t to)
{
    size_t i = from > JUDGED ? from - JUDGED : 0;
    struct tally t = { 0 };

    to = text.n - to > JUDGED ? to + JUDGED : text.n;
    while (i && i < to && is_word_byte(text.p[i - 1]))
        i++;
    while (i < to) {
        size_t begin = i;

        while (i < to && is_word_byte(text.p[i]))
            i++;
        if (i - begin > 1)
            tally_word(w, facts, (struct slice){ text.p + begin, i - begin },
                       &t);
        i += i == begin;
    }
    if (t.foreign > 1 && t.foreign > t.english)
        return LANGUAGE_OTHER;
    return t.small < 3 || t.known * 2 >= t.small ? LANGUAGE_ENGLISH
                                                 : LANGUAGE_ODD;
}
