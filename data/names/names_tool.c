/*
 * names_tool.c - namestool: makes the data of lib/names from lists and texts
 *
 * namestool pack OUT FOLDER...
 *     word lists of the folders into OUT
 * namestool train OUT WORDS CONLL TEMPLATES LISTS [EPOCHS TIMES SEED]
 *     weights for the tagger: WORDS as pack wrote them, a folder of CoNLL
 *     files, templates filled TIMES times from the folder LISTS
 */
#include "names_tool.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX ((size_t)64 << 20)

static int pack(int argc, char **argv, struct err *err)
{
    struct buf out = { 0 };
    size_t count;
    int rc = names_pack((const char *const *)argv + 1, (size_t)argc - 1, &out,
                        &count, err);

    if (rc == ERR_OK)
        rc = io_write_file(argv[0], out.data, out.len, 0644, err);
    if (rc == ERR_OK)
        printf("%zu words and phrases, %zu bytes\n", count, out.len);
    buf_release(&out);
    return rc;
}

static uint64_t number(int argc, char **argv, int i, uint64_t standard)
{
    return i < argc ? strtoull(argv[i], NULL, 10) : standard;
}

static int train(int argc, char **argv, struct err *err)
{
    struct buf file = { 0 }, out = { 0 };
    struct names_words words = { 0 };
    struct names_corpus c = { 0 };
    uint64_t seed = number(argc, argv, 7, 1);
    int rc = io_read_file(argv[1], WORDS_MAX, &file, err);

    if (rc == ERR_OK)
        rc = names_words_open(buf_slice(&file), &words, err);
    if (rc == ERR_OK)
        rc = names_corpus_read(&c, argv[2], err);
    if (rc == ERR_OK)
        rc = names_corpus_make(&c, argv[3], argv[4], number(argc, argv, 6, 30),
                               seed, err);
    if (rc == ERR_OK) {
        printf("%zu sentences\n", c.count);
        names_train(&words, &c, number(argc, argv, 5, 8), seed, &out);
        rc = io_write_file(argv[0], out.data, out.len, 0644, err);
    }
    names_corpus_release(&c);
    names_words_close(&words);
    buf_release(&file);
    buf_release(&out);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err;
    int rc;

    if (argc >= 4 && strcmp(argv[1], "pack") == 0) {
        rc = pack(argc - 2, argv + 2, &err);
    } else if (argc >= 7 && strcmp(argv[1], "train") == 0) {
        rc = train(argc - 2, argv + 2, &err);
    } else {
        fprintf(stderr, "usage: namestool pack OUT FOLDER...\n"
                        "       namestool train OUT WORDS CONLL TEMPLATES "
                        "LISTS [EPOCHS TIMES SEED]\n");
        return 2;
    }
    if (rc < 0)
        fprintf(stderr, "namestool: %s\n", err.msg);
    return rc < 0;
}
