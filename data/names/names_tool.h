/*
 * names_tool.h - parts of namestool, which makes the data of lib/names
 *
 * Not part of the program: it runs where the sources of the lists are. What it
 * writes depends on its inputs and the seed alone.
 */
#ifndef NAMES_TOOL_H
#define NAMES_TOOL_H

#include "names/names_priv.h"

#include "base/rng.h"

/* The lists of the folders as a table, appended; *count words and phrases.
 * Files that a folder does not have are no error. */
MUST_CHECK int names_pack(const char *const *folders, size_t n, struct buf *out,
                          size_t *count, struct err *err);

/* Text with the right answer: label[i] belongs to byte i: 0 outside, else the
 * tag (B and I), one value over the bytes of a word. */
struct names_sample {
    char *text;
    unsigned char *label;
    size_t n;
    bool made;  /* from a template */
    bool blind; /* its names shall not be known from lists */
    bool held;  /* out of training, for the score */
};
struct names_corpus {
    struct names_sample *item;
    size_t count, cap;
};
void names_corpus_release(struct names_corpus *c);
/* Takes text and labels over. */
void names_corpus_add(struct names_corpus *c, struct buf *text,
                      struct buf *label, bool made, bool blind);
/* All files of a folder, and of folders in it: CoNLL columns, the word first
 * and the tag last (PER, LOC, ORG; person, location, corporation, group; the
 * rest is O), a blank line after each sentence. */
MUST_CHECK int names_corpus_read(struct names_corpus *c, const char *folder,
                                 struct err *err);
/* Sentences made of the file's templates, each `times` times, with names from
 * the lists of the folder. */
MUST_CHECK int names_corpus_make(struct names_corpus *c, const char *templates,
                                 const char *lists, size_t times, uint64_t seed,
                                 struct err *err);

/* Trains on what is not held, appends the weights, prints scores. */
void names_train(const struct names_words *words, struct names_corpus *c,
                 size_t epochs, uint64_t seed, struct buf *out);

#endif
