/*
 * idnumber_mend.c - what ranges at fixed places cannot put right
 *
 * Shapes whose date stands elsewhere by length, alphabets with gaps, and the
 * German tax number's digit that must stand twice.
 */
#include "idnumber/idnumber_priv.h"

#include <string.h>

/* Two digits into low to high, if they are not in it. */
static void put_two(char *c, unsigned low, unsigned high)
{
    unsigned v = idnumber_number(c, 2);

    if (v < low || v > high)
        v = low + v % (high - low + 1);
    c[0] = (char)('0' + v / 10);
    c[1] = (char)('0' + v % 10);
}

void idnumber_mend_rfc(struct idnumber *x)
{
    size_t name = x->n == 12 ? 3 : 4;

    if (x->n < 10 || strspn(x->c + name, "0123456789") < 6)
        return;
    if (name == 4 && strchr("AEIOU", x->c[1])) /* no unseemly word has an X */
        x->c[3] = 'X';
    put_two(x->c + name + 2, 1, 12);
    put_two(x->c + name + 4, 1, 28);
}

void idnumber_mend_dl(struct idnumber *x)
{
    bool filled = false;

    if (x->n != 16)
        return;
    for (size_t i = 0; i < 5; i++) { /* digits among the name fill it up */
        filled |= ascii_is_digit(x->c[i]);
        if (filled && ascii_is_digit(x->c[i]))
            x->c[i] = '9';
    }
    if (ascii_is_digit(x->c[11]))
        x->c[11] = '9';
}

/* Month and department as most people have them. */
void idnumber_mend_nir(struct idnumber *x)
{
    if (x->n != 15 || !ascii_is_digit(x->c[5]))
        return;
    x->c[0] = (char)('1' + (x->c[0] & 1));
    put_two(x->c + 3, 1, 12);
    if (ascii_is_digit(x->c[6]))
        put_two(x->c + 5, 1, 95);
    else
        memcpy(x->c + 5, x->c[6] & 1 ? "2A" : "2B", 2);
}

void idnumber_mend_idnr(struct idnumber *x)
{
    unsigned used = 0;

    if (x->n != 11)
        return;
    for (size_t i = 0; i < 10; i++) {
        unsigned v = idnumber_digit(x->c[i]);

        if (i == 9) { /* the one that stands twice */
            x->c[9] = x->c[v % 9];
            return;
        }
        while (used & 1u << v || (i == 0 && v == 0))
            v = (v + 1) % 10;
        used |= 1u << v;
        x->c[i] = (char)('0' + v);
    }
}

void idnumber_mend_pnr(struct idnumber *x)
{
    char *d;

    if (x->n != 10 && x->n != 12)
        return;
    d = x->c + x->n - 10;
    if (x->n == 12)
        memcpy(x->c, x->c[1] & 1 ? "19" : "20", 2);
    put_two(d + 2, 1, 12);
    put_two(d + 4, 1, 28);
}

/* Nine digits: until 1953. */
void idnumber_mend_rc(struct idnumber *x)
{
    if (x->n == 9)
        put_two(x->c, 10, 53);
}

void idnumber_mend_ogrn(struct idnumber *x)
{
    if (x->n == 15 && x->c[0] != '4')
        x->c[0] = '3';
}

/* Letters that are not used become their neighbours. */
void idnumber_mend_uscc(struct idnumber *x)
{
    for (size_t i = 0; i < x->n; i++)
        if (strchr("IOSVZ", x->c[i]))
            x->c[i]--;
}

void idnumber_mend_ird(struct idnumber *x)
{
    if (x->n == 9)
        memcpy(x->c, "12", 2);
}

/* A digit at the end is a company's. */
void idnumber_mend_nif(struct idnumber *x)
{
    if (x->n == 9 && ascii_is_digit(x->c[8]) && strchr("KLMXYZ", x->c[0]))
        x->c[0] = x->c[0] < 'X' ? 'B' : 'A';
}

/* Where letters may stand for digits, those that do: the tens of the day from
 * 0 to 2 (women: 4 to 6), its ones from 1 to 8. */
void idnumber_mend_cf(struct idnumber *x)
{
    static const char letters[] = "LMNPQRSTUV";
    static const unsigned char digits[] = { 6, 7, 9, 10, 12, 13, 14 };

    if (x->n != 16)
        return;
    for (size_t i = 0; i < sizeof(digits); i++) {
        char *c = &x->c[digits[i]];
        bool digit = ascii_is_digit(*c);
        const char *at = digit ? NULL : strchr(letters, *c);
        unsigned v = digit ? idnumber_digit(*c)
                     : at  ? (unsigned)(at - letters)
                           : (unsigned)(*c - 'A') % 10;

        if (digits[i] == 9)
            v = v % 3 + (v > 4 ? 4 : 0);
        else if (digits[i] == 10)
            v = v % 8 + 1;
        *c = digit ? (char)('0' + v) : letters[v];
    }
}
