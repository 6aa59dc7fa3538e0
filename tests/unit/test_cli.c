/* test_cli.c - option tables, configuration, tables, progress, help */
#include "suite.h"

#include "cli/cli_private.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool flag;
static int64_t number, bytes;
static double real;
static const char *text, *choice;
static struct cli_list list;

static const struct opt table[] = {
    { 'f', "flag", OPT_FLAG, &flag, NULL, "a flag", NULL, 0, 0, COMPLETE_NONE,
      false },
    { 'n', "number", OPT_INT, &number, "N", "a number", NULL, 1, 100,
      COMPLETE_NONE, false },
    { 0, "max-bytes", OPT_BYTES, &bytes, "SIZE", "a size", NULL, 0, 0,
      COMPLETE_NONE, false },
    { 0, "real", OPT_DOUBLE, &real, "X", "a real", NULL, 0, 0, COMPLETE_NONE,
      false },
    { 't', "text", OPT_STRING, &text, "TEXT", "a text", NULL, 0, 0,
      COMPLETE_NONE, false },
    { 0, "choice", OPT_CHOICE, &choice, "WAY", "a choice", "fast|slow", 0, 0,
      COMPLETE_NONE, false },
    { 0, "list", OPT_LIST, &list, "ITEM", "a list", NULL, 0, 0, COMPLETE_NONE,
      false },
    OPT_END
};

static int run_nothing(struct cli *cli, int argc, char **argv)
{
    (void)cli;
    (void)argc;
    (void)argv;
    return 0;
}

static const struct command train = { .name = "train",
                                      .summary = "trains",
                                      .operands = "",
                                      .options = table,
                                      .common = CLI_STORE | CLI_THREADS,
                                      .run = run_nothing };
static const struct command *const verbs[] = { &train, NULL };
static const struct command group = {
    .name = "model", .summary = "models", .operands = "", .verbs = verbs
};
static const struct command *const commands[] = { &train, &group, NULL };

static struct cli_common_values values;
static struct cli_options options;
static struct cli_line line;
static struct err err;

static void set_up(void)
{
    flag = false;
    number = bytes = 0;
    real = 0;
    text = choice = NULL;
    list = (struct cli_list){ 0 };
    options_init(&options, &train, &values);
    line = (struct cli_line){ 0 };
}

static void tear_down(void)
{
    free(line.operands);
    options_release(&options);
}

static int parse(const char *const *words)
{
    static char copies[16][64]; /* operands point here until the next call */
    char *argv[17];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = strcpy(copies[argc], words[argc]);
    free(line.operands);
    line = (struct cli_line){ 0 };
    return options_parse(&options, argc, argv, &line, &err);
}

#define PARSE(...) parse((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(options_and_operands_mix)
{
    ck_assert_int_eq(PARSE("one", "--number=7", "-f", "two", "--text", "-x",
                           "-", "--", "--flag"),
                     0);
    ck_assert_int_eq(line.count, 4);
    ck_assert_str_eq(line.operands[0], "one");
    ck_assert_str_eq(line.operands[2], "-");
    ck_assert_str_eq(line.operands[3], "--flag");
    ck_assert_int_eq(number, 7);
    ck_assert(flag);
    ck_assert_str_eq(text, "-x");
}
END_TEST

START_TEST(letters_join_and_take_values)
{
    ck_assert_int_eq(PARSE("-fn42", "-t", "word"), 0);
    ck_assert(flag);
    ck_assert_int_eq(number, 42);
    ck_assert_str_eq(text, "word");
}
END_TEST

START_TEST(values_are_checked)
{
    static const char *const bad[][2] = {
        { "--number=0", "between 1 and 100" },
        { "--number=101", "between 1 and 100" },
        { "--number=1x", "not a whole number" },
        { "--number=", "not a whole number" },
        { "--number= 5", "not a whole number" },
        { "--number=99999999999999999999", "too large" },
        { "--max-bytes=-1", "not a size" },
        { "--max-bytes=1Q", "not a size" },
        { "--max-bytes=9999999999T", "too large" },
        { "--real=nan", "not a number" },
        { "--real=1.5x", "not a number" },
        { "--choice=fas", "none of fast|slow" },
        { "--choice=", "none of fast|slow" },
        { "--flag=1", "takes no value" },
        { "--numbr=1", "did you mean --number?" },
        { "--num=1", "there is no option" },
        { "-z", "there is no option -z" },
        { "--text", "needs a value: TEXT" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(PARSE(bad[i][0]), ERR_INVALID);
        ck_assert_msg(strstr(err.msg, bad[i][1]) != NULL, "%s: %s", bad[i][0],
                      err.msg);
    }
}
END_TEST

START_TEST(sizes_have_units)
{
    ck_assert_int_eq(PARSE("--max-bytes=500"), 0);
    ck_assert_int_eq(bytes, 500);
    ck_assert_int_eq(PARSE("--max-bytes=64K"), 0);
    ck_assert_int_eq(bytes, 65536);
    ck_assert_int_eq(PARSE("--max-bytes=3g"), 0);
    ck_assert_int_eq(bytes, (int64_t)3 << 30);
}
END_TEST

static char *write_config(const char *content, size_t n)
{
    char *path = strdup("/tmp/slmctl-test-config-XXXXXX");
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(io_write_all(fd, content, n, &err), 0);
    close(fd);
    return path;
}

static int config(const char *content, const char *name, enum cli_origin origin)
{
    char *path = write_config(content, strlen(content));
    int rc = config_file(&options, name, commands, path, origin, &err);

    unlink(path);
    free(path);
    return rc;
}

START_TEST(command_line_beats_environment_beats_files)
{
    setenv("SLMCTL_NUMBER", "20", 1);
    setenv("SLMCTL_MAX_BYTES", "2K", 1);
    ck_assert_int_eq(PARSE("--number=30"), 0);
    ck_assert_int_eq(config_environment(&options, &err), 0);
    ck_assert_int_eq(config("number = 10\nmax-bytes = 10\ntext = user\n",
                            "train", FROM_USER_FILE),
                     0);
    ck_assert_int_eq(
        config("text = system\nreal = 2.5\n", "train", FROM_SYSTEM_FILE), 0);
    unsetenv("SLMCTL_NUMBER");
    unsetenv("SLMCTL_MAX_BYTES");
    ck_assert_int_eq(number, 30);
    ck_assert_int_eq(bytes, 2048);
    ck_assert_str_eq(text, "user");
    ck_assert_double_eq(real, 2.5);
}
END_TEST

START_TEST(a_higher_source_replaces_a_list)
{
    ck_assert_int_eq(config("list = low\n", "train", FROM_SYSTEM_FILE), 0);
    ck_assert_int_eq(PARSE("--list", "a", "--list=b"), 0);
    ck_assert_int_eq(config("list = user\n", "train", FROM_USER_FILE), 0);
    ck_assert_uint_eq(list.count, 2);
    ck_assert_str_eq(list.items[0], "a");
    ck_assert_str_eq(list.items[1], "b");
}
END_TEST

START_TEST(a_qualified_key_is_for_one_command)
{
    ck_assert_int_eq(config("train.number = 3\nmodel.train.real = 4\n", "train",
                            FROM_USER_FILE),
                     0);
    ck_assert_int_eq(number, 3);
    ck_assert_double_eq(real, 0);
    ck_assert_int_eq(
        config("model.train.number = 9\n", "model train", FROM_USER_FILE), 0);
    ck_assert_int_eq(number, 9);
}
END_TEST

START_TEST(configuration_errors_name_file_and_line)
{
    static const char *const bad[][2] = {
        { "# fine\nnumbr = 3\n", ":2: no command has an option 'numbr'" },
        { "other.number = 3\n", ":1: no command has an option 'other.number'" },
        { "train.nope = 3\n", ":1: no command has an option 'train.nope'" },
        { "number = many\n", ":1: number: 'many' is not a whole number" },
        { "\n\nnumber\n", ":3: a line must be 'key = value'" },
        { "= 3\n", ":1: a line must be 'key = value'" },
        { "flag = maybe\n", ":1: flag: 'maybe' is neither true nor false" },
        { "text = \xff\n", ":1: line is not UTF-8" },
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(config(bad[i][0], "train", FROM_USER_FILE),
                         ERR_INVALID);
        ck_assert_msg(strstr(err.msg, bad[i][1]) != NULL, "%s", err.msg);
    }
}
END_TEST

START_TEST(configuration_has_limits)
{
    char *big = malloc(CONFIG_MAX_BYTES + 2);

    memset(big, 'x', CONFIG_MAX_BYTES + 1);
    big[CONFIG_MAX_BYTES + 1] = '\0';
    ck_assert_int_eq(config(big, "train", FROM_USER_FILE), ERR_INVALID);
    big[CONFIG_MAX_LINE + 1] = '\0';
    ck_assert_int_eq(config(big, "train", FROM_USER_FILE), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(err.msg, "longer than"));
    free(big);
}
END_TEST

START_TEST(an_absent_file_is_fine)
{
    ck_assert_int_eq(config_file(&options, "train", commands, "/nonexistent/x",
                                 FROM_USER_FILE, &err),
                     0);
}
END_TEST

START_TEST(systemd_directories_come_before_xdg)
{
    char *path;

    setenv("XDG_DATA_HOME", "/xdg", 1);
    setenv("XDG_CONFIG_HOME", "relative/is/ignored", 1);
    setenv("HOME", "/home/u", 1);
    path = config_store_path();
    ck_assert_str_eq(path, "/xdg/slmctl");
    free(path);
    path = config_user_path();
    ck_assert_str_eq(path, "/home/u/.config/slmctl/config");
    free(path);
    setenv("STATE_DIRECTORY", "/var/lib/slmctl:/var/lib/more", 1);
    setenv("CONFIGURATION_DIRECTORY", "/etc/slmctl", 1);
    path = config_store_path();
    ck_assert_str_eq(path, "/var/lib/slmctl");
    free(path);
    path = config_user_path();
    ck_assert_str_eq(path, "/etc/slmctl/config");
    free(path);
}
END_TEST

START_TEST(tables_align_by_display_width)
{
    struct cli_table *t = cli_table_new("lr", "task", "calls", NULL);
    struct buf b = { .data = NULL };

    cli_table_row(t, "日本", "7", NULL);
    cli_table_row(t, "plain", "1234567", NULL);
    cli_table_row(t, "a\033[31m", "é", NULL);
    cli_table_print(t, &b);
    ck_assert_str_eq(b.data, "task         calls\n"
                             "日本             7\n"
                             "plain      1234567\n"
                             "a\\x1b[31m        é\n");
    buf_release(&b);
    cli_table_free(t);
}
END_TEST

START_TEST(progress_shows_rate_and_time_left)
{
    struct buf b = { .data = NULL };

    progress_format(&b, "read", 50, 100, "loss 2.1", 5, 200);
    ck_assert_str_eq(b.data, "read  [##########----------]  50%  10/s  5s left"
                             "  loss 2.1");
    buf_reset(&b);
    progress_format(&b, "read", 50, 100, "loss 2.1", 5, 10);
    ck_assert_str_eq(b.data, "read  [###");
    buf_reset(&b);
    progress_format(&b, "read", 12345678, 0, NULL, 0.5, 80);
    ck_assert_str_eq(b.data, "read  12345678  24.7M/s");
    buf_release(&b);
}
END_TEST

START_TEST(near_names_are_suggested)
{
    static const char *const names[] = { "collect", "curate", "cluster" };

    ck_assert_str_eq(help_nearest("colect", names, 3), "collect");
    ck_assert_str_eq(help_nearest("clutser", names, 3), "cluster");
    ck_assert_ptr_null(help_nearest("xyz", names, 3));
    ck_assert_ptr_null(help_nearest("", names, 3));
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("cli");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, options_and_operands_mix);
    tcase_add_test(t, letters_join_and_take_values);
    tcase_add_test(t, values_are_checked);
    tcase_add_test(t, sizes_have_units);
    tcase_add_test(t, command_line_beats_environment_beats_files);
    tcase_add_test(t, a_higher_source_replaces_a_list);
    tcase_add_test(t, a_qualified_key_is_for_one_command);
    tcase_add_test(t, configuration_errors_name_file_and_line);
    tcase_add_test(t, configuration_has_limits);
    tcase_add_test(t, an_absent_file_is_fine);
    tcase_add_test(t, systemd_directories_come_before_xdg);
    tcase_add_test(t, tables_align_by_display_width);
    tcase_add_test(t, progress_shows_rate_and_time_left);
    tcase_add_test(t, near_names_are_suggested);
    return suite_run("cli", t);
}
