/* fuzz_config.c - configuration files and command lines of arbitrary bytes */
#include "cli/cli_private.h"
#include "memory_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool flag;
static int64_t number, bytes;
static double real;
static const char *text;
static struct cli_list list;
static const struct opt table[] = {
    { 'f', "flag", OPT_FLAG, &flag, .help = "f" },
    { 'n', "number", OPT_INT, &number, "N", "n", .min = 1, .max = 9 },
    { 0, "bytes", OPT_BYTES, &bytes, "SIZE", "b" },
    { 0, "real", OPT_DOUBLE, &real, "X", "r" },
    { 't', "text", OPT_STRING, &text, "TEXT", "t" },
    { 0, "list", OPT_LIST, &list, "ITEM", "l" },
    OPT_END
};

static const struct command train = { .name = "train",
                                      .summary = "trains",
                                      .operands = "",
                                      .options = table,
                                      .common = 63 };
static const struct command *const commands[] = { &train, NULL };

/* Each line of the input as one word. */
static void parse_words(const char *data, size_t size)
{
    struct cli_common_values values;
    struct cli_options o;
    struct cli_line line = { NULL, 0 };
    char *copy = slice_dup((struct slice){ data, size }), *save = NULL;
    char *argv[65];
    struct err err;
    int argc = 0;

    for (char *w = strtok_r(copy, "\n", &save); w && argc < 64;
         w = strtok_r(NULL, "\n", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    options_init(&o, &train, &values);
    (void)!options_parse(&o, argc, argv, &line, &err);
    free(line.operands);
    options_release(&o);
    free(copy);
}

static void read_config(const uint8_t *data, size_t size)
{
    struct cli_common_values values;
    struct cli_options o;
    struct memory_file f;
    struct err err;

    memory_file_open(&f, data, size);
    options_init(&o, &train, &values);
    (void)!config_file(&o, "train", commands, f.path, FROM_USER_FILE, &err);
    options_release(&o);
    memory_file_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = { .data = NULL };
    char *copy = slice_dup((struct slice){ (const char *)data, size });

    parse_words((const char *)data, size);
    read_config(data, size);
    text_clean(&b, copy);
    (void)text_width(copy, strlen(copy));
    buf_release(&b);
    free(copy);
    return 0;
}
