/*
 * names_turns.c - turns of phrase that introduce somebody
 *
 * Of languages whose words names_cue does not know one by one. A turn is known
 * by the first two of its bytes that are no ASCII, in either case; each of them
 * has some. What stands behind it is names_script's matter.
 */
#include "names/names_priv.h"

#include <assert.h>
#include <string.h>

/* clang-format off */
static const struct names_turn turns[] = {
    { TURN_HAN, "我叫" }, { TURN_HAN, "我的名字是" }, { TURN_HAN, "我的名字叫" },
    { TURN_HAN, "名字叫" }, { TURN_HAN, "我名叫" }, { TURN_HAN, "本人姓名" }, { TURN_HAN, "姓名：" },
    { TURN_HAN, "姓名:" }, { TURN_HAN, "联系人：" }, { TURN_HAN, "收件人：" }, { TURN_HAN, "患者：" },
    { TURN_HAN | TURN_WEAK, "我是" }, { TURN_HAN | TURN_WEAK, "我姓" }, { TURN_HAN | TURN_WEAK, "叫我" },
    { TURN_HAN, "聯絡人：" }, { TURN_HAN, "收件人:" }, { TURN_HAN, "联系人:" },
    { TURN_HAN_BEFORE, "先生" }, { TURN_HAN_BEFORE, "女士" }, { TURN_HAN_BEFORE, "小姐" },
    { TURN_HAN_BEFORE, "太太" }, { TURN_HAN_BEFORE, "老师" }, { TURN_HAN_BEFORE, "医生" },
    { TURN_JAPANESE_BEFORE, "さん" }, { TURN_JAPANESE_BEFORE, "様" },
    { TURN_JAPANESE_BEFORE, "と申します" }, { TURN_JAPANESE_BEFORE, "といいます" },
    { TURN_JAPANESE_BEFORE, "と言います" }, { TURN_HANGUL_BEFORE, "씨" }, { TURN_HANGUL_BEFORE, "님" },
    { TURN_JAPANESE | TURN_WEAK, "私は" }, { TURN_JAPANESE | TURN_WEAK, "僕は" },
    { TURN_JAPANESE | TURN_WEAK, "わたしは" }, { TURN_JAPANESE, "名前は" },
    { TURN_JAPANESE, "氏名：" }, { TURN_JAPANESE, "氏名:" }, { TURN_JAPANESE, "お名前：" },
    { TURN_JAPANESE, "名前：" },
    { TURN_JAPANESE | TURN_WEAK, "担当：" }, { TURN_JAPANESE | TURN_WEAK, "担当者：" },
    { TURN_HANGUL_BEFORE, "고객님" },
    { TURN_HANGUL, "이름은" }, { TURN_HANGUL, "성함은" }, { TURN_HANGUL, "이름:" },
    { TURN_HANGUL, "성함:" }, { TURN_HANGUL, "이름 :" }, { TURN_HANGUL | TURN_WEAK, "저는" },
    { TURN_HANGUL | TURN_WEAK, "나는" },
    { TURN_WORDS, "اسمي" }, { TURN_WORDS, "إسمي" }, { TURN_WORDS, "أدعى" }, { TURN_WORDS, "الاسم:" },
    { TURN_WORDS, "الاسم :" }, { TURN_WORDS, "السيد" }, { TURN_WORDS, "السيدة" },
    { TURN_WORDS, "اسم من" }, { TURN_WORDS, "نام من" }, { TURN_WORDS, "میرا نام" },
    { TURN_WORDS, "שמי" }, { TURN_WORDS, "השם שלי הוא" }, { TURN_WORDS, "השם שלי" },
    { TURN_WORDS, "קוראים לי" }, { TURN_WORDS, "שם:" }, { TURN_WORDS | TURN_WEAK, "אני" },
    { TURN_WORDS, "मेरा नाम" }, { TURN_WORDS, "माझे नाव" }, { TURN_WORDS, "मेरो नाम" },
    { TURN_WORDS, "नाम:" }, { TURN_WORDS, "श्री" }, { TURN_WORDS, "श्रीमती" },
    { TURN_WORDS, "আমার নাম" }, { TURN_WORDS, "என் பெயர்" }, { TURN_WORDS, "నా పేరు" },
    { TURN_WORDS, "મારું નામ" }, { TURN_WORDS, "ਮੇਰਾ ਨਾਮ" }, { TURN_WORDS, "ಹೆಸರು" },
    { TURN_WORDS, "എന്റെ പേര്" },
    { TURN_WORDS, "მე მქვია" }, { TURN_WORDS, "ჩემი სახელია" },
    { TURN_THAI, "ผมชื่อ" }, { TURN_THAI, "ดิฉันชื่อ" }, { TURN_THAI, "ฉันชื่อ" },
    { TURN_THAI, "หนูชื่อ" }, { TURN_THAI, "ของฉันคือ" }, { TURN_THAI, "ของผมคือ" },
    { TURN_THAI, "ชื่อ:" }, { TURN_THAI, "ขื่อ-สกุล:" },
    { TURN_CAPITALS, "το όνομά μου είναι" }, { TURN_CAPITALS, "το όνομα μου είναι" },
    { TURN_CAPITALS, "με λένε" }, { TURN_CAPITALS, "ονομάζομαι" }, { TURN_CAPITALS, "λέγομαι" },
    { TURN_CAPITALS, "меня зовут" }, { TURN_CAPITALS, "моё имя" }, { TURN_CAPITALS, "мое имя" },
    { TURN_CAPITALS, "мене звати" }, { TURN_CAPITALS, "моє ім'я" }, { TURN_CAPITALS, "моє ім’я" },
    { TURN_CAPITALS, "казвам се" }, { TURN_CAPITALS, "зовем се" }, { TURN_CAPITALS, "мяне завуць" },
    { TURN_CAPITALS, "իմ անունը" }, { TURN_CAPITALS, "իմ անունն է" },
    { TURN_CAPITALS, "nazywam się" }, { TURN_CAPITALS, "mam na imię" },
    { TURN_CAPITALS, "volám sa" }, { TURN_CAPITALS, "benim adım" }, { TURN_CAPITALS, "adım" },
    { TURN_CAPITALS, "mă numesc" }, { TURN_CAPITALS, "mă cheamă" },
    { TURN_CAPITALS, "tôi tên là" }, { TURN_CAPITALS, "tên tôi là" },
    { TURN_CAPITALS, "tên của tôi là" }, { TURN_CAPITALS, "ég heiti" }, { TURN_CAPITALS, "pišem se" },
};
/* clang-format on */

static size_t anchor_of(const char *s)
{
    size_t i = 0;

    while ((unsigned char)s[i] < 0x80)
        i++;
    return i;
}

static unsigned pair_of(const char *p)
{
    return (unsigned)(unsigned char)p[0] | (unsigned)(unsigned char)p[1] << 8;
}

/* The capital of a letter of Cyrillic, Greek, Armenian or Latin-1. */
static int32_t capital_of(int32_t cp)
{
    if ((cp >= 0x430 && cp < 0x450) || (cp >= 0x3B1 && cp < 0x3CA) ||
        (cp >= 0xE0 && cp < 0xFF))
        return cp - 0x20;
    if (cp >= 0x450 && cp < 0x460)
        return cp - 0x50;
    return cp >= 0x561 && cp < 0x587 ? cp - 0x30 : cp;
}

/* Both cases of the first letter that is no ASCII. */
static void pairs_of(const char *s, unsigned pair[2])
{
    size_t used;
    char upper[4];
    const char *anchor = s + anchor_of(s);

    pair[0] = pair_of(anchor);
    (void)utf8_encode(
        (uint32_t)capital_of(utf8_decode(anchor, strlen(anchor), &used)),
        upper);
    pair[1] = pair_of(upper);
}

void names_turns_fill(struct names_words *w)
{
    static_assert(sizeof(turns) / sizeof(*turns) <= TURNS_MAX, "turns");
    memset(w->turn_pairs, 0, sizeof(w->turn_pairs));
    for (size_t i = 0; i < sizeof(turns) / sizeof(*turns); i++) {
        const char *text = turns[i].text;
        unsigned pair[2];

        pairs_of(text, pair);
        w->turn[i].anchor = (uint8_t)anchor_of(text);
        w->turn[i].n = (uint8_t)strlen(text);
        for (size_t k = 0; k < 2; k++) {
            w->turn[i].pair[k] = (uint16_t)pair[k];
            w->turn_pairs[pair[k] / 64] |= UINT64_C(1) << pair[k] % 64;
        }
    }
}

/* Without case in any script of two bytes; of equal length. */
static bool matches(struct slice t, size_t from, const char *s, size_t n)
{
    char folded[2][4 * WORD_MAX];
    size_t a, b;

    if (from + n > t.n || n > WORD_MAX)
        return false;
    if (memcmp(t.p + from, s, n) == 0)
        return true;
    if ((unsigned char)s[anchor_of(s)] >= 0xD7)
        return false; /* no case */
    a = names_fold((struct slice){ t.p + from, n }, folded[0]);
    b = names_fold((struct slice){ s, n }, folded[1]);
    return a == b && memcmp(folded[0], folded[1], a) == 0;
}

static int32_t point_at(struct slice t, size_t i, size_t *used)
{
    *used = 1;
    return i < t.n ? utf8_decode(t.p + i, t.n - i, used) : -1;
}

/* A letter of a script with blanks stands at i - 1. */
static bool within_word(struct slice t, size_t i)
{
    size_t from = i, used;
    int32_t cp;

    if (!i)
        return false;
    do
        from--;
    while (from && ((unsigned char)t.p[from] & 0xC0) == 0x80);
    cp = point_at(t, from, &used);
    return (cp < 0x0E00 || (cp >= 0xAC00 && cp < 0xD7A4)) &&
           names_letter(cp < 0 ? ' ' : cp) != CP_OTHER;
}

/* The turn whose anchor is at i; its end, or 0. */
const struct names_turn *names_turn_at(const struct names_words *w,
                                       struct slice t, size_t i, size_t *end)
{
    const struct names_turn *best = NULL;
    unsigned here = pair_of(t.p + i);

    if (!(w->turn_pairs[here / 64] >> here % 64 & 1))
        return NULL;

    for (size_t k = 0; k < sizeof(turns) / sizeof(*turns); k++) {
        size_t n = w->turn[k].n, from = i - w->turn[k].anchor, used;
        unsigned kind = turns[k].kind & (TURN_WEAK - 1);

        if ((here != w->turn[k].pair[0] && here != w->turn[k].pair[1]) ||
            w->turn[k].anchor > i || (best && from + n <= *end) ||
            !matches(t, from, turns[k].text, n) ||
            (kind < TURN_HAN_BEFORE && within_word(t, from)) ||
            ((kind == TURN_WORDS || kind == TURN_CAPITALS) &&
             within_word(t, from + n) &&
             names_letter(point_at(t, from + n, &used)) != CP_OTHER))
            continue;
        best = &turns[k];
        *end = from + n;
    }
    return best;
}
