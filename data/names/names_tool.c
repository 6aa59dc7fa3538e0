/*
 * names_tool.c - namestool: makes the data of lib/names from lists and texts
 *
 * namestool pack OUT FOLDER...   word lists of the folders into OUT
 */
#include "names_tool.h"

#include "base/io.h"

#include <stdio.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    struct err err;
    int rc;

    if (argc < 4 || strcmp(argv[1], "pack") != 0) {
        fprintf(stderr, "usage: namestool pack OUT FOLDER...\n");
        return 2;
    }
    rc = pack(argc - 2, argv + 2, &err);
    if (rc < 0)
        fprintf(stderr, "namestool: %s\n", err.msg);
    return rc < 0;
}
