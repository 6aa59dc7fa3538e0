/*
 * cmd_report.c - slmctl report: what the store knows, as a page or a text
 */
#include "cmd.h"
#include "store_opening.h"

#include "base/io.h"
#include "report/report.h"

#include <string.h>
#include <strings.h>

static const char *output, *format, *task, *title;
static bool include_samples, ascii;
static int64_t show = 3;

static const struct opt options[] = {
    { 'o', "output", OPT_STRING, &output, "FILE", "write it there",
      .complete = COMPLETE_FILE },
    { 0, "format", OPT_CHOICE, &format, "FORM",
      "the form (default: by the file's suffix, else text)",
      .choices = "html|markdown|text|json" },
    { 't', "task", OPT_STRING, &task, "TASK", "this task only",
      .complete = COMPLETE_TASK },
    { 0, "include-samples", OPT_FLAG, &include_samples, NULL,
      "show texts of answers" },
    { 0, "show", OPT_INT, &show, "N", "answers a task, with --include-samples",
      .min = 1, .max = 200 },
    { 0, "title", OPT_STRING, &title, "TEXT", "title of the report" },
    { 0, "ascii", OPT_FLAG, &ascii, NULL, "bars of # in text" },
    OPT_END,
};

static bool is_suffixed(void)
{
    const char *slash = output ? strrchr(output, '/') : NULL;
    const char *name = slash ? slash + 1 : output;

    return name && *name && strrchr(name + 1, '.');
}

/* NULL: the suffix tells none. */
static const char *form_of(const struct cli *cli)
{
    static const char *const suffix[][2] = { { ".html", "html" },
                                             { ".htm", "html" },
                                             { ".md", "markdown" },
                                             { ".json", "json" },
                                             { ".txt", "text" } };
    size_t n = output ? strlen(output) : 0;

    if (format)
        return format;
    for (size_t i = 0; i < sizeof(suffix) / sizeof(*suffix); i++) {
        size_t m = strlen(suffix[i][0]);

        if (n > m && strcasecmp(output + n - m, suffix[i][0]) == 0)
            return suffix[i][1];
    }
    return cli->json ? "json" : is_suffixed() ? NULL : "text";
}

static void write_form(const struct report_state *r, const char *form,
                       struct buf *out)
{
    if (strcmp(form, "html") == 0)
        report_state_html(r, out);
    else if (strcmp(form, "markdown") == 0)
        report_state_markdown(r, out);
    else if (strcmp(form, "json") == 0)
        report_state_json(r, out);
    else
        report_state_text(r, ascii, out);
}

static int read_store(struct cli *cli, struct report_state **r, struct err *err)
{
    struct report_options o = { .title = title,
                                .show = (size_t)show,
                                .include_samples = include_samples };
    struct store *s = NULL;
    int rc = cmd_store_open(cli, STORE_READ, &s, err);

    if (rc == ERR_OK && task)
        rc = store_task_find(s, task, &o.task, err);
    if (rc == ERR_OK)
        rc = report_state_read(s, &o, r, err);
    store_close(s);
    return rc;
}

static int run(struct cli *cli, int argc, char **argv)
{
    struct report_state *r = NULL;
    struct buf out = { 0 };
    struct err err;
    int rc, status;

    (void)argc;
    (void)argv;
    if (!form_of(cli))
        return cli_usage(cli,
                         "%s: no form has this suffix; give .html, .htm, .md, "
                         ".json or .txt, or say --format",
                         output);
    rc = read_store(cli, &r, &err);
    if (rc < 0)
        return cli_fail(cli, &err);
    write_form(r, form_of(cli), &out);
    report_state_free(r);
    if (!output) {
        status = cli_write(cli, &out);
    } else if (io_write_file(output, out.data, out.len, 0600, &err) < 0) {
        err.code = ERR_OUTPUT;
        status = cli_fail(cli, &err);
    } else {
        cli_note(cli, "%s: %zu bytes", output, out.len);
        status = EXIT_DONE;
    }
    buf_release(&out);
    return status;
}

const struct command cmd_report = {
    .name = "report",
    .summary = "write what the store knows as a page, Markdown or text",
    .operands = "",
    .options = options,
    .common = CLI_STORE | CLI_JSON | CLI_QUIET,
    .run = run,
};
