/*
 * status_hardware.c - this machine: CPU, memory, kernels chosen, limits
 *
 * Figures are measured now and kept nowhere. Nothing of a store is read.
 */
#include "status_hardware.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/pool.h"
#include "compute/compute.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct machine {
    char cpu[96], features[256];
    unsigned cpus;
    int64_t l1, l2, l3, memory; /* bytes; 0: not known */
    struct compute_set sets[COMPUTE_SETS];
    int count;
    struct compute_limits one, all;
    char gpu[512]; /* its name, or why there is none */
    bool has_gpu;
};

static void read_name(struct machine *m)
{
    struct buf text = { .data = NULL };
    struct err err;
    const char *at = NULL;

    if (io_read_file("/proc/cpuinfo", 1 << 24, &text, &err) == 0 && text.data)
        at = strstr(text.data, "model name");
    at = at ? strchr(at, ':') : NULL;
    if (at)
        at += 1 + strspn(at + 1, " ");
    (void)snprintf(m->cpu, sizeof(m->cpu), "%.*s",
                   at ? (int)strcspn(at, "\n") : 7, at ? at : "unknown");
    buf_release(&text);
}

static int64_t known(long value)
{
    return value > 0 ? value : 0;
}

static int read_machine(struct machine *m, struct err *err)
{
    const char *forced = getenv("SLMCTL_CPU");
    char *dir = cli_cache_dir();
    struct compute_options opt = {
        .kernels = forced && *forced ? forced : NULL,
        .probe_dir = dir,
    };
    struct compute_options gpu = { .device = "cuda" };
    struct compute *c;
    struct err why;
    int rc;

    read_name(m);
    compute_features(m->features, sizeof(m->features));
    m->cpus = pool_cpus();
    m->l1 = known(sysconf(_SC_LEVEL1_DCACHE_SIZE));
    m->l2 = known(sysconf(_SC_LEVEL2_CACHE_SIZE));
    m->l3 = known(sysconf(_SC_LEVEL3_CACHE_SIZE));
    m->memory = known(sysconf(_SC_PHYS_PAGES)) * known(sysconf(_SC_PAGESIZE));
    rc = compute_sets(&opt, m->sets, err);
    free(dir);
    if (rc < 0)
        return opt.kernels ? err_wrap(err, "SLMCTL_CPU") : rc;
    m->count = rc;
    for (int i = 0; i < m->count; i++)
        if (m->sets[i].chosen)
            opt.kernels = m->sets[i].name;
    rc = compute_limits_measure(opt.kernels, 0, &m->all, err);
    if (rc == 0)
        rc = compute_limits_measure(opt.kernels, 1, &m->one, err);
    if (rc < 0)
        return rc;
    m->has_gpu = compute_open(&gpu, &c, &why) == 0;
    (void)snprintf(m->gpu, sizeof(m->gpu), "%s",
                   m->has_gpu ? c->device : why.msg);
    if (m->has_gpu)
        compute_close(c);
    return 0;
}

static void put_limits(struct json_writer *w, const char *name,
                       const struct compute_limits *l)
{
    json_begin_object(w, name);
    json_put_int(w, "threads", l->threads);
    json_put_double(w, "gflop_s", l->flops * 1e-9);
    json_put_double(w, "int8_gop_s", l->int8_ops * 1e-9);
    json_put_double(w, "read_gb_s", l->read_bytes * 1e-9);
    json_end_object(w);
}

static void put_json(const struct machine *m, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out, true);
    json_begin_document(&w, "slmctl.hardware/1");
    json_put_string(&w, "cpu", m->cpu);
    json_put_int(&w, "cpus", m->cpus);
    json_put_int(&w, "l1_bytes", m->l1);
    json_put_int(&w, "l2_bytes", m->l2);
    json_put_int(&w, "l3_bytes", m->l3);
    json_put_int(&w, "memory_bytes", m->memory);
    json_put_string(&w, "features", m->features);
    json_put_string(&w, "kernels", m->all.kernels);
    json_begin_array(&w, "sets");
    for (int i = 0; i < m->count; i++) {
        json_begin_object(&w, NULL);
        json_put_string(&w, "name", m->sets[i].name);
        json_put_string(&w, "integers", m->sets[i].integers);
        json_put_bool(&w, "chosen", m->sets[i].chosen);
        json_put_string(&w, "unusable",
                        m->sets[i].why[0] ? m->sets[i].why : NULL);
        json_end_object(&w);
    }
    json_end_array(&w);
    put_limits(&w, "one_thread", &m->one);
    put_limits(&w, "all_threads", &m->all);
    json_put_string(&w, "gpu", m->has_gpu ? m->gpu : NULL);
    json_end_object(&w);
    buf_char(out, '\n');
}

static void put_text(const struct machine *m, struct buf *out)
{
    const struct compute_limits *both[] = { &m->one, &m->all };

    buf_printf(out,
               "cpu       %s, %u CPUs\ncaches    L1 %lld KiB, L2 %lld KiB, "
               "L3 %lld MiB\nmemory    %.1f GiB\nhas       %s\n",
               m->cpu, m->cpus, (long long)m->l1 / 1024,
               (long long)m->l2 / 1024, (long long)m->l3 / 1048576,
               (double)m->memory / 1073741824, m->features);
    for (int i = 0; i < m->count; i++)
        buf_printf(out, "%-9s %-10s %s%s\n", i ? "" : "kernels",
                   m->sets[i].name,
                   m->sets[i].chosen   ? "chosen; bytes by "
                   : m->sets[i].why[0] ? m->sets[i].why
                                       : "usable; bytes by ",
                   m->sets[i].why[0] ? "" : m->sets[i].integers);
    for (size_t i = 0; i < 2; i++)
        buf_printf(out,
                   "%-9s %u thread%s: %.0f GFLOP/s, %.0f GOP/s of bytes, "
                   "%.1f GB/s read\n",
                   i ? "" : "limits", both[i]->threads,
                   both[i]->threads == 1 ? "" : "s", both[i]->flops * 1e-9,
                   both[i]->int8_ops * 1e-9, both[i]->read_bytes * 1e-9);
    buf_printf(out, "gpu       %s%s\n", m->has_gpu ? "" : "none: ", m->gpu);
}

int status_hardware(struct cli *cli)
{
    struct machine m = { .count = 0 };
    struct buf out = { .data = NULL };
    struct err err;
    int rc = read_machine(&m, &err);

    if (rc < 0)
        return cli_fail(cli, &err);
    if (cli->json)
        put_json(&m, &out);
    else
        put_text(&m, &out);
    rc = cli_write(cli, &out);
    buf_release(&out);
    return rc;
}
