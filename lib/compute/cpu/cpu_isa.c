/*
 * cpu_isa.c - what instructions there are: cpuid, and what the system saves
 *
 * A register that the operating system does not save across a switch of tasks
 * is as good as absent, whatever cpuid says.
 */
#include "compute/cpu/cpu_house.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define XCR0_YMM 0x06u /* xmm, ymm */
#define XCR0_ZMM 0xe6u /* and masks, zmm's upper halves, zmm16 to 31 */

const char *cpu_isa_name(unsigned number)
{
#define NAME(name) [ISA_NUMBER_##name] = #name,
    static const char *const names[] = { CPU_ISA_X86(NAME) CPU_ISA_ARM(NAME) };
#undef NAME

    return number < ISA_COUNT ? names[number] : "?";
}

static uint32_t bit(uint32_t word, unsigned number, uint32_t isa)
{
    return word >> number & 1 ? isa : 0;
}

uint32_t cpu_isa_of(const struct cpu_id *id)
{
    uint32_t ymm, zmm;

    ymm = bit(id->one_c, 28, ISA_avx) | bit(id->one_c, 12, ISA_fma) |
          bit(id->one_c, 29, ISA_f16c) | bit(id->seven_b, 5, ISA_avx2) |
          bit(id->seven_one_a, 4, ISA_avx_vnni);
    zmm = bit(id->seven_b, 16, ISA_avx512f) |
          bit(id->seven_b, 17, ISA_avx512dq) |
          bit(id->seven_b, 30, ISA_avx512bw) |
          bit(id->seven_b, 31, ISA_avx512vl) |
          bit(id->seven_c, 11, ISA_avx512_vnni) |
          bit(id->seven_one_a, 5, ISA_avx512_bf16);
    if ((id->saved & XCR0_YMM) != XCR0_YMM)
        return 0;
    return (id->saved & XCR0_ZMM) == XCR0_ZMM ? ymm | zmm : ymm;
}

#if defined(__x86_64__)
uint32_t cpu_isa(void)
{
    struct cpu_id id = { 0 };
    uint32_t a, b, c, d, low, high, leaves = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    id.one_c = c;
    if (c >> 27 & 1) { /* OSXSAVE: xgetbv may be asked */
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        id.saved = (uint64_t)high << 32 | low;
    }
    if (__get_cpuid_count(7, 0, &leaves, &id.seven_b, &id.seven_c, &d) &&
        leaves >= 1)
        (void)__get_cpuid_count(7, 1, &id.seven_one_a, &b, &c, &d);
    return cpu_isa_of(&id);
}
#elif defined(__aarch64__)
uint32_t cpu_isa(void)
{
    unsigned long one = getauxval(AT_HWCAP), two = getauxval(AT_HWCAP2);

    return (one >> 1 & 1 ? (uint32_t)ISA_asimd : 0) |
           (one >> 20 & 1 ? (uint32_t)ISA_asimddp : 0) |
           (two >> 13 & 1 ? (uint32_t)ISA_i8mm : 0);
}
#else
uint32_t cpu_isa(void)
{
    return 0;
}
#endif
