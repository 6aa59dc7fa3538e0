/*
 * cli_progress.c - the progress line
 *
 * Drawn over itself on a terminal, at most ten times a second. Elsewhere only
 * if it was asked for (--progress always), as whole lines, one a second, so
 * that no log ever holds a carriage return.
 */
#include "cli/cli_private.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY_NS ((int64_t)100 * 1000 * 1000)
#define LINE_EVERY_NS ((int64_t)1000 * 1000 * 1000)
#define BAR_COLUMNS 20

static struct {
    bool tty, drawn;
    int64_t started_ns, drawn_ns;
    uint64_t first; /* units that were done when the phase began */
    char phase[64];
} line;

static size_t terminal_columns(void)
{
    const char *text = getenv("COLUMNS");
    struct winsize w;

    if (text && atoi(text) > 0)
        return (size_t)atoi(text);
    if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col)
        return w.ws_col;
    return 80;
}

static void add_duration(struct buf *out, double s)
{
    if (s < 100)
        buf_printf(out, "%.0fs", s);
    else if (s < 100 * 60)
        buf_printf(out, "%.0fm%02.0fs", (double)(long)(s / 60),
                   s - 60.0 * (double)(long)(s / 60));
    else
        buf_printf(out, "%.1fh", s / 3600);
}

static void add_rate(struct buf *out, double rate)
{
    if (rate >= 1e6)
        buf_printf(out, "  %.1fM/s", rate / 1e6);
    else if (rate >= 1e4)
        buf_printf(out, "  %.1fk/s", rate / 1e3);
    else
        buf_printf(out, rate < 10 ? "  %.2f/s" : "  %.0f/s", rate);
}

static void add_bar(struct buf *out, double share)
{
    buf_char(out, '[');
    for (int i = 0; i < BAR_COLUMNS; i++)
        buf_char(out, i < (int)(share * BAR_COLUMNS) ? '#' : '-');
    buf_printf(out, "] %3d%%", (int)(share * 100));
}

static void cut_at(struct buf *out, size_t width)
{
    size_t n = 0, used, columns = 0;

    while (n < out->len) {
        (void)utf8_decode(out->data + n, out->len - n, &used);
        columns += text_width(out->data + n, used);
        if (columns > width)
            break;
        n += used;
    }
    out->len = n;
    out->data[n] = '\0';
}

void progress_format(struct buf *out, const char *phase, uint64_t done,
                     uint64_t total, const char *note, double elapsed_s,
                     size_t width)
{
    double share = total ? (double)done / (double)total : 0;
    double rate = elapsed_s > 0 ? (double)(done - line.first) / elapsed_s : 0;

    text_clean(out, phase);
    buf_str(out, "  ");
    if (total)
        add_bar(out, share < 1 ? share : 1);
    else
        buf_printf(out, "%llu", (unsigned long long)done);
    if (rate > 0)
        add_rate(out, rate);
    if (rate > 0 && total > done) {
        buf_str(out, "  ");
        add_duration(out, (double)(total - done) / rate);
        buf_str(out, " left");
    }
    if (note && *note) {
        buf_str(out, "  ");
        text_clean(out, note);
    }
    cut_at(out, width);
}

/* Servers tell of things from many threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void draw(const char *phase, uint64_t done, uint64_t total,
                 const char *note, int64_t now)
{
    double elapsed = (double)(now - line.started_ns) / 1e9;
    struct buf b = { .data = NULL };

    progress_format(&b, phase, done, total, note, elapsed,
                    line.tty ? terminal_columns() - 1 : 200);
    fprintf(stderr, line.tty ? "\r\033[K%s" : "%s\n", b.data);
    fflush(stderr);
    buf_release(&b);
    line.drawn = true;
    line.drawn_ns = now;
}

static void on_update(void *ctx, const char *phase, uint64_t done,
                      uint64_t total, const char *note)
{
    int64_t now = clock_mono_ns();
    bool new_phase;

    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    new_phase = strncmp(phase, line.phase, sizeof(line.phase) - 1) != 0;
    if (new_phase) {
        (void)snprintf(line.phase, sizeof(line.phase), "%s", phase);
        line.started_ns = now;
        line.first = done;
        line.drawn_ns = 0;
    }
    if (now - line.drawn_ns >= (line.tty ? DRAW_EVERY_NS : LINE_EVERY_NS))
        draw(phase, done, total, note, now);
    (void)pthread_mutex_unlock(&lock);
}

void progress_begin(struct cli *cli, enum cli_progress_mode mode)
{
    const char *term = getenv("TERM");
    bool animates = cli->tty_err && term && strcmp(term, "dumb") != 0;

    memset(&line, 0, sizeof(line));
    line.tty = animates;
    if (mode == PROGRESS_ALWAYS ||
        (mode == PROGRESS_AUTO && animates && !cli->quiet))
        cli->progress = (struct progress){ on_update, NULL };
}

void progress_clear(void)
{
    (void)pthread_mutex_lock(&lock);
    if (line.drawn && line.tty)
        fputs("\r\033[K", stderr);
    line.drawn = false;
    line.drawn_ns = 0;
    (void)pthread_mutex_unlock(&lock);
}

void cli_progress_end(struct cli *cli)
{
    (void)cli;
    progress_clear();
    line.phase[0] = '\0';
}
