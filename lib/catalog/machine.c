/*
 * machine.c - what this machine has: memory, CPUs, instruction sets, GPU
 *
 * Linux only: /proc, the affinity mask, and NVIDIA's management library if a
 * driver brought it. Nothing is assumed where nothing can be read.
 */
#include "catalog/catalog.h"

#include "base/io.h"
#include "base/pool.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROC_MAX ((size_t)4 << 20)

/* The text after "key" and ':' on its line of a /proc file. */
static struct slice proc_field(struct slice text, const char *key)
{
    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct slice line = { text.p, n };
        const char *colon = n ? memchr(line.p, ':', n) : NULL;

        if (colon && slice_starts(line, key)) {
            size_t at = (size_t)(colon - line.p) + 1;

            return slice_trim((struct slice){ line.p + at, n - at });
        }
        text.p += n + (end ? 1 : 0);
        text.n -= n + (end ? 1 : 0);
    }
    return (struct slice){ "", 0 };
}

static int64_t field_kb(struct slice text, const char *key)
{
    struct slice v = proc_field(text, key);
    char number[32] = { 0 };

    memcpy(number, v.p, v.n < sizeof(number) - 1 ? v.n : sizeof(number) - 1);
    return strtoll(number, NULL, 10) * 1024;
}

static void copy_text(char *to, size_t size, struct slice s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;

    memcpy(to, s.p, n);
    to[n] = '\0';
}

static void probe_memory(struct catalog_machine *m)
{
    struct buf text = { 0 };
    struct err err;

    if (io_read_file("/proc/meminfo", PROC_MAX, &text, &err) == ERR_OK) {
        m->memory = field_kb(buf_slice(&text), "MemTotal");
        m->available = field_kb(buf_slice(&text), "MemAvailable");
    }
    buf_release(&text);
}

static bool has_word(struct slice list, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= list.n; i++)
        if (memcmp(list.p + i, word, n) == 0 &&
            (i == 0 || list.p[i - 1] == ' ') &&
            (i + n == list.n || list.p[i + n] == ' '))
            return true;
    return false;
}

static void probe_cpu(struct catalog_machine *m)
{
    static const char *const sets[] = {
        "avx2",     "fma",         "f16c",        "avx_vnni", "avx512f",
        "avx512bw", "avx512_vnni", "avx512_bf16", "asimd"
    };
    struct buf text = { 0 }, isa = { 0 };
    struct slice flags;
    struct err err;

    m->cpus = pool_cpus();
    if (io_read_file("/proc/cpuinfo", PROC_MAX, &text, &err) < 0) {
        buf_release(&text);
        return;
    }
    copy_text(m->cpu, sizeof(m->cpu),
              proc_field(buf_slice(&text), "model name"));
    flags = proc_field(buf_slice(&text), "flags");
    if (!flags.n)
        flags = proc_field(buf_slice(&text), "Features");
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (has_word(flags, sets[i]))
            buf_printf(&isa, "%s%s", isa.len ? " " : "", sets[i]);
    copy_text(m->isa, sizeof(m->isa), buf_slice(&isa));
    buf_release(&isa);
    buf_release(&text);
}

/* NVML's first device; the few calls used are stable since version 2. */
static void probe_gpu(struct catalog_machine *m)
{
    struct {
        unsigned long long total, free, used;
    } memory = { 0 };
    void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    int (*init)(void);
    int (*device)(unsigned, void **);
    int (*name)(void *, char *, unsigned);
    int (*memory_info)(void *, void *);
    void *handle = NULL;

    if (!lib)
        return;
    *(void **)&init = dlsym(lib, "nvmlInit_v2");
    *(void **)&device = dlsym(lib, "nvmlDeviceGetHandleByIndex_v2");
    *(void **)&name = dlsym(lib, "nvmlDeviceGetName");
    *(void **)&memory_info = dlsym(lib, "nvmlDeviceGetMemoryInfo");
    if (init && device && name && memory_info && init() == 0 &&
        device(0, &handle) == 0 &&
        name(handle, m->gpu, (unsigned)sizeof(m->gpu)) == 0 &&
        memory_info(handle, &memory) == 0)
        m->gpu_memory = (int64_t)memory.total;
    else
        m->gpu[0] = '\0';
    (void)dlclose(lib);
}

void catalog_machine_probe(struct catalog_machine *out)
{
    *out = (struct catalog_machine){ 0 };
    probe_memory(out);
    probe_cpu(out);
    probe_gpu(out);
}
