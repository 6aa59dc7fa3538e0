/*
 * names_script.c - introductions in other scripts and languages
 *
 * "我叫…", "저는 …입니다", "меня зовут …": a turn of phrase, then a name up to
 * the next sign, particle or common word, by the rules of the script. Turns are
 * found by the first of their bytes that is no ASCII, in one pass. No
 * segmentation and no list of given names: without the turn nothing is found.
 */
#include "names/names_priv.h"

#include <string.h>

#define WORD_BYTES_MAX 256

/* What ends a name of words: copulas, and words that begin what else is said.
 * Between blanks. */
static const char stops[] =
    " من في على إلى عن أنا انا هو هي لدي عندي أريد اريد أود أرغب أحتاج أعمل "
    "أعيش أسكن رقم ورقم وأنا وانا عمري وعمري هل كيف لا لم قد كنت طلبي حسابي "
    "هنا "
    "است هستم ہے اور و "
    "אני ואני רוצה צריך צריכה גר גרה מספר של על את הוא היא כאן לא עם כי יש "
    "है हैं हूँ हूं और आहे हो मैं मेरा मेरी में से को का की के जी ने "
    "আমি এবং நான் మరియు છે ਹੈ ആണ് და ვარ ";

/* Behind these an Arabic or Hebrew name goes on with a third word. */
static const char binders[] = " بن ابن عبد أبو ابو آل بنت בן בת бен ";

static const char *const tails[] = {
    "です", "と申", "といい", "と言", "でござ", "だ",
    "さん", "様",   "って",   "、",   "と、",   "という",
};
static const char *const endings[] = {
    "입니다", "이에요", "예요", "이라고", "라고", "이고", "인데",
    "입니당", "이며",   "씨",   "님",     "이야", "야",
};
static const char *const particles[] = {
    "ครับ", "ค่ะ",  "คะ", "นะ",  "อายุ",  "เบอร์", "อยู่", "ต้อง", "จาก",
    "และ", "โทร", "ที่",  "เป็น", "อยาก", "ขอ",   "มา", "ทำ",  "มี",
};

/* Surnames: three bytes each; of two letters first. */
static const char han_double[] = "欧阳司马上官诸葛司徒東方东方皇甫慕容令狐長孫";
static const char han_single[] =
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝"
    "宋唐许許韩韓冯馮邓鄧曹彭曾肖田董袁潘于蒋蔣蔡余杜叶葉程苏蘇魏吕呂丁任沈"
    "姚卢盧姜崔钟鍾谭譚陆陸汪范金石廖贾賈夏韦韋付方白邹鄒孟熊秦邱江尹薛闫段"
    "雷侯龙龍史陶黎贺賀顾顧毛郝龚龔邵万萬钱錢严嚴覃武戴莫孔向汤湯";
static const char japanese[] =
    " 佐藤 鈴木 高橋 田中 伊藤 渡辺 渡邊 山本 中村 小林 加藤 吉田 山田 佐々木 "
    "山口 松本 井上 木村 斎藤 斉藤 清水 山崎 池田 橋本 阿部 石川 山下 中島 "
    "石井 "
    "小川 前田 岡田 長谷川 藤田 後藤 近藤 村上 遠藤 青木 坂本 福田 太田 西村 "
    "藤井 "
    "金子 岡本 藤原 三浦 中野 中川 原田 松田 竹内 小野 田村 中山 和田 石田 "
    "森田 "
    "上田 内田 柴田 酒井 宮崎 横山 高木 安藤 宮本 大野 小島 工藤 谷口 今井 "
    "高田 "
    "丸山 増田 杉山 村田 大塚 新井 小山 平野 藤本 河野 上野 野口 武田 松井 "
    "千葉 "
    "菊地 岩崎 木下 佐野 松尾 野村 菅原 久保 市川 杉本 古川 大西 島田 水野 "
    "桜井 "
    "渡部 高野 吉川 山内 飯田 菊池 西田 小松 北村 ";
static const char korean[] =
    "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주"
    "우구민진나지엄채원천방공현함변염여추도소석선설마길연위표명기";
/* Nobody's name, though it begins like one. */
static const char korean_words[] =
    " 이용자 구매자 주문자 소비자 기술자 공무원 안내원 연구원 선생님 유학생 "
    "여학생 남학생 정치인 한국인 변호사 노동자 지원자 임산부 신청자 조종사 "
    "고객님 하지만 지금은 여자입 ";
static const char han_words[] = " 高中生 程序员 金融业 白领 高兴 方便 万能 "
                                "黄金 江西 江苏 石家 马上 严重 向导 "
                                "高级 华人 夏天 ";
static const char han_stops[] =
    "住在和是今先女来來想要有了的，也从從我你他她叫姓很不就这這那到去个個给給"
    "电電手邮郵身订訂出年岁歲月日号號";

static int32_t point_at(struct slice t, size_t i, size_t *used)
{
    *used = 1;
    return i < t.n ? utf8_decode(t.p + i, t.n - i, used) : -1;
}

static bool is_letter(struct slice t, size_t i, size_t *used)
{
    int32_t cp = point_at(t, i, used);

    return cp >= 0 && (names_letter(cp) != CP_OTHER || cp == 0x3005);
}

static bool is_han(int32_t cp)
{
    return (cp >= 0x4E00 && cp < 0xA000) || (cp >= 0x3400 && cp < 0x4DC0) ||
           cp == 0x3005;
}

static bool listed(const char *list, struct slice word)
{
    char padded[64];

    if (word.n + 2 > sizeof(padded))
        return false;
    padded[0] = ' ';
    memcpy(padded + 1, word.p, word.n);
    padded[word.n + 1] = ' ';
    return memmem(list, strlen(list), padded, word.n + 2) != NULL;
}

/* Whether letters of three bytes each, in a row, are in the list. */
static bool has_letters(const char *list, struct slice v)
{
    const char *p = list, *end = list + strlen(list), *hit;

    while ((hit = memmem(p, (size_t)(end - p), v.p, v.n)) != NULL) {
        if ((size_t)(hit - list) % v.n == 0)
            return true;
        p = hit + 1;
    }
    return false;
}

static bool starts_with(struct slice t, size_t i, const char *s)
{
    size_t n = strlen(s);

    return t.n - i >= n && memcmp(t.p + i, s, n) == 0;
}

static bool starts_with_any(struct slice t, size_t i, const char *const *list,
                            size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (starts_with(t, i, list[k]))
            return true;
    return false;
}

/* The surname of Han letters at i: its bytes, or 0. */
static size_t han_surname(struct slice t, size_t i)
{
    if (t.n - i >= 6 && has_letters(han_double, (struct slice){ t.p + i, 6 }))
        return 6;
    return t.n - i >= 3 && has_letters(han_single, (struct slice){ t.p + i, 3 })
               ? 3
               : 0;
}

static size_t end_han(struct slice t, size_t i, bool weak)
{
    size_t surname = han_surname(t, i), used;
    size_t at = i + surname, most = at + 6;

    while (at < most && is_han(point_at(t, at, &used)) &&
           !has_letters(han_stops, (struct slice){ t.p + at, 3 }))
        at += used;
    if (weak && listed(han_words, (struct slice){ t.p + i, at - i }))
        return i;
    if (surname && weak && is_han(point_at(t, at, &used)) &&
        !has_letters(han_stops, (struct slice){ t.p + at, 3 }))
        return i; /* a longer word */
    if (surname)
        return weak && at == i + surname && at < t.n &&
                       is_han(point_at(t, at, &used)) &&
                       !starts_with(t, at, "先") && !starts_with(t, at, "女")
                   ? i
                   : at;
    /* 小明: of no known family, but all there is */
    return !weak && at - i >= 6 && !is_han(point_at(t, at, &used)) ? at : i;
}

static size_t end_japanese(struct slice t, size_t i, bool weak)
{
    size_t at = i, used, letters = 0;
    bool known = false;

    while (letters < 12 && is_letter(t, at, &used) &&
           !starts_with_any(t, at, tails, sizeof(tails) / sizeof(*tails))) {
        at += used;
        letters++;
        known |= (letters == 2 || letters == 3) &&
                 listed(japanese, (struct slice){ t.p + i, at - i });
        if (at < t.n &&
            (t.p[at] == ' ' || starts_with(t, at, "　") ||
             starts_with(t, at, "・")) &&
            is_letter(t, at + (t.p[at] == ' ' ? 1 : 3), &used))
            at += t.p[at] == ' ' ? 1 : 3;
    }
    if (letters < 2 || letters > 9)
        return i;
    return known || !weak ? at : i;
}

static size_t end_hangul(struct slice t, size_t i, bool weak)
{
    size_t at = i, used, letters = 0;
    struct slice name;

    while (
        letters < 6 && is_letter(t, at, &used) && used == 3 &&
        !(letters > 1 && starts_with_any(t, at, endings,
                                         sizeof(endings) / sizeof(*endings)))) {
        at += used;
        letters++;
    }
    name = (struct slice){ t.p + i, at - i };
    if (letters < 2 || letters > 4 || listed(korean_words, name))
        return i;
    return !weak || (letters == 3 &&
                     has_letters(korean, (struct slice){ name.p, 3 }) &&
                     is_letter(t, at, &used))
               ? at
               : i;
}

static size_t end_thai(struct slice t, size_t i)
{
    size_t at = i, used, words = 1, begun = i;

    while (at - i < 90) {
        if (at > begun &&
            starts_with_any(t, at, particles,
                            sizeof(particles) / sizeof(*particles)))
            break;
        if (is_letter(t, at, &used) && used == 3) {
            at += used;
        } else if (words == 1 && at < t.n && t.p[at] == ' ' &&
                   is_letter(t, at + 1, &used) && used == 3 &&
                   !starts_with_any(t, at + 1, particles,
                                    sizeof(particles) / sizeof(*particles))) {
            words++;
            begun = ++at;
        } else {
            break;
        }
    }
    return at - i < 6 ? i : at;
}

/* No word, and no name, is longer: i. */
static size_t word_end(struct slice t, size_t i)
{
    size_t end = i, used;

    while (end < t.n &&
           (is_letter(t, end, &used) || t.p[end] == '-' ||
            (t.p[end] == '\'' && end + 1 < t.n && t.p[end + 1] != ' '))) {
        end += used;
        if (end - i > WORD_BYTES_MAX)
            return i;
    }
    return end;
}

static bool is_given(const struct names_words *w, struct slice word)
{
    char folded[WORD_MAX];

    return (names_words_get(w, folded, names_fold(word, folded)) & W_GIVEN) !=
           0;
}

/* Arabic "and" is written with the next word. */
static bool is_joined_and(struct slice word)
{
    return word.n > 8 && memcmp(word.p, "\xD9\x88\xD8\xA3", 4) == 0;
}

static size_t end_words(const struct names_words *w, struct slice t, size_t i,
                        bool weak)
{
    size_t end = i, at = i;

    for (unsigned n = 0, most = 2; n < most && n < 4; n++) {
        size_t to = word_end(t, at);
        struct slice word = { t.p + at, to - at };

        if (to == at || (unsigned char)word.p[0] < 0x80 ||
            listed(stops, word) || (n && is_joined_and(word)))
            break;
        if (!n && weak && !is_given(w, word))
            return i;
        if (n && listed(binders, word))
            most = n + 2;
        end = to;
        at = to;
        if (at >= t.n || t.p[at] != ' ')
            break;
        at++;
    }
    return end;
}

static size_t end_capitals(struct slice t, size_t i)
{
    size_t end = i, at = i;

    for (unsigned n = 0; n < 4; n++) {
        size_t used, to = word_end(t, at);

        if (to == at || names_letter(point_at(t, at, &used)) != CP_UPPER)
            break;
        end = to;
        at = to;
        if (at >= t.n || t.p[at] != ' ')
            break;
        at++;
    }
    return end;
}

/* Blanks, colons, quotes and dashes between the turn and the name; "is" of
 * some languages. */
static size_t name_at(struct slice t, size_t i)
{
    static const char *const between[] = {
        " ", ":",  "\"", "：", "「",  "『",   "“",      "«",  "—",     "–",
        "-", "　", "叫", "是", "هو ", "است ", "είναι ", "е ", "este ",
    };

    for (unsigned n = 0; n < 4; n++) {
        size_t k = 0;

        while (k < sizeof(between) / sizeof(*between) &&
               !starts_with(t, i, between[k]))
            k++;
        if (k == sizeof(between) / sizeof(*between))
            break;
        i += strlen(between[k]);
    }
    return i;
}

static size_t name_end(const struct names_words *w, const struct names_turn *x,
                       struct slice t, size_t i)
{
    bool weak = (x->kind & TURN_WEAK) != 0;

    switch (x->kind & (TURN_WEAK - 1)) {
    case TURN_HAN: return end_han(t, i, weak);
    case TURN_JAPANESE: return end_japanese(t, i, weak);
    case TURN_HANGUL: return end_hangul(t, i, weak);
    case TURN_THAI: return end_thai(t, i);
    case TURN_WORDS: return end_words(w, t, i, weak);
    default: return end_capitals(t, i);
    }
}

/* Where the letters of three bytes before i begin, at most `most` of them. */
static size_t letters_before(struct slice t, size_t i, unsigned most,
                             bool (*is)(int32_t))
{
    size_t used;

    while (most-- && i >= 3 && is(point_at(t, i - 3, &used)) && used == 3)
        i -= 3;
    return i;
}

static bool is_hangul(int32_t cp)
{
    return cp >= 0xAC00 && cp < 0xD7A4;
}

/* 请王先生: the surname alone, or a whole name where nothing stands before. */
static size_t begin_han(struct slice t, size_t i)
{
    size_t from = letters_before(t, i, 4, is_han), n = (i - from) / 3;

    if (n >= 2 && n <= 3 && han_surname(t, from) &&
        !has_letters(han_stops, (struct slice){ t.p + from + 3, 3 }) &&
        i - from > han_surname(t, from))
        return from;
    if (n && han_surname(t, i - 3) == 3)
        return i - 3;
    if (n == 4 && han_surname(t, i - 9) == 3)
        return i - 9;
    return n >= 3 && han_surname(t, i - 6) == 3 ? i - 6 : i;
}

static size_t begin_name(const struct names_turn *x, struct slice t, size_t i)
{
    size_t from;

    if (x->kind == TURN_HAN_BEFORE)
        return begin_han(t, i);
    if (x->kind == TURN_JAPANESE_BEFORE) {
        from = letters_before(t, i, 6, is_han);
        return i - from >= 6 && i - from <= 15 &&
                       end_japanese((struct slice){ t.p, i }, from, true) == i
                   ? from
                   : i;
    }
    if (i && t.p[i - 1] == ' ')
        i--;
    from = letters_before(t, i, 4, is_hangul);
    return i - from == 9 &&
                   has_letters(korean, (struct slice){ t.p + from, 3 }) &&
                   !listed(korean_words, (struct slice){ t.p + from, 9 })
               ? from
               : i;
}

/* The next byte at or behind i that is no ASCII. */
static size_t next_other(struct slice t, size_t i)
{
    uint64_t x;

    for (; t.n - i >= sizeof(x); i += sizeof(x)) {
        memcpy(&x, t.p + i, sizeof(x));
        if (x & UINT64_MAX / 255 * 0x80)
            break;
    }
    while (i < t.n && (unsigned char)t.p[i] < 0x80)
        i++;
    return i;
}

bool names_turn_next(const struct names_words *w, struct slice text, size_t *at,
                     struct slice *out)
{
    while ((*at = next_other(text, *at)) + 1 < text.n) {
        size_t i = (*at)++, end = 0, from;
        const struct names_turn *x = names_turn_at(w, text, i, &end);

        if (!x)
            continue;
        if (x->kind >= TURN_HAN_BEFORE && x->kind < TURN_WEAK) {
            from = begin_name(x, text, i);
            end = i - (i && text.p[i - 1] == ' ');
        } else {
            from = name_at(text, end);
            end = name_end(w, x, text, from);
        }
        if (end <= from)
            continue;
        *out = (struct slice){ text.p + from, end - from };
        *at = end > i ? end : i + 1;
        return true;
    }
    return false;
}
