/*
 * cpu_house.h - private: which kernels run on this CPU, and why
 *
 * What cpuid has and the operating system saves decides; the winner must give
 * what generic gives. A probe may then prefer the best set without AVX-512
 * where wide registers slow the clock, never for a training run: only those
 * who pass a directory for its finding are probed for.
 */
#ifndef CPU_HOUSE_H
#define CPU_HOUSE_H

#include "compute/cpu/cpu.h"

/* Instruction sets, as /proc/cpuinfo names them. */
#define CPU_ISA_X86(X)                                                         \
    X(avx)                                                                     \
    X(avx2)                                                                    \
    X(fma)                                                                     \
    X(f16c)                                                                    \
    X(avx_vnni)                                                                \
    X(avx512f)                                                                 \
    X(avx512bw)                                                                \
    X(avx512vl)                                                                \
    X(avx512dq)                                                                \
    X(avx512_vnni)                                                             \
    X(avx512_bf16)
#define CPU_ISA_ARM(X)                                                         \
    X(asimd)                                                                   \
    X(asimddp)                                                                 \
    X(i8mm)
#define CPU_ISA_NUMBER(name) ISA_NUMBER_##name,
enum { CPU_ISA_X86(CPU_ISA_NUMBER) CPU_ISA_ARM(CPU_ISA_NUMBER) ISA_COUNT };
#define CPU_ISA_BIT(name) ISA_##name = 1u << ISA_NUMBER_##name,
enum { CPU_ISA_X86(CPU_ISA_BIT) CPU_ISA_ARM(CPU_ISA_BIT) };

/* What x86 says of itself: leaf 1 ecx; 7.0 ebx, ecx; 7.1 eax; XCR0 (0 where
 * the system does not use it). */
struct cpu_id {
    uint32_t one_c, seven_b, seven_c, seven_one_a;
    uint64_t saved;
};
uint32_t cpu_isa_of(const struct cpu_id *id);
uint32_t cpu_isa(void); /* of this machine */
const char *cpu_isa_name(unsigned number);

struct cpu_variant {
    const struct cpu_kernels *kernels;
    uint32_t needs;
};
/* Best first, generic last. */
extern const struct cpu_variant cpu_variants[];
extern const size_t cpu_variant_count;

/* NULL if `k` gives what generic gives on a small product of each family,
 * else the family that differs. */
const char *cpu_check(const struct cpu_kernels *k);

/* How long `k` takes for a fixed amount of products, as a test may have it. */
typedef double cpu_timer(const struct cpu_kernels *k);
double cpu_probe_time(const struct cpu_kernels *k);

/* ERR_INVALID if no machine has kernels of that name. */
MUST_CHECK int cpu_kernels_known(const char *name, struct err *err);
/* A choice among variants, and where its parts come from: tests have others.
 * name NULL: the best; probe_dir NULL: no probe. */
struct cpu_choosing {
    const struct cpu_variant *variants;
    size_t count;
    uint32_t isa;
    const char *name, *probe_dir;
    cpu_timer *timer;
};
MUST_CHECK int cpu_choose_among(const struct cpu_choosing *c,
                                const struct cpu_kernels **out,
                                struct err *err);

/* What an earlier probe preferred on this machine with this program, by name;
 * false where nothing is known. A file that is not the user's own, that others
 * may write, or that reads otherwise, is none. Writing may fail silently. */
bool cpu_probe_recall(const char *dir, char name[32]);
void cpu_probe_keep(const char *dir, const char *name);

#endif
