/* test_compute_house.c - which kernels are chosen: what cpuid and the system
 * say, the check against generic, the probe and what it remembers */
#include "ok.h"
#include "scratch.h"
#include "suite.h"

#include "base/io.h"
#include "compute/cpu/cpu_house.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_BITS                                                               \
    {                                                                          \
        .one_c = ~0u, .seven_b = ~0u, .seven_c = ~0u, .seven_one_a = ~0u       \
    }

START_TEST(registers_that_are_not_saved_are_absent)
{
    struct cpu_id id = ALL_BITS;
    uint32_t narrow;

    ck_assert_uint_eq(cpu_isa_of(&id), 0);
    id.saved = 0x02; /* xmm alone */
    ck_assert_uint_eq(cpu_isa_of(&id), 0);
    id.saved = 0x06;
    narrow = cpu_isa_of(&id);
    ck_assert_uint_eq(narrow,
                      ISA_avx | ISA_avx2 | ISA_fma | ISA_f16c | ISA_avx_vnni);
    id.saved = 0x26; /* masks, and no upper halves */
    ck_assert_uint_eq(cpu_isa_of(&id), narrow);
    id.saved = 0xe6;
    ck_assert_uint_eq(cpu_isa_of(&id), narrow | ISA_avx512f | ISA_avx512bw |
                                           ISA_avx512vl | ISA_avx512dq |
                                           ISA_avx512_vnni | ISA_avx512_bf16);
    id = (struct cpu_id){ .seven_b = 1u << 5, .saved = 0xe6 };
    ck_assert_uint_eq(cpu_isa_of(&id), ISA_avx2);
}
END_TEST

/* Every set of this build stands in the table, each above those whose needs
 * are part of its own, generic last. */
START_TEST(better_sets_come_first)
{
    ck_assert_ptr_eq(cpu_variants[cpu_variant_count - 1].kernels,
                     &cpu_kernels_generic);
    ck_assert_uint_eq(cpu_variants[cpu_variant_count - 1].needs, 0);
    for (size_t i = 0; i < cpu_variant_count; i++)
        for (size_t j = i + 1; j < cpu_variant_count; j++)
            ck_assert_msg((cpu_variants[i].needs & ~cpu_variants[j].needs) != 0,
                          "%s can never be chosen",
                          cpu_variants[j].kernels->name);
}
END_TEST

START_TEST(every_usable_set_passes_the_check)
{
    for (size_t i = 0; i < cpu_variant_count; i++) {
        const struct cpu_variant *v = &cpu_variants[i];
        const char *differs;

        if (v->needs & ~cpu_isa()) {
            (void)printf("skip: this CPU has not all that %s needs\n",
                         v->kernels->name);
            continue;
        }
        differs = cpu_check(v->kernels);
        ck_assert_msg(!differs, "%s: %s", v->kernels->name, differs);
    }
}
END_TEST

static float dot_wrong(const float *a, const float *b, size_t n)
{
    return cpu_kernels_generic.dot(a, b, n) * 1.01f;
}

static void block_wrong(const struct cpu_block *b)
{
    cpu_kernels_generic.block(b);
    b->c[(b->m - 1) * b->ldc + b->n - 1] += 0.1f;
}

static void narrow_wrong(const struct cpu_narrow *n)
{
    cpu_kernels_generic.narrow(n);
    n->c[(n->m - 1) * n->ldc + n->n - 1] += 0.1f;
}

static void tile_wrong(const struct cpu_int_tile *t)
{
    cpu_kernels_generic.int_tile(t);
    t->y[0] += 10;
}

/* Sets as a machine with AVX-512 would have them, all of generic's code. */
static struct cpu_kernels wide, narrow;
static double wide_s, narrow_s;
static int timed;

static double fake_time(const struct cpu_kernels *k)
{
    timed++;
    return k == &wide ? wide_s : narrow_s;
}

static int choose(uint32_t isa, const char *name, const char *probe_dir,
                  const struct cpu_kernels **out)
{
    const struct cpu_variant all[] = {
        { &wide, ISA_avx512f | ISA_avx2 },
        { &narrow, ISA_avx2 },
        { &cpu_kernels_generic, 0 },
    };
    struct cpu_choosing c = { all, 3, isa, name, probe_dir, fake_time };

    timed = 0;
    return cpu_choose_among(&c, out, &err);
}

#define CHOSEN(isa, probe_dir, wanted)                                         \
    do {                                                                       \
        const struct cpu_kernels *got_;                                        \
                                                                               \
        OK(choose(isa, NULL, probe_dir, &got_));                               \
        ck_assert_str_eq(got_->name, (wanted)->name);                          \
    } while (0)
#define WIDE_CPU (ISA_avx512f | ISA_avx2)

static char scratch_dir[SCRATCH_MAX];

static void begins(void)
{
    scratch_make(scratch_dir);
    wide = narrow = cpu_kernels_generic;
    wide.name = "avx512";
    narrow.name = "avx2";
    wide_s = 1;
    narrow_s = 2;
}

static void ends(void)
{
    scratch_remove(scratch_dir);
}

START_TEST(what_the_cpu_has_decides)
{
    CHOSEN(0, NULL, &cpu_kernels_generic);
    CHOSEN(ISA_avx2, NULL, &narrow);
    CHOSEN(WIDE_CPU, NULL, &wide);
    CHOSEN(ISA_avx512f, NULL, &cpu_kernels_generic);
}
END_TEST

START_TEST(a_set_that_differs_from_generic_is_not_used)
{
    const struct cpu_kernels *k;

    wide.dot = dot_wrong;
    CHOSEN(WIDE_CPU, NULL, &narrow);
    narrow.block = block_wrong;
    CHOSEN(WIDE_CPU, NULL, &cpu_kernels_generic);
    ck_assert_int_eq(choose(WIDE_CPU, "avx2", NULL, &k), ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "the avx2 kernels are wrong on this CPU: a "
                              "product differs from generic");
    narrow.block = cpu_kernels_generic.block;
    narrow.narrow = narrow_wrong;
    ck_assert_int_eq(choose(WIDE_CPU, "avx2", NULL, &k), ERR_UNSUPPORTED);
    narrow.narrow = cpu_kernels_generic.narrow;
    narrow.int_tile = tile_wrong;
    ck_assert_int_eq(choose(WIDE_CPU, "avx2", NULL, &k), ERR_UNSUPPORTED);
}
END_TEST

START_TEST(a_name_is_had_or_refused)
{
    const struct cpu_kernels *k = NULL;

    OK(choose(WIDE_CPU, "avx2", NULL, &k));
    ck_assert_ptr_eq(k, &narrow);
    ck_assert_int_eq(choose(ISA_avx2, "avx512", NULL, &k), ERR_UNSUPPORTED);
    ck_assert_str_eq(err.msg, "this CPU cannot run the avx512 kernels: it has "
                              "no avx512f");
    ck_assert_int_eq(choose(WIDE_CPU, "neon", NULL, &k), ERR_UNSUPPORTED);
    ck_assert_int_eq(choose(WIDE_CPU, "sse1", NULL, &k), ERR_INVALID);
    ck_assert_str_eq(err.msg,
                     "kernels \"sse1\" are not known; known: generic avx2 "
                     "avxvnni avx512 avx512vnni neon");
}
END_TEST

START_TEST(a_slower_clock_is_found_once_and_remembered)
{
    char *dir = io_path(scratch_dir, "cache");

    wide_s = 3; /* its clock falls */
    CHOSEN(WIDE_CPU, dir, &narrow);
    ck_assert_int_gt(timed, 0);
    wide_s = 0.1; /* what is known is not timed again */
    CHOSEN(WIDE_CPU, dir, &narrow);
    ck_assert_int_eq(timed, 0);
    CHOSEN(WIDE_CPU, NULL, &wide); /* a training run never asks */
    CHOSEN(ISA_avx2, dir, &narrow);
    ck_assert_int_eq(timed, 0);
    free(dir);
}
END_TEST

START_TEST(a_little_slower_is_chance)
{
    char *dir = io_path(scratch_dir, "cache");

    wide_s = 2.05;
    CHOSEN(WIDE_CPU, dir, &wide);
    ck_assert_int_gt(timed, 0);
    free(dir);
}
END_TEST

static void write_text(const char *path, const char *text, size_t n)
{
    OK(io_write_file(path, text, n, 0600, &err));
}

START_TEST(a_foreign_or_broken_finding_is_passed_over)
{
    char *dir = io_path(scratch_dir, "cache"), *path = io_path(dir, "kernels");
    struct buf text = { .data = NULL };
    struct stat st;
    char name[32];

    ck_assert(!cpu_probe_recall(dir, name));
    cpu_probe_keep(dir, "avx2");
    ck_assert(cpu_probe_recall(dir, name));
    ck_assert_str_eq(name, "avx2");
    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    OK(io_read_file(path, 4096, &text, &err));

    ck_assert_int_eq(chmod(path, 0620), 0); /* others might have written it */
    ck_assert(!cpu_probe_recall(dir, name));
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert(cpu_probe_recall(dir, name));
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(path, 12345, -1), 0);
        ck_assert(!cpu_probe_recall(dir, name));
        ck_assert_int_eq(chown(path, 0, -1), 0);
    }
    for (size_t cut = 0; cut < text.len; cut++) {
        write_text(path, text.data, cut);
        ck_assert_msg(!cpu_probe_recall(dir, name), "cut to %zu", cut);
    }
    text.data[20] ^= 1; /* another version, another machine */
    write_text(path, text.data, text.len);
    ck_assert(!cpu_probe_recall(dir, name));
    cpu_probe_keep(dir, "avx512");
    ck_assert(cpu_probe_recall(dir, name));
    ck_assert_str_eq(name, "avx512");

    cpu_probe_keep("/proc/nowhere", "avx2"); /* cannot be kept: no matter */
    cpu_probe_keep(path, "avx2");
    buf_release(&text);
    free(path);
    free(dir);
}
END_TEST

START_TEST(a_name_in_the_cache_must_be_a_candidate)
{
    char *dir = io_path(scratch_dir, "cache");

    cpu_probe_keep(dir, "generic");
    CHOSEN(WIDE_CPU, dir, &wide);
    ck_assert_int_gt(timed, 0);
    free(dir);
}
END_TEST

START_TEST(a_probe_of_all_usable_sets_is_short)
{
    for (size_t i = 0; i < cpu_variant_count; i++) {
        double took;

        if (cpu_variants[i].needs & ~cpu_isa())
            continue;
        took = cpu_probe_time(cpu_variants[i].kernels);
        ck_assert(took > 0);
    }
}
END_TEST

int main(void)
{
    TCase *t = suite_case("house", begins, ends);

    tcase_add_test(t, registers_that_are_not_saved_are_absent);
    tcase_add_test(t, better_sets_come_first);
    tcase_add_test(t, every_usable_set_passes_the_check);
    tcase_add_test(t, what_the_cpu_has_decides);
    tcase_add_test(t, a_set_that_differs_from_generic_is_not_used);
    tcase_add_test(t, a_name_is_had_or_refused);
    tcase_add_test(t, a_slower_clock_is_found_once_and_remembered);
    tcase_add_test(t, a_little_slower_is_chance);
    tcase_add_test(t, a_foreign_or_broken_finding_is_passed_over);
    tcase_add_test(t, a_name_in_the_cache_must_be_a_candidate);
    tcase_add_test(t, a_probe_of_all_usable_sets_is_short);
    return suite_run("compute_house", t);
}
