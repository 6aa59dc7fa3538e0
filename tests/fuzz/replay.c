/*
 * replay.c - runs a fuzz target over files, without a fuzzer
 *
 * Each operand is a file or a directory of files. Under clang the same
 * targets link with -fsanitize=fuzzer instead of this file.
 */
#include "base/buf.h"
#include "base/io.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replay_file(const char *path)
{
    struct buf b = { .data = NULL };
    struct err err;
    uint8_t *exact;

    if (io_read_file(path, INPUT_MAX, &b, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    /* A copy of just the size, so that a sanitizer sees the first byte that
     * is read past the end. */
    exact = malloc(b.len ? b.len : 1);
    for (size_t i = 0; exact && i < b.len; i++)
        exact[i] = (uint8_t)b.data[i];
    if (exact)
        (void)LLVMFuzzerTestOneInput(exact, b.len);
    free(exact);
    buf_release(&b);
    return 1;
}

static size_t replay_directory(const char *path)
{
    DIR *d = opendir(path);
    size_t n = 0;

    if (!d)
        return replay_file(path);
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        char *file;

        if (e->d_name[0] == '.')
            continue;
        file = io_path(path, e->d_name);
        n += replay_file(file);
        free(file);
    }
    closedir(d);
    return n;
}

int main(int argc, char **argv)
{
    size_t n = 0;

    for (int i = 1; i < argc; i++)
        n += replay_directory(argv[i]);
    printf("%zu inputs\n", n);
    return n ? 0 : 1;
}
