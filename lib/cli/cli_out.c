/* cli_out.c - messages on standard error, data on standard output */
#include "cli/cli_private.h"

#include "json/json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static void say(const struct cli *cli, const char *text)
{
    struct buf b = { .data = NULL };

    progress_clear();
    buf_str(&b, "slmctl");
    if (cli->name && *cli->name)
        buf_printf(&b, " %s", cli->name);
    buf_str(&b, ": ");
    text_clean(&b, text);
    buf_char(&b, '\n');
    (void)fwrite(b.data, 1, b.len, stderr);
    buf_release(&b);
}

static void say_json(int code, const char *text)
{
    struct buf b = { .data = NULL };
    struct json_writer w;

    json_writer_init(&w, &b, false);
    json_begin_object(&w, NULL);
    json_put_string(&w, "type", "error");
    json_put_int(&w, "code", code);
    json_put_string(&w, "message", text);
    json_end_object(&w);
    fprintf(stderr, "%s\n", b.data);
    buf_release(&b);
}

static int exit_code_of(enum err_code code)
{
    switch (code) {
    case ERR_BUSY: return EXIT_BUSY;
    case ERR_OUTPUT: return EXIT_OUTPUT;
    case ERR_INVALID: return EXIT_USAGE;
    case ERR_INTERRUPTED:
        return stop_signal() ? 128 + stop_signal() : EXIT_FAILED;
    default: return EXIT_FAILED;
    }
}

int cli_fail(struct cli *cli, const struct err *err)
{
    int code = exit_code_of(err->code);

    say(cli, err->msg);
    if (cli->json)
        say_json(code, err->msg);
    return code;
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
    struct buf b = { .data = NULL };
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    buf_printf(&b, "%s%s see 'slmctl%s%s -h'", text,
               text[0] && text[strlen(text) - 1] == '?' ? "" : ";",
               cli->name && *cli->name ? " " : "", cli->name ? cli->name : "");
    say(cli, b.data);
    if (cli->json)
        say_json(EXIT_USAGE, text);
    buf_release(&b);
    return EXIT_USAGE;
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
    struct buf b = { .data = NULL };
    char text[1024];
    va_list ap;

    if (cli->quiet)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    progress_clear();
    text_clean(&b, text);
    fprintf(stderr, "%s\n", b.data ? b.data : "");
    buf_release(&b);
}

void cli_warn(struct cli *cli, const char *fmt, ...)
{
    char text[1024] = "warning: ";
    size_t n = strlen(text);
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text + n, sizeof(text) - n, fmt, ap);
    va_end(ap);
    say(cli, text);
}

int cli_write(struct cli *cli, const struct buf *b)
{
    struct err err;

    if (fwrite(b->data ? b->data : "", 1, b->len, stdout) == b->len &&
        !fflush(stdout))
        return EXIT_DONE;
    err_set(&err, ERR_OUTPUT, "write standard output: %s", strerror(errno));
    return cli_fail(cli, &err);
}
