/* test_child.c - programs that end well, badly, late, or not at all */
#include "suite.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/progress.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct buf out, said;
static struct err err;
static int status;

static void begins(void)
{
    memset(&out, 0, sizeof(out));
    memset(&said, 0, sizeof(said));
    status = -1;
}

static void ends(void)
{
    buf_release(&out);
    buf_release(&said);
}

static int shell(const char *script, int64_t deadline_ms)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };

    return child_run(argv, NULL, &out, &said, deadline_ms, &status, &err);
}

START_TEST(what_it_says_and_its_status_come_back)
{
    ck_assert_int_eq(shell("echo well; echo badly >&2; exit 7", 0), ERR_OK);
    ck_assert_int_eq(status, 7);
    ck_assert_str_eq(out.data, "well\n");
    ck_assert_str_eq(said.data, "badly\n");
    ck_assert_int_eq(shell("kill -9 $$", 0), ERR_OK);
    ck_assert_int_eq(status, 128 + SIGKILL);
}
END_TEST

START_TEST(much_output_is_cut_and_the_last_words_are_kept)
{
    buf_init(&out, 1000);
    ck_assert_int_eq(shell("i=0; while [ $i -lt 3000 ]; do echo $i; echo "
                           "said $i >&2; i=$((i + 1)); done",
                           0),
                     ERR_OK);
    ck_assert_int_eq(status, 0);
    ck_assert(out.overflow && out.len <= 1000);
    ck_assert_uint_eq(said.len, CHILD_SAID_MAX);
    ck_assert_str_eq(said.data + said.len - 10, "said 2999\n");
}
END_TEST

/* More than a pipe holds, to one that reads it late, or not at all. */
START_TEST(a_large_input_is_there_before_it_begins)
{
    const char *count[] = { "/bin/sh", "-c", "wc -c", NULL };
    const char *deaf[] = { "/bin/true", NULL };
    struct slice input = { calloc(1, 300000), 300000 };

    ck_assert_int_eq(
        child_run_fed(count, NULL, input, &out, NULL, 0, &status, &err),
        ERR_OK);
    ck_assert_int_eq(atoi(out.data), 300000);
    ck_assert_int_eq(
        child_run_fed(deaf, NULL, input, NULL, NULL, 0, &status, &err), ERR_OK);
    ck_assert_int_eq(status, 0);
    free((void *)(uintptr_t)input.p);
}
END_TEST

/* It went on by itself, and the next run met its locks. */
START_TEST(it_ends_with_the_process_that_runs_it)
{
    int told[2], waited = 0;
    char pid[16] = "";
    pid_t runner;

    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    ck_assert_int_eq(pipe(told), 0);
    runner = fork();
    if (runner == 0) {
        (void)dup2(told[1], 9);
        _exit(shell("echo $$ >&9; exec sleep 60", 0) == 0 ? 0 : 1);
    }
    ck_assert_int_gt(read(told[0], pid, sizeof(pid) - 1), 0);
    ck_assert_int_eq(kill(runner, SIGKILL), 0);
    ck_assert_int_eq(waitpid(runner, &waited, 0), runner);
    ck_assert_int_eq(waitpid(atoi(pid), &waited, 0), atoi(pid));
    ck_assert(WIFSIGNALED(waited) && WTERMSIG(waited) == SIGTERM);
    (void)close(told[0]);
    (void)close(told[1]);
}
END_TEST

START_TEST(what_cannot_be_run_is_told)
{
    const char *nothing[] = { "/nowhere/at/all", NULL };
    int rc = child_run(nothing, NULL, NULL, NULL, 0, &status, &err);

    ck_assert_int_eq(rc, ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "No such file"));
}
END_TEST

START_TEST(it_has_no_input_and_the_environment_that_is_given)
{
    const char *env[] = { "A=b", NULL };
    const char *argv[] = { "/bin/sh", "-c", "cat; echo $A$HOME", NULL };

    ck_assert_int_eq(child_run(argv, env, &out, NULL, 0, &status, &err),
                     ERR_OK);
    ck_assert_str_eq(out.data, "b\n");
}
END_TEST

START_TEST(what_is_late_is_ended_with_its_own_children)
{
    int64_t began = clock_mono_ns();

    ck_assert_int_eq(shell("sleep 60 & sleep 60; wait", 200), ERR_LIMIT);
    ck_assert_int_eq(status, 128 + SIGTERM);
    ck_assert(clock_mono_ns() - began < (int64_t)8 * 1000000000);
    ck_assert(strstr(err.msg, "/bin/sh did not end"));
}
END_TEST

START_TEST(who_leaves_a_child_behind_is_not_waited_for)
{
    int64_t began = clock_mono_ns();

    ck_assert_int_eq(shell("echo here; sleep 3 & exit 0", 0), ERR_OK);
    ck_assert_str_eq(out.data, "here\n");
    ck_assert(clock_mono_ns() - began < (int64_t)2500 * 1000000);
}
END_TEST

START_TEST(a_stop_reaches_it)
{
    stop_request(SIGINT);
    ck_assert_int_eq(shell("sleep 60", 0), ERR_INTERRUPTED);
    ck_assert_int_eq(status, 128 + SIGTERM);
}
END_TEST

START_TEST(what_is_not_there_is_an_error)
{
    const char *argv[] = { "/no/such/program", NULL };

    ck_assert_int_eq(child_run(argv, NULL, NULL, NULL, 0, &status, &err),
                     ERR_IO);
    ck_assert(strstr(err.msg, "/no/such/program"));
}
END_TEST

/* It was taken for success. */
START_TEST(a_status_that_nobody_knows_is_an_error)
{
    (void)signal(SIGCHLD, SIG_IGN);
    ck_assert_int_eq(shell("exit 7", 0), ERR_IO);
    ck_assert(strstr(err.msg, "SIGCHLD"));
    (void)signal(SIGCHLD, SIG_DFL);
    ck_assert_int_eq(shell("exit 7", 0), ERR_OK);
    ck_assert_int_eq(status, 7);
}
END_TEST

int main(void)
{
    TCase *c = suite_case("child", begins, ends);

    tcase_add_test(c, what_it_says_and_its_status_come_back);
    tcase_add_test(c, much_output_is_cut_and_the_last_words_are_kept);
    tcase_add_test(c, it_ends_with_the_process_that_runs_it);
    tcase_add_test(c, what_cannot_be_run_is_told);
    tcase_add_test(c, it_has_no_input_and_the_environment_that_is_given);
    tcase_add_test(c, a_large_input_is_there_before_it_begins);
    tcase_add_test(c, what_is_late_is_ended_with_its_own_children);
    tcase_add_test(c, who_leaves_a_child_behind_is_not_waited_for);
    tcase_add_test(c, a_stop_reaches_it);
    tcase_add_test(c, what_is_not_there_is_an_error);
    tcase_add_test(c, a_status_that_nobody_knows_is_an_error);
    return suite_run("child", c);
}
