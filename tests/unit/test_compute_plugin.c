/*
 * test_compute_plugin.c - device plugins: how they are found and refused
 *
 * The plugins are plugin_fake.c, built beside this program; no GPU is needed.
 */
#include "suite.h"

#include "compute/compute.h"

#include "base/io.h"
#include "base/mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct err err;
static struct compute *opened;

/* NAME beside this program. */
static char *beside(const char *name)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    ck_assert_int_gt(n, 0);
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    return mem_printf("%s/%s", exe, name);
}

static int open_from(const char *dir, struct compute_options opt)
{
    char *path = beside(dir);
    int rc;

    opt.plugin_dir = path;
    err.msg[0] = '\0';
    rc = compute_open(&opt, &opened, &err);
    free(path);
    return rc;
}

static int open_fake(const char *device)
{
    return open_from("plugins/fake",
                     (struct compute_options){ .device = device });
}

static void message_has(const char *text)
{
    ck_assert_msg(strstr(err.msg, text), "\"%s\" lacks \"%s\"", err.msg, text);
    ck_assert_ptr_null(strchr(err.msg, '\n'));
}

START_TEST(a_device_is_opened_by_its_ordinal)
{
    ck_assert_int_eq(open_fake("cuda"), 0);
    ck_assert_str_eq(opened->device, "good");
    ck_assert_str_eq(opened->ops->name, "fake");
    compute_close(opened);
    ck_assert_int_eq(open_fake("cuda:1"), 0);
    ck_assert_str_eq(opened->device, "better");
    compute_close(opened);
}
END_TEST

START_TEST(auto_takes_the_best_device)
{
    ck_assert_int_eq(open_fake("auto"), 0);
    ck_assert_str_eq(opened->device, "better");
    ck_assert(compute_keeps_narrow(opened));
    compute_close(opened);
}
END_TEST

/* The first device and one in the middle cannot be used. */
START_TEST(auto_passes_over_a_device_that_cannot_be_used)
{
    ck_assert_int_eq(setenv("FAKE_TOO_OLD", "1", 1), 0);
    ck_assert_int_eq(open_fake("cuda"), ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "cuda:0 is too old");
    ck_assert_int_eq(open_fake("auto"), 0);
    ck_assert_str_eq(opened->device, "better");
    compute_close(opened);
    ck_assert_int_eq(setenv("FAKE_LAST_IS_BEST", "1", 1), 0);
    ck_assert_int_eq(open_fake("auto"), 0);
    ck_assert_str_eq(opened->device, "last");
    compute_close(opened);
}
END_TEST

START_TEST(auto_goes_on_with_the_cpu_and_says_why)
{
    char note[200] = "";
    struct compute_options opt = { .device = "auto",
                                   .note = note,
                                   .note_size = sizeof(note) };

    ck_assert_int_eq(setenv("FAKE_NO_DRIVER", "1", 1), 0);
    ck_assert_int_eq(open_from("plugins/fake", opt), 0);
    ck_assert_str_eq(opened->device, "cpu");
    ck_assert(!compute_keeps_narrow(opened));
    ck_assert_str_eq(note, "cuda:0 cannot be used: the driver is asleep");
    compute_close(opened);
    ck_assert_int_eq(unsetenv("FAKE_NO_DRIVER"), 0);
    ck_assert_int_eq(setenv("FAKE_MEMORY_TAKEN", "1", 1), 0);
    ck_assert_int_eq(open_from("plugins/fake", opt), 0);
    ck_assert_str_eq(note, "cuda:1: its memory is taken");
    compute_close(opened);
    ck_assert_int_eq(open_from("plugins", opt), 0);
    ck_assert(strstr(note, "there is no slmctl-cuda.so in ") != NULL);
    compute_close(opened);
}
END_TEST

START_TEST(auto_keeps_the_kernels_of_cpu_and_gpu_apart)
{
    struct compute_options opt = { .device = "auto",
                                   .kernels = "generic",
                                   .gpu_kernels = "mma" };

    ck_assert_int_eq(open_from("plugins/fake", opt), 0);
    ck_assert_str_eq(opened->kernels, "mma");
    compute_close(opened);
    ck_assert_int_eq(open_from("plugins", opt), 0);
    ck_assert_str_eq(opened->device, "cpu");
    ck_assert_str_eq(opened->kernels, "generic");
    compute_close(opened);
    opt.gpu_kernels = NULL;
    ck_assert_int_eq(open_from("plugins/fake", opt), 0);
    ck_assert_str_eq(opened->kernels, "best");
    compute_close(opened);
    opt.kernels = "mma";
    ck_assert_int_eq(open_from("plugins", opt), ERR_INVALID);
}
END_TEST

START_TEST(names_of_kernels_are_known_without_a_device)
{
    static const char *const gpu[] = { "simt",    "mma",         "wgmma",
                                       "cluster", "mma,nograph", "nograph" };
    static const char *const cpu[] = { "generic", "avx2", "neon" };
    static const char *const bad[] = {
        "",       "mm",        "mmas",           "avx", ",nograph", "mma,",
        "mma,no", "x,nograph", "nograph,nograph"
    };

    for (size_t i = 0; i < sizeof(gpu) / sizeof(gpu[0]); i++) {
        ck_assert_int_eq(compute_kernels_known(true, gpu[i], &err), 0);
        ck_assert_int_eq(compute_kernels_known(false, gpu[i], &err),
                         ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof(cpu) / sizeof(cpu[0]); i++) {
        ck_assert_int_eq(compute_kernels_known(false, cpu[i], &err), 0);
        ck_assert_int_eq(compute_kernels_known(true, cpu[i], &err),
                         ERR_INVALID);
        message_has("not known to a GPU");
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(compute_kernels_known(false, bad[i], &err),
                         ERR_INVALID);
        ck_assert_int_eq(compute_kernels_known(true, bad[i], &err),
                         ERR_INVALID);
    }
}
END_TEST

START_TEST(a_gpu_that_was_asked_for_is_not_replaced)
{
    ck_assert_int_eq(open_fake("cuda:4"), ERR_UNSUPPORTED);
    message_has("cuda:4 cannot be used: the driver is asleep");
    ck_assert_int_eq(open_fake("cuda:64"), ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "cuda:64 is too far");
    ck_assert_int_eq(open_fake("cuda:2"), ERR_NOMEM);
    message_has("cuda:2: its memory is taken");
    ck_assert_ptr_null(strstr(err.msg, "--max-memory"));
    ck_assert_int_eq(open_from("plugins/fake",
                               (struct compute_options){
                                   .device = "cuda:2", .max_memory = 1500000 }),
                     ERR_NOMEM);
    message_has("memory is taken; --max-memory allows 1.5 MB");
    ck_assert_int_eq(
        open_from("plugins", (struct compute_options){ .device = "cuda" }),
        ERR_NOTFOUND);
    message_has("there is no slmctl-cuda.so in ");
}
END_TEST

START_TEST(plugins_of_another_version_are_refused)
{
    char text[100];

    ck_assert_int_eq(open_fake("cuda:5"), ERR_FORMAT);
    (void)snprintf(text, sizeof(text),
                   "slmctl-cuda.so is of version %d, this program needs %d",
                   COMPUTE_VERSION - 1, COMPUTE_VERSION);
    message_has(text);
    ck_assert_int_eq(open_fake("cuda:3"), ERR_FORMAT);
    message_has("slmctl-cuda.so has another table of operations");
}
END_TEST

START_TEST(what_is_no_plugin_is_refused)
{
    struct compute_options opt = { .device = "cuda" };
    char *dir = beside("plugins/text"), *file = io_path(dir, "slmctl-cuda.so");

    ck_assert_int_eq(open_from("plugins/without-open", opt), ERR_FORMAT);
    message_has("has no slmctl_device_open; it is no plugin");
    ck_assert_int_eq(io_mkdirs(dir, 0755, &err), 0);
    ck_assert_int_eq(io_write_file(file, "text\n", 5, 0644, &err), 0);
    ck_assert_int_eq(open_from("plugins/text", opt), ERR_FORMAT);
    message_has("no GPU can be used: ");
    free(dir);
    free(file);
}
END_TEST

/* Cut anywhere, also behind its header or in its last table. */
START_TEST(a_plugin_that_is_cut_short_is_refused)
{
    char note[PATH_MAX];
    struct compute_options opt = { .device = "auto",
                                   .note = note,
                                   .note_size = sizeof(note) };
    struct buf whole = { .max = 10 << 20 };
    char *good = beside("plugins/fake/slmctl-cuda.so");
    char *dir = beside("plugins/cut"), *file = io_path(dir, "slmctl-cuda.so");

    ck_assert_int_eq(io_mkdirs(dir, 0755, &err), 0);
    ck_assert_int_eq(io_read_file(good, 10 << 20, &whole, &err), 0);
    for (size_t n = 0; n < whole.len; n += n < 128 ? 13 : 997) {
        ck_assert_int_eq(io_write_file(file, whole.data, n, 0644, &err), 0);
        ck_assert_int_eq(
            open_from("plugins/cut",
                      (struct compute_options){ .device = "cuda" }),
            ERR_FORMAT);
        if (n == 0 || n > 4)
            message_has("slmctl-cuda.so is cut short, at ");
        ck_assert_int_eq(open_from("plugins/cut", opt), 0);
        ck_assert_str_eq(opened->device, "cpu");
        ck_assert_ptr_nonnull(strstr(note, "slmctl-cuda.so"));
        compute_close(opened);
    }
    ck_assert_int_eq(io_write_file(file, whole.data, whole.len - 1, 0644, &err),
                     0);
    ck_assert_int_eq(open_from("plugins/cut", opt), 0);
    ck_assert_ptr_nonnull(strstr(note, "; install it again"));
    compute_close(opened);
    ck_assert_int_eq(io_write_file(file, whole.data, whole.len, 0644, &err), 0);
    ck_assert_int_eq(open_from("plugins/cut", opt), 0);
    ck_assert_str_eq(opened->device, "better");
    compute_close(opened);
    free(dir);
    free(file);
    free(good);
    buf_release(&whole);
}
END_TEST

/* Offsets near the end of what 64 bits count do not wrap around. */
START_TEST(a_plugin_with_absurd_offsets_is_refused)
{
    struct buf whole = { .max = 10 << 20 };
    char *good = beside("plugins/fake/slmctl-cuda.so");
    char *dir = beside("plugins/cut"), *file = io_path(dir, "slmctl-cuda.so");
    static const size_t at[] = { 32, 40, 72,
                                 96 }; /* e_phoff, e_shoff and the
                                        * first p_offset, p_filesz */

    ck_assert_int_eq(io_mkdirs(dir, 0755, &err), 0);
    ck_assert_int_eq(io_read_file(good, 10 << 20, &whole, &err), 0);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        char kept[8];

        memcpy(kept, whole.data + at[i], 8);
        memset(whole.data + at[i], 0xff, 8);
        ck_assert_int_eq(io_write_file(file, whole.data, whole.len, 0644, &err),
                         0);
        memcpy(whole.data + at[i], kept, 8);
        ck_assert_int_eq(
            open_from("plugins/cut",
                      (struct compute_options){ .device = "cuda" }),
            ERR_FORMAT);
        message_has("slmctl-cuda.so is cut short");
    }
    free(dir);
    free(file);
    free(good);
    buf_release(&whole);
}
END_TEST

START_TEST(device_names_are_checked)
{
    static const char *const bad[] = { "abacus", "cuda:",   "cuda:x",
                                       "cuda1",  "cuda:1x", "" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(open_fake(bad[i]), ERR_INVALID);
        message_has("known: auto, cpu, cuda, cuda:N");
    }
}
END_TEST

START_TEST(the_cpu_has_one_precision)
{
    struct compute_options opt = { .precision = COMPUTE_FULL };

    ck_assert_int_eq(open_from("plugins", opt), 0);
    ck_assert_int_eq(opened->precision, COMPUTE_FULL);
    compute_close(opened);
    opt.precision = COMPUTE_TF32;
    ck_assert_int_eq(open_from("plugins", opt), ERR_UNSUPPORTED);
    message_has("precision tf32 needs a GPU: the CPU computes in f32");
    opt.precision = COMPUTE_BFLOAT16;
    opt.device = "auto";
    ck_assert_int_eq(open_from("plugins", opt), ERR_UNSUPPORTED);
    message_has("precision bf16 needs a GPU");
    message_has("there is no slmctl-cuda.so in ");
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("compute_plugin");

    tcase_add_test(t, a_device_is_opened_by_its_ordinal);
    tcase_add_test(t, auto_takes_the_best_device);
    tcase_add_test(t, auto_passes_over_a_device_that_cannot_be_used);
    tcase_add_test(t, auto_goes_on_with_the_cpu_and_says_why);
    tcase_add_test(t, auto_keeps_the_kernels_of_cpu_and_gpu_apart);
    tcase_add_test(t, names_of_kernels_are_known_without_a_device);
    tcase_add_test(t, a_gpu_that_was_asked_for_is_not_replaced);
    tcase_add_test(t, plugins_of_another_version_are_refused);
    tcase_add_test(t, what_is_no_plugin_is_refused);
    tcase_add_test(t, a_plugin_that_is_cut_short_is_refused);
    tcase_add_test(t, a_plugin_with_absurd_offsets_is_refused);
    tcase_add_test(t, device_names_are_checked);
    tcase_add_test(t, the_cpu_has_one_precision);
    return suite_run("compute_plugin", t);
}
