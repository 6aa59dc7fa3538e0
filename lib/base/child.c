/*
 * child.c - spawning, listening and reaping
 *
 * vfork, so that the memory of a large process is not copied for a small one.
 * A grandchild may keep the pipes open: the end of the child itself
 * decides, and what has been written by then is read.
 */
#include "base/child.h"

#include "base/clock.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 20 /* between looks at whether it has ended */

extern char **environ;

struct child {
    pid_t pid;
    int fds[2]; /* its stdout and stderr; -1: at their end */
    struct buf *out, *said;
    int64_t kill_ns; /* when it is killed; 0: it was not asked to end */
};

static int pipes_make(int out[2], int said[2], struct err *err)
{
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_set(err, ERR_IO, "make a pipe: %s", strerror(errno));
    if (pipe2(said, O_CLOEXEC) < 0) {
        int saved = errno;

        (void)close(out[0]);
        (void)close(out[1]);
        return err_set(err, ERR_IO, "make a pipe: %s", strerror(saved));
    }
    return ERR_OK;
}

/* A file in memory, so that a child that reads nothing holds up nobody. */
static int input_make(struct slice input, int *fd, struct err *err)
{
    *fd = -1;
    if (input.n == 0)
        return ERR_OK;
    *fd = memfd_create("input", MFD_CLOEXEC);
    for (size_t at = 0; *fd >= 0 && at < input.n;) {
        ssize_t n = write(*fd, input.p + at, input.n - at);

        if (n < 0 && errno != EINTR) {
            int saved = errno;

            (void)close(*fd);
            *fd = -1;
            errno = saved;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (*fd < 0)
        return err_set(err, ERR_IO, "make an input: %s", strerror(errno));
    (void)lseek(*fd, 0, SEEK_SET);
    return ERR_OK;
}

struct start {
    const char *const *argv, *const *env;
    int fds[3]; /* -1: nothing to read */
    pid_t parent;
    int failed; /* errno; 0: it runs */
};

static bool put_fds(const struct start *s)
{
    int in = s->fds[0] >= 0 ? s->fds[0] : open("/dev/null", O_RDONLY);

    return in >= 0 && dup2(in, 0) >= 0 && dup2(s->fds[1], 1) >= 0 &&
           dup2(s->fds[2], 2) >= 0;
}

/* In the child, which shares this memory until it has become the program: only
 * system calls, and nothing that they change is used by the parent. */
static void become(struct start *s)
{
    struct sigaction fallback = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int i = 1; i <= SIGRTMAX; i++)
        (void)sigaction(i, &fallback, NULL); /* of two it is refused */
    (void)sigemptyset(&none);
    if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 &&
        put_fds(s)) {
        if (getppid() != s->parent)
            _exit(127); /* it was killed before it could be told of */
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execve(s->argv[0], (char *const *)(uintptr_t)s->argv,
                     (char *const *)(uintptr_t)s->env);
    }
    s->failed = errno;
    _exit(127);
}

/* posix_spawn cannot tie the child's life to this process, so it is done here
 * as that does it. No handler may run in the child. */
static int spawn(struct child *c, struct start *s)
{
    sigset_t all, before;
    pid_t pid;

    s->parent = getpid();
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = vfork();
    if (pid == 0)
        become(s);
    if (pid < 0)
        s->failed = errno;
    else if (s->failed)
        (void)waitpid(pid, NULL, 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    c->pid = pid;
    return s->failed;
}

/* The last bytes are kept. */
static void said_add(struct buf *said, const char *p, size_t n)
{
    size_t over;

    buf_add(said, p, n);
    if (said->len <= CHILD_SAID_MAX)
        return;
    over = said->len - CHILD_SAID_MAX;
    memmove(said->data, said->data + over, CHILD_SAID_MAX);
    said->len = CHILD_SAID_MAX;
    said->data[said->len] = '\0';
}

/* What can be read without waiting. */
static void take(struct child *c, int which)
{
    char bytes[16384];
    ssize_t n;

    while (c->fds[which] >= 0 &&
           (n = read(c->fds[which], bytes, sizeof(bytes))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break;
        if (which == 0 && c->out)
            buf_add(c->out, bytes, (size_t)n);
        if (which == 1 && c->said)
            said_add(c->said, bytes, (size_t)n);
    }
    if (c->fds[which] >= 0)
        (void)close(c->fds[which]);
    c->fds[which] = -1;
}

static void ask_to_end(struct child *c)
{
    int64_t now = clock_mono_ns();

    if (c->kill_ns == 0) {
        c->kill_ns = now + (int64_t)CHILD_GRACE_MS * 1000000;
        (void)kill(-c->pid, SIGTERM);
    } else if (now >= c->kill_ns) {
        (void)kill(-c->pid, SIGKILL);
    }
}

/* Until it has ended; why it was made to. ERR_IO: nobody knows how. */
static int follow(struct child *c, int64_t deadline_ns, int *waited)
{
    int why = ERR_OK;

    for (;;) {
        struct pollfd p[2] = { { .fd = c->fds[0], .events = POLLIN },
                               { .fd = c->fds[1], .events = POLLIN } };
        pid_t ended = waitpid(c->pid, waited, WNOHANG);
        int failed = errno;

        take(c, 0);
        take(c, 1);
        if (ended == c->pid)
            return why;
        if (ended < 0 && failed != EINTR)
            return why == ERR_OK ? ERR_IO : why;
        if (why == ERR_OK && stop_requested())
            why = ERR_INTERRUPTED;
        if (why == ERR_OK && deadline_ns && clock_mono_ns() >= deadline_ns)
            why = ERR_LIMIT;
        if (why != ERR_OK)
            ask_to_end(c);
        (void)poll(p, 2, LOOK_MS);
    }
}

static int status_of(int waited)
{
    return WIFSIGNALED(waited) ? 128 + WTERMSIG(waited) : WEXITSTATUS(waited);
}

static int run_with(struct child *c, const char *const *argv,
                    const char *const *env, int in, int64_t deadline_ms,
                    int *status, struct err *err)
{
    int out_pipe[2], said_pipe[2], waited = 0, failed, why;
    int rc = pipes_make(out_pipe, said_pipe, err);

    if (rc < 0)
        return rc;
    failed = spawn(
        c, &(struct start){ .argv = argv,
                            .env = env ? env : (const char *const *)environ,
                            .fds = { in, out_pipe[1], said_pipe[1] } });
    (void)close(out_pipe[1]);
    (void)close(said_pipe[1]);
    c->fds[0] = out_pipe[0];
    c->fds[1] = said_pipe[0];
    if (failed) {
        (void)close(c->fds[0]);
        (void)close(c->fds[1]);
        return err_set(err, ERR_IO, "run %s: %s", argv[0], strerror(failed));
    }
    for (int i = 0; i < 2; i++)
        (void)fcntl(c->fds[i], F_SETFL, O_NONBLOCK);
    if (deadline_ms > CHILD_DEADLINE_MS_MAX)
        deadline_ms = CHILD_DEADLINE_MS_MAX;
    why = follow(c, deadline_ms ? clock_mono_ns() + deadline_ms * 1000000 : 0,
                 &waited);
    for (int i = 0; i < 2; i++)
        if (c->fds[i] >= 0)
            (void)close(c->fds[i]);
    *status = status_of(waited);
    if (why == ERR_IO)
        return err_set(err, ERR_IO,
                       "%s has ended, but not known how: SIGCHLD is ignored; "
                       "start slmctl from a program that does not ignore it",
                       argv[0]);
    if (why == ERR_INTERRUPTED)
        return err_set(err, ERR_INTERRUPTED, "interrupted");
    if (why == ERR_LIMIT)
        return err_set(err, ERR_LIMIT, "%s did not end within %lld s", argv[0],
                       (long long)(deadline_ms / 1000));
    return ERR_OK;
}

int child_run_fed(const char *const *argv, const char *const *env,
                  struct slice input, struct buf *out, struct buf *said,
                  int64_t deadline_ms, int *status, struct err *err)
{
    struct child c = { .out = out, .said = said };
    int in, rc = input_make(input, &in, err);

    if (rc < 0)
        return rc;
    rc = run_with(&c, argv, env, in, deadline_ms, status, err);
    if (in >= 0)
        (void)close(in);
    return rc;
}

int child_run(const char *const *argv, const char *const *env, struct buf *out,
              struct buf *said, int64_t deadline_ms, int *status,
              struct err *err)
{
    return child_run_fed(argv, env, (struct slice){ 0 }, out, said, deadline_ms,
                         status, err);
}
