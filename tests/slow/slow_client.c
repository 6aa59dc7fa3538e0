/*
 * slow_client.c SOCKET LOG THREADS CALLS MODEL... - calls, and what came back
 *
 * Each thread sends chat completions one after the other to a Unix socket, of
 * the models in turn (see slow_upstream.c), and writes a line for each that
 * was sent: id or "-", status or 0, how it ended (whole, cut, none, late),
 * when the last byte was here (wall time, microseconds), how long it took, the
 * number of the call and the bytes of the body. CALLS of each thread; 0: until
 * SIGTERM, and whoever is not answered connects again.
 * The environment: PAUSE_MS between calls (up to), PROMPT bytes of each,
 * HEADERS more lines of the head, TARGET, WAIT_MS for an answer, SECRET words
 * of each prompt (and, from slow_upstream, of its answer).
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct run {
    const char *socket, *headers, *target, *secret;
    char **models;
    size_t model_count, calls, prompt;
    int64_t pause_ms, wait_ms;
    int log;
    atomic_uint_least64_t number;
    atomic_bool stopping;
} run;

struct caller {
    int fd;
    unsigned seed;
    struct buf in, out;
};

struct outcome {
    char id[33];
    const char *how;
    int status;
    size_t body;
};

static void stop(int signal)
{
    (void)signal;
    atomic_store(&run.stopping, true);
}

static void nap_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

    (void)nanosleep(&t, NULL);
}

static bool go_there(struct caller *c)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    if (c->fd >= 0)
        return true;
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", run.socket);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
    return c->fd >= 0;
}

static void hang_up(struct caller *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

/* Every prompt is another one and does not compress to nothing. */
static void write_request(struct caller *c, uint64_t number, const char *model)
{
    struct buf body = { .data = NULL };

    buf_printf(
        &body,
        "{\"model\":\"%s\",\"stream\":%s,\"messages\":[{\"role\":"
        "\"user\",\"content\":\"marker %" PRIu64 "%s\"},{\"role\":\"user\""
        ",\"content\":\"",
        model, strcmp(model, "stream") ? "false" : "true", number, run.secret);
    for (size_t n = body.len; body.len < n + run.prompt;)
        buf_printf(&body, "%x ", (unsigned)rand_r(&c->seed));
    buf_str(&body, "\"}]}");
    buf_reset(&c->out);
    buf_printf(&c->out,
               "POST %s HTTP/1.1\r\nHost: test\r\n%sContent-Type: "
               "application/json\r\nContent-Length: %zu\r\n\r\n",
               run.target, run.headers, body.len);
    buf_add_slice(&c->out, buf_slice(&body));
    buf_release(&body);
}

/* Where the answer's body begins, 0: the head is not whole. */
static size_t read_head(const struct buf *in, struct outcome *o)
{
    const char *end, *id;

    if (!in->len || !(end = strstr(in->data, "\r\n\r\n")))
        return 0;
    o->status = atoi(in->data + 9);
    id = strcasestr(in->data, "\r\nx-slm-call-id: ");
    if (id && id < end)
        (void)snprintf(o->id, sizeof(o->id), "%.32s", id + 17);
    return (size_t)(end + 4 - in->data);
}

static bool is_whole(const struct buf *in, size_t head, struct outcome *o)
{
    const char *length = strcasestr(in->data, "\r\ncontent-length: ");

    o->body = in->len - head;
    if (length && length < in->data + head)
        return o->body >= strtoul(length + 18, NULL, 10);
    return o->body >= 5 && !strcmp(in->data + in->len - 5, "0\r\n\r\n");
}

static void await(struct caller *c, struct outcome *o)
{
    int64_t until = clock_mono_ns() + run.wait_ms * 1000000;
    size_t head = 0;

    buf_reset(&c->in);
    for (;;) {
        struct pollfd p = { .fd = c->fd, .events = POLLIN };
        int64_t left = (until - clock_mono_ns()) / 1000000;
        char piece[16384];
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
            o->how = "late";
            return;
        }
        n = recv(c->fd, piece, sizeof(piece), 0);
        if (n <= 0) {
            o->how = head ? "cut" : "none";
            return;
        }
        buf_add(&c->in, piece, (size_t)n);
        head = head ? head : read_head(&c->in, o);
        if (head && is_whole(&c->in, head, o)) {
            o->how = "whole";
            return;
        }
    }
}

static void call_once(struct caller *c, uint64_t number)
{
    struct outcome o = { .id = "-", .how = "none" };
    int64_t start = clock_mono_ns();
    char line[200];
    int n;

    write_request(c, number, run.models[number % run.model_count]);
    if (io_write_all(c->fd, c->out.data, c->out.len, NULL) == ERR_OK)
        await(c, &o);
    if (strcmp(o.how, "whole") != 0 ||
        strcasestr(c->in.data, "\r\nconnection: close"))
        hang_up(c);
    n = snprintf(line, sizeof(line),
                 "%s %d %s %" PRId64 " %" PRId64 " %" PRIu64 " %zu\n", o.id,
                 o.status, o.how, clock_wall_us(),
                 (clock_mono_ns() - start) / 1000, number, o.body);
    if (write(run.log, line, (size_t)n) != n)
        abort();
}

static void *be_busy(void *ctx)
{
    struct caller c = { .fd = -1, .seed = (unsigned)(uintptr_t)ctx };
    size_t done = 0;

    while (!atomic_load(&run.stopping) && (!run.calls || done < run.calls)) {
        if (!go_there(&c)) {
            nap_ms(2);
            continue;
        }
        call_once(&c, atomic_fetch_add(&run.number, 1));
        done++;
        if (run.pause_ms)
            nap_ms(rand_r(&c.seed) % (run.pause_ms + 1));
    }
    hang_up(&c);
    buf_release(&c.in);
    buf_release(&c.out);
    return NULL;
}

static int64_t number_of(const char *name, int64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoll(text, NULL, 10) : otherwise;
}

static const char *text_of(const char *name, const char *otherwise)
{
    const char *text = getenv(name);

    return text ? text : otherwise;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = stop };
    pthread_t *threads;
    size_t count;

    if (argc < 6) {
        (void)fprintf(stderr,
                      "usage: slow_client SOCKET LOG THREADS CALLS MODEL...\n");
        return 2;
    }
    run.socket = argv[1];
    run.calls = strtoul(argv[4], NULL, 10);
    run.models = argv + 5;
    run.model_count = (size_t)argc - 5;
    run.pause_ms = number_of("PAUSE_MS", 0);
    run.prompt = (size_t)number_of("PROMPT", 512);
    run.wait_ms = number_of("WAIT_MS", 30000);
    run.headers = text_of("HEADERS", "");
    run.secret = text_of("SECRET", "");
    run.target = text_of("TARGET", "/v1/chat/completions");
    run.log = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    count = strtoul(argv[3], NULL, 10);
    threads = mem_zalloc(count * sizeof(*threads));
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, be_busy,
                           (void *)(uintptr_t)(getpid() + i * 7919)) != 0)
            return 1;
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    free(threads);
    return run.log < 0 ? 1 : 0;
}
