/*
 * scrub_view_tables.c - characters that are taken for others
 *
 * Which letters look like Latin ones is a choice: those whose common typefaces
 * cannot be told apart, and capitals that differ in nothing. Zeros are the
 * decimal digits (Nd) of the Unicode character database.
 */
#include "scrub/scrub_priv.h"

/* clang-format off */
static const struct {
    uint16_t cp;
    char latin;
} confusables[] = {
    { 0x0391, 'A' }, { 0x0392, 'B' }, { 0x0395, 'E' }, { 0x0396, 'Z' },
    { 0x0397, 'H' }, { 0x0399, 'I' }, { 0x039A, 'K' }, { 0x039C, 'M' },
    { 0x039D, 'N' }, { 0x039F, 'O' }, { 0x03A1, 'P' }, { 0x03A4, 'T' },
    { 0x03A5, 'Y' }, { 0x03A7, 'X' }, { 0x03B1, 'a' }, { 0x03B3, 'y' },
    { 0x03B5, 'e' }, { 0x03B7, 'n' }, { 0x03B9, 'i' }, { 0x03BA, 'k' },
    { 0x03BD, 'v' }, { 0x03BF, 'o' }, { 0x03C1, 'p' }, { 0x03C4, 't' },
    { 0x03C5, 'u' }, { 0x03C7, 'x' }, { 0x03F2, 'c' }, { 0x03F3, 'j' },
    { 0x0405, 'S' }, { 0x0406, 'I' }, { 0x0408, 'J' }, { 0x0410, 'A' },
    { 0x0412, 'B' }, { 0x0415, 'E' }, { 0x041A, 'K' }, { 0x041C, 'M' },
    { 0x041D, 'H' }, { 0x041E, 'O' }, { 0x0420, 'P' }, { 0x0421, 'C' },
    { 0x0422, 'T' }, { 0x0423, 'Y' }, { 0x0425, 'X' }, { 0x042C, 'b' },
    { 0x0430, 'a' }, { 0x0432, 'b' }, { 0x0433, 'r' }, { 0x0435, 'e' },
    { 0x043A, 'k' }, { 0x043C, 'm' }, { 0x043D, 'h' }, { 0x043E, 'o' },
    { 0x0440, 'p' }, { 0x0441, 'c' }, { 0x0442, 't' }, { 0x0443, 'y' },
    { 0x0445, 'x' }, { 0x044C, 'b' }, { 0x0455, 's' }, { 0x0456, 'i' },
    { 0x0458, 'j' }, { 0x0474, 'V' }, { 0x0475, 'v' }, { 0x0491, 'r' },
    { 0x04AE, 'Y' }, { 0x04AF, 'y' }, { 0x04BB, 'h' }, { 0x04C0, 'I' },
    { 0x04CF, 'l' }, { 0x0500, 'D' }, { 0x0501, 'd' }, { 0x050C, 'G' },
    { 0x051A, 'Q' }, { 0x051B, 'q' }, { 0x051C, 'W' }, { 0x051D, 'w' },
    { 0x0566, 'q' }, { 0x0570, 'h' }, { 0x0578, 'n' }, { 0x057D, 'u' },
    { 0x0581, 'g' }, { 0x0585, 'o' },
};

static const uint32_t zeros[] = { /* nine others follow each */
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6,
    0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090,
    0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450,
    0x114D0, 0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50,
    0x11DA0, 0x16A60, 0x16AC0, 0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC,
    0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
};
/* clang-format on */

uint32_t scrub_confusable(uint32_t cp)
{
    size_t low = 0, high = sizeof(confusables) / sizeof(*confusables);

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (confusables[mid].cp == cp)
            return (unsigned char)confusables[mid].latin;
        if (confusables[mid].cp < cp)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}

int scrub_digit_value(uint32_t cp)
{
    size_t low = 0, high = sizeof(zeros) / sizeof(*zeros);

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (zeros[mid] <= cp)
            low = mid + 1;
        else
            high = mid;
    }
    return low && cp - zeros[low - 1] < 10 ? (int)(cp - zeros[low - 1]) : -1;
}

/* Soft hyphens, joiners, marks of direction, variation selectors, tags, byte
 * order marks. */
bool scrub_is_invisible(uint32_t cp)
{
    static const uint32_t ranges[][2] = {
        { 0xAD, 0xAD },     { 0x34F, 0x34F },     { 0x61C, 0x61C },
        { 0x115F, 0x1160 }, { 0x17B4, 0x17B5 },   { 0x180B, 0x180F },
        { 0x200B, 0x200F }, { 0x202A, 0x202E },   { 0x2060, 0x206F },
        { 0x3164, 0x3164 }, { 0xFE00, 0xFE0F },   { 0xFEFF, 0xFEFF },
        { 0xFFA0, 0xFFA0 }, { 0xE0000, 0xE0FFF },
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
        if (cp >= ranges[i][0] && cp <= ranges[i][1])
            return true;
    return false;
}

bool scrub_is_other_letter(uint32_t cp)
{
    return (cp >= 0x370 && cp < 0x590) || (cp >= 0x1F00 && cp < 0x2000);
}
