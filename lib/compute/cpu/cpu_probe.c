/*
 * cpu_probe.c - how fast kernels are here, and remembering it
 *
 * A product that fits the caches, so that the clock and the units are timed
 * and not the memory. What was found is kept in one small file, keyed by what
 * it depends on: the CPU's model, its microcode, and this program's version.
 */
#include "compute/cpu/cpu_house.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROBE_M 84 /* a multiple of every mr */
#define PROBE_N 96
#define PROBE_K 128
#define PROBE_REPEAT 40 /* about 1 ms with AVX2 */
#define PROBE_FILE "kernels"
#define PROBE_HEAD "slmctl-kernels/1"

double cpu_probe_time(const struct cpu_kernels *k)
{
    float *a = mem_zalloc(PROBE_M * PROBE_K * sizeof(*a));
    float *b = mem_zalloc(PROBE_N * PROBE_K * sizeof(*b));
    float *c = mem_zalloc(PROBE_M * PROBE_N * sizeof(*c));
    struct cpu_block g = { .m = PROBE_M,
                           .n = PROBE_N,
                           .k = PROBE_K,
                           .a = a,
                           .b = b,
                           .rs = PROBE_K,
                           .cs = 1,
                           .panel_stride = PROBE_K * k->nr,
                           .c = c,
                           .ldc = PROBE_N,
                           .alpha = 1 };
    int64_t began;

    for (size_t i = 0; i < PROBE_M * PROBE_K; i++)
        a[i] = b[i] = (float)(i % 7);
    k->block(&g); /* wakes the wide units */
    began = clock_mono_ns();
    for (int i = 0; i < PROBE_REPEAT; i++)
        k->block(&g);
    began = clock_mono_ns() - began;
    free(a);
    free(b);
    free(c);
    return (double)began * 1e-9;
}

static void cpuinfo_line(struct buf *key, const char *text, const char *name)
{
    const char *at = strstr(text, name);

    buf_char(key, '\n');
    if (at)
        buf_add(key, at, strcspn(at, "\n"));
}

/* The first lines of the file: all but the kernels' name. */
static void probe_key(struct buf *key)
{
    struct buf text = { .data = NULL };
    struct err err;

    buf_str(key, PROBE_HEAD "\nslmctl " SLMCTL_VERSION);
    buf_printf(key, " %u of %u", (unsigned)cpu_isa(),
               (unsigned)cpu_variant_count);
    if (io_read_file("/proc/cpuinfo", 1 << 24, &text, &err) == 0 && text.data) {
        cpuinfo_line(key, text.data, "cpu family");
        cpuinfo_line(key, text.data, "model\t");
        cpuinfo_line(key, text.data, "model name");
        cpuinfo_line(key, text.data, "stepping");
        cpuinfo_line(key, text.data, "microcode");
    }
    buf_char(key, '\n');
    buf_release(&text);
}

static bool is_own(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && st.st_uid == geteuid() &&
           (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool cpu_probe_recall(const char *dir, char name[32])
{
    char *path = io_path(dir, PROBE_FILE);
    struct buf key = { .data = NULL }, text = { .data = NULL };
    struct err err;
    bool found = false;
    size_t n;

    probe_key(&key);
    if (is_own(dir) && is_own(path) &&
        io_read_file(path, 4096, &text, &err) == 0 && text.len > key.len &&
        memcmp(text.data, key.data, key.len) == 0) {
        const char *at = text.data + key.len;

        n = strcspn(at, "\n");
        found = n > 0 && n < 32 && key.len + n + 1 == text.len;
        if (found)
            (void)snprintf(name, 32, "%.*s", (int)n, at);
    }
    free(path);
    buf_release(&key);
    buf_release(&text);
    return found;
}

void cpu_probe_keep(const char *dir, const char *name)
{
    char *path = io_path(dir, PROBE_FILE);
    struct buf text = { .data = NULL };
    struct err err;

    probe_key(&text);
    buf_printf(&text, "%s\n", name);
    /* A machine where it cannot be kept is probed each time. */
    if (io_mkdirs(dir, 0700, &err) == 0 && is_own(dir) &&
        (!io_exists(path) || is_own(path)))
        (void)!io_write_file(path, text.data, text.len, 0600, &err);
    free(path);
    buf_release(&text);
}
