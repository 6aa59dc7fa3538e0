/*
 * bench_load.c - requests for a proxy on loopback, and what they cost it
 *
 * bench_load PORT [-c CONNECTIONS] [-s SECONDS] [-r RATE] [-n EVENTS]
 *            [-i MS] [-p PID,...]
 * Each request is a chat of 4 kB whose second half no other request has. With
 * -r they begin at that rate, else as soon as a connection is free. -n asks for
 * streams of so many events, -i for milliseconds between them. The CPU time of
 * the processes -p is read when the last answer has come and they have come to
 * rest, so that what they put off is counted. One line of name=value is
 * printed. One thread; it shares the machine with what it measures.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define BODY 4096
#define SHARED 2000 /* of a body: the system prompt */
#define POOL ((size_t)4 << 20)
#define EVENTS 256
#define ROOM ((size_t)64 << 10)
#define REST_NS INT64_C(400000000) /* without work: it has come to rest */
#define REST_MAX_NS INT64_C(30000000000)
#define PIDS 16

struct link {
    int fd;
    bool busy, has_head;
    struct buf in;
    struct http_body body;
    int64_t begun_ns;
    char last;
};

static struct {
    int port, epoll, timer;
    unsigned connections, rate, events, pace_ms;
    double seconds;
    int pids[PIDS];
    size_t pid_count;
} o = { .connections = 1, .seconds = 2 };

static struct {
    struct link *links;
    struct link **idle;
    size_t idle_count;
    uint64_t due; /* requests that should have begun; only with a rate */
    uint64_t begun, done, failed, chunks;
    int64_t *took_ns;
    size_t took_cap;
    int64_t start_ns, stop_ns;
    uint64_t rss_kb;
    bool over;
} run;

static char *pool; /* words to cut texts from */
static struct rng rng;

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void make_pool(void)
{
    size_t n = 0;

    pool = mem_alloc(POOL);
    while (n < POOL) {
        size_t word = 2 + rng_below(&rng, 8);

        for (size_t i = 0; i < word && n < POOL; i++)
            pool[n++] = (char)('a' + rng_below(&rng, 26));
        if (n < POOL)
            pool[n++] = ' ';
    }
}

static void make_body(struct buf *b)
{
    size_t at = rng_below(&rng, POOL - BODY), n;

    buf_printf(b, "{\"model\":\"m\",");
    if (o.events)
        buf_printf(b, "\"stream\":true,\"max_tokens\":%u,\"seed\":%u,",
                   o.events, o.pace_ms);
    buf_str(b, "\"messages\":[{\"role\":\"system\",\"content\":\"");
    buf_add(b, pool, SHARED);
    buf_printf(b, "\"},{\"role\":\"user\",\"content\":\"%llu ",
               (unsigned long long)run.begun);
    n = BODY - b->len - 4;
    buf_add(b, pool + at, n);
    buf_str(b, "\"}]}");
}

static void open_link(struct link *l)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)o.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = l };
    int one = 1;

    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    check(l->fd >= 0 && connect(l->fd, (struct sockaddr *)&a, sizeof(a)) == 0,
          "connect");
    (void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    check(epoll_ctl(o.epoll, EPOLL_CTL_ADD, l->fd, &e) == 0, "epoll_ctl");
}

static void begin(struct link *l, int64_t when_ns)
{
    static struct buf body, whole;

    buf_reset(&body);
    buf_reset(&whole);
    make_body(&body);
    buf_printf(&whole,
               "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Type: application/json\r\nUser-Agent: bench\r\n"
               "Authorization: Bearer sk-test-0123456789abcdef\r\n"
               "Content-Length: %zu\r\n\r\n",
               body.len);
    buf_add_slice(&whole, buf_slice(&body));
    l->busy = true;
    l->has_head = false;
    l->begun_ns = when_ns;
    run.begun++;
    check(send(l->fd, whole.data, whole.len, MSG_NOSIGNAL) ==
              (ssize_t)whole.len,
          "send");
}

static void end(struct link *l, bool good)
{
    int64_t now = clock_mono_ns();

    mem_grow((void **)&run.took_ns, &run.took_cap, run.done + 1,
             sizeof(*run.took_ns));
    if (good)
        run.took_ns[run.done++] = now - l->begun_ns;
    else
        run.failed++;
    l->busy = false;
    buf_reset(&l->in);
    if (o.rate || run.over)
        run.idle[run.idle_count++] = l;
    else
        begin(l, now);
}

/* False: an answer that is none of ours. */
static bool take_head(struct link *l, size_t *head)
{
    const char *at = memmem(l->in.data, l->in.len, "\r\n\r\n", 4);
    const char *length, *chunked;

    *head = at ? (size_t)(at - l->in.data) + 4 : 0;
    if (!at)
        return true;
    length = strcasestr(l->in.data, "\r\ncontent-length:");
    chunked = strcasestr(l->in.data, "\r\ntransfer-encoding: chunked");
    if (l->in.len < 12 || memcmp(l->in.data + 9, "200", 3) != 0 ||
        !(length || chunked))
        return false;
    if (chunked && chunked < at)
        http_body_begin(&l->body, HTTP_CHUNKED, 0);
    else
        http_body_begin(&l->body, HTTP_LENGTH, strtoull(length + 17, NULL, 10));
    l->has_head = true;
    return true;
}

static void count_events(struct link *l, struct slice data)
{
    for (size_t i = 0; i < data.n; i++) {
        run.chunks += data.p[i] == '\n' && l->last == '\n';
        l->last = data.p[i];
    }
}

static int take_body(struct link *l, size_t from)
{
    struct slice bytes = { l->in.data + from, l->in.len - from };
    struct err err;
    int rc = 0;

    while (rc == 0) {
        struct slice data;
        size_t used;

        rc = http_body_take(&l->body, bytes, &used, &data, &err);
        if (rc >= 0 && o.events)
            count_events(l, data);
        if (rc < 0 || (!used && rc == 0))
            break;
        bytes.p += used;
        bytes.n -= used;
    }
    memmove(l->in.data, bytes.p, bytes.n);
    l->in.len = bytes.n;
    l->in.data[bytes.n] = '\0';
    return rc;
}

static void hear(struct link *l)
{
    char *room = buf_reserve(&l->in, ROOM);
    ssize_t n = recv(l->fd, room, ROOM - 1, MSG_DONTWAIT);
    size_t head = 0;
    int rc = 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) { /* a connection has a last request in some servers */
        (void)close(l->fd);
        open_link(l);
        if (l->busy)
            end(l, false);
        return;
    }
    l->in.len += (size_t)n;
    l->in.data[l->in.len] = '\0';
    if (!l->has_head && !take_head(l, &head))
        rc = -1;
    else if (l->has_head)
        rc = take_body(l, head);
    if (rc < 0) {
        (void)close(l->fd);
        open_link(l);
    }
    if (rc)
        end(l, rc > 0);
}

/* A request that no connection was free for has been waiting since its time;
 * one that is merely seen late has not. */
static void begin_due(void)
{
    int64_t now = clock_mono_ns();
    uint64_t ticks;

    if (read(o.timer, &ticks, sizeof(ticks)) == sizeof(ticks))
        run.due += ticks;
    while (!run.over && run.begun < run.due && run.idle_count) {
        int64_t due =
            run.start_ns + (int64_t)((double)(run.begun + 1) * 1e9 / o.rate);

        begin(run.idle[--run.idle_count],
              now - due > 1000000000 / o.rate ? due : now);
        now = clock_mono_ns();
    }
}

static void set_timer(void)
{
    long ns = o.rate ? 1000000000L / (long)o.rate : 0;
    struct itimerspec t = { .it_interval.tv_nsec = ns, .it_value.tv_nsec = ns };
    struct epoll_event e = { .events = EPOLLIN };

    if (!o.rate)
        return;
    o.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    check(o.timer >= 0 && timerfd_settime(o.timer, 0, &t, NULL) == 0 &&
              epoll_ctl(o.epoll, EPOLL_CTL_ADD, o.timer, &e) == 0,
          "timer");
}

/* Of all threads; schedstat counts nanoseconds, stat only ticks. */
static uint64_t cpu_ns_of(int pid)
{
    char path[64], name[400];
    struct dirent *e;
    uint64_t sum = 0;
    DIR *d;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    d = opendir(path);
    while (d && (e = readdir(d))) {
        unsigned long long ns = 0;
        FILE *f;

        (void)snprintf(name, sizeof(name), "%s/%s/schedstat", path, e->d_name);
        f = e->d_name[0] == '.' ? NULL : fopen(name, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            sum += ns;
        if (f)
            (void)fclose(f);
    }
    if (d)
        (void)closedir(d);
    return sum;
}

static uint64_t cpu_ns(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < o.pid_count; i++)
        sum += cpu_ns_of(o.pids[i]);
    return sum;
}

static uint64_t rss_kb(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < o.pid_count; i++) {
        char path[64], line[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", o.pids[i]);
        f = fopen(path, "r");
        while (f && fgets(line, sizeof(line), f))
            if (!strncmp(line, "VmRSS:", 6))
                sum += strtoull(line + 6, NULL, 10);
        if (f)
            (void)fclose(f);
    }
    return sum;
}

static void nap(int64_t ns)
{
    struct timespec t = { .tv_nsec = ns };

    (void)nanosleep(&t, NULL);
}

static uint64_t cpu_ns_at_rest(void)
{
    int64_t until = clock_mono_ns() + REST_MAX_NS;
    uint64_t now = cpu_ns(), before;

    do {
        before = now;
        nap(REST_NS);
        now = cpu_ns();
    } while (now - before > 2000000 && clock_mono_ns() < until);
    return now;
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(o.epoll, events, EVENTS, 50);

    for (int i = 0; i < n; i++)
        if (events[i].data.ptr)
            hear(events[i].data.ptr);
    if (o.rate)
        begin_due();
}

static void drive(void)
{
    int64_t sampled = 0, give_up;

    run.start_ns = clock_mono_ns();
    run.stop_ns = run.start_ns + (int64_t)(o.seconds * 1e9);
    give_up = run.stop_ns + INT64_C(60000000000);
    set_timer();
    for (unsigned i = 0; i < o.connections; i++)
        if (o.rate)
            run.idle[run.idle_count++] = &run.links[i];
        else
            begin(&run.links[i], clock_mono_ns());
    while (run.idle_count < o.connections || !run.over) {
        int64_t now = clock_mono_ns();

        run.over = now >= run.stop_ns;
        if (now > give_up)
            break;
        if (now - sampled > 100000000) {
            uint64_t kb = rss_kb();

            run.rss_kb = kb > run.rss_kb ? kb : run.rss_kb;
            sampled = now;
        }
        turn();
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double quantile_us(double q)
{
    size_t at = (size_t)(q * (double)run.done);

    return run.done
               ? (double)run.took_ns[at < run.done ? at : run.done - 1] / 1000
               : 0;
}

static void tell(int64_t took_ns, uint64_t cpu)
{
    double us = (double)cpu / 1000;

    if (run.done)
        qsort(run.took_ns, run.done, sizeof(*run.took_ns), by_size);
    printf("requests=%llu failed=%llu seconds=%.3f rate=%.0f p50_us=%.1f "
           "p99_us=%.1f chunks=%llu cpu_us=%.0f cpu_us_request=%.2f "
           "cpu_us_chunk=%.2f rss_mb=%.1f\n",
           (unsigned long long)run.done, (unsigned long long)run.failed,
           (double)took_ns / 1e9, (double)run.done * 1e9 / (double)took_ns,
           quantile_us(0.5), quantile_us(0.99), (unsigned long long)run.chunks,
           us, run.done ? us / (double)run.done : 0,
           run.chunks ? us / (double)run.chunks : 0, (double)run.rss_kb / 1024);
}

static void read_pids(char *list)
{
    for (char *p = strtok(list, ","); p && o.pid_count < PIDS;
         p = strtok(NULL, ","))
        o.pids[o.pid_count++] = atoi(p);
}

static void read_options(int argc, char **argv)
{
    int c;

    while ((c = getopt(argc, argv, "c:s:r:n:i:p:")) != -1)
        switch (c) {
        case 'c': o.connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': o.seconds = strtod(optarg, NULL); break;
        case 'r': o.rate = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'n': o.events = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'i': o.pace_ms = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'p': read_pids(optarg); break;
        default: exit(2);
        }
    if (optind < argc)
        o.port = atoi(argv[optind]);
}

int main(int argc, char **argv)
{
    uint64_t cpu;
    int64_t took;

    read_options(argc, argv);
    if (!o.port) {
        puts("skip: bench_load PORT [-c N] [-s S] [-r RATE] [-n EVENTS] "
             "[-i MS] [-p PID,...]");
        return 0;
    }
    rng_init(&rng, (uint64_t)clock_wall_us());
    make_pool();
    o.epoll = epoll_create1(0);
    run.links = mem_zalloc(o.connections * sizeof(*run.links));
    run.idle = mem_zalloc(o.connections * sizeof(struct link *));
    for (unsigned i = 0; i < o.connections; i++)
        open_link(&run.links[i]);
    cpu = cpu_ns();
    drive();
    took = clock_mono_ns() - run.start_ns;
    tell(took, cpu_ns_at_rest() - cpu);
    return run.done == 0;
}
