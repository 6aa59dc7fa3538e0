/*
 * gpu_code.c - what machine code the plugin holds, without CUDA's tools
 *
 * usage: gpu_code PLUGIN
 * Reads the fat binaries of a shared object (format: what fatbinary writes;
 * entries are packed with zstd) and prints lines with tabs between:
 *   ptx  ARCH
 *   code ARCH KERNEL REGISTERS SHARED STACK THREADS MMA WGMMA TMA SPILLS
 * KERNEL is mangled, SHARED static, THREADS the most that __launch_bounds__
 * allows (0: not said); the last four count instructions by their opcodes:
 * HMMA, HGMMA, UTMALDG, and loads and stores of local memory. What cuobjdump
 * says is the same, where it is installed.
 */
#include "base/mem.h"

#include <elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define FATBIN_MAGIC 0xba55ed50u
#define PACKED_ZSTD 0x8000u
#define PACKED_ANY 0xf000u
#define EM_NVIDIA 190

/* Attributes of .nv.info sections. */
enum { INFO_MAX_THREADS = 0x05, INFO_FRAME = 0x11, INFO_REGISTERS = 0x2f };
enum { INFO_SIZED = 4 }; /* a form: 16 bits of size, then so many bytes */

enum { KIND_PTX = 1, KIND_CODE = 2 };

struct fat_header {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes;
};

struct fat_entry {
    uint16_t kind, version;
    uint32_t header_bytes;
    uint64_t bytes;
    uint32_t packed_bytes, options;
    uint16_t minor, major;
    uint32_t arch, name_at, name_bytes;
    uint64_t flags, zero, plain_bytes;
};

struct kernel {
    const char *name;
    uint32_t registers, shared, stack, threads;
    uint32_t mma, wgmma, tma, spills;
};

/* One cubin. */
struct cubin {
    const uint8_t *data;
    size_t bytes;
    const Elf64_Shdr *sections;
    const char *names;
    const Elf64_Sym *symbols;
    size_t count, symbol_count;
    const char *symbol_names;
};

_Noreturn static void broken(const char *what)
{
    (void)fprintf(stderr, "gpu_code: %s\n", what);
    exit(1);
}

/* Whether `at` begins n bytes inside of `bytes`. */
static void within(size_t at, size_t n, size_t bytes)
{
    if (at > bytes || n > bytes - at)
        broken("a part reaches beyond its end");
}

static const Elf64_Shdr *sections_of(const uint8_t *data, size_t bytes,
                                     size_t *count, const char **names)
{
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)(const void *)data;
    const Elf64_Shdr *s;

    within(0, sizeof(*e), bytes);
    if (memcmp(e->e_ident, ELFMAG, SELFMAG) != 0)
        broken("no ELF file");
    within(e->e_shoff, e->e_shnum * sizeof(*s), bytes);
    s = (const Elf64_Shdr *)(const void *)(data + e->e_shoff);
    *count = e->e_shnum;
    if (e->e_shstrndx >= e->e_shnum)
        broken("no section names");
    *names = (const char *)data + s[e->e_shstrndx].sh_offset;
    return s;
}

static const char *after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static void count_code(const struct cubin *c, const Elf64_Shdr *s,
                       struct kernel *k)
{
    within(s->sh_offset, s->sh_size, c->bytes);
    for (size_t at = 0; at + 16 <= s->sh_size; at += 16) {
        uint16_t word;

        memcpy(&word, c->data + s->sh_offset + at, sizeof(word));
        switch (word & 0x1ff) { /* the upper bits tell the operands' form */
        case 0x03c: k->mma++; break;
        case 0x1f0: k->wgmma++; break;
        case 0x1b4: k->tma++; break;
        case 0x183:
        case 0x187: k->spills++; break;
        default: break;
        }
    }
}

/* Calls out of values that have the attribute: those that name a symbol must
 * name the kernel's. */
static uint32_t info(const struct cubin *c, const Elf64_Shdr *s,
                     unsigned attribute, const char *symbol)
{
    const uint8_t *p = c->data + s->sh_offset;
    size_t at = 0;

    within(s->sh_offset, s->sh_size, c->bytes);
    while (at + 4 <= s->sh_size) {
        uint16_t bytes = 0;
        uint32_t value[3] = { 0 };

        if (p[at] == INFO_SIZED)
            memcpy(&bytes, p + at + 2, sizeof(bytes));
        within(at + 4, bytes, s->sh_size);
        memcpy(value, p + at + 4, bytes < 12 ? bytes : 12);
        if (p[at] == INFO_SIZED && p[at + 1] == attribute) {
            if (!symbol)
                return value[0] * (value[1] ? value[1] : 1) *
                       (value[2] ? value[2] : 1);
            if (value[0] < c->symbol_count &&
                strcmp(c->symbol_names + c->symbols[value[0]].st_name,
                       symbol) == 0)
                return value[1];
        }
        at += 4u + bytes;
    }
    return 0;
}

static void show_kernel(const struct cubin *c, uint32_t arch, bool special,
                        const Elf64_Shdr *text, const char *name)
{
    struct kernel k = { .name = name };

    for (size_t i = 0; i < c->count; i++) {
        const Elf64_Shdr *s = &c->sections[i];
        const char *title = c->names + s->sh_name, *own;

        if (strcmp(title, ".nv.info") == 0) {
            k.registers = info(c, s, INFO_REGISTERS, name);
            k.stack = info(c, s, INFO_FRAME, name);
        } else if ((own = after(title, ".nv.info.")) && !strcmp(own, name))
            k.threads = info(c, s, INFO_MAX_THREADS, NULL);
        else if ((own = after(title, ".nv.shared.")) && !strcmp(own, name))
            k.shared = (uint32_t)s->sh_size;
    }
    count_code(c, text, &k);
    (void)printf("code\tsm_%u%s\t%s\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\n", arch,
                 special ? "a" : "", k.name, k.registers, k.shared, k.stack,
                 k.threads, k.mma, k.wgmma, k.tma, k.spills);
}

static void show_cubin(const uint8_t *data, size_t bytes, uint32_t arch,
                       bool special)
{
    struct cubin c = { .data = data, .bytes = bytes };

    c.sections = sections_of(data, bytes, &c.count, &c.names);
    for (size_t i = 0; i < c.count; i++) {
        const Elf64_Shdr *s = &c.sections[i];

        if (s->sh_type != SHT_SYMTAB || s->sh_link >= c.count)
            continue;
        within(s->sh_offset, s->sh_size, bytes);
        c.symbols = (const Elf64_Sym *)(const void *)(data + s->sh_offset);
        c.symbol_count = s->sh_size / sizeof(*c.symbols);
        c.symbol_names = (const char *)data + c.sections[s->sh_link].sh_offset;
    }
    for (size_t i = 0; i < c.count; i++) {
        const char *name = after(c.names + c.sections[i].sh_name, ".text.");

        if (name)
            show_kernel(&c, arch, special, &c.sections[i], name);
    }
}

static void show_entry(const struct fat_entry *e, const uint8_t *payload)
{
    /* Bit 20: for this one architecture, sm_90a. */
    bool special = e->flags >> 20 & 1;
    uint8_t *plain = NULL;

    if (e->kind == KIND_PTX) {
        (void)printf("ptx\tcompute_%u\n", e->arch);
        return;
    }
    if (e->kind != KIND_CODE)
        return;
    if (!(e->flags & PACKED_ANY)) {
        show_cubin(payload, e->bytes, e->arch, special);
        return;
    }
    if (!(e->flags & PACKED_ZSTD))
        broken("packed otherwise than with --compress-mode=size");
    plain = mem_alloc(e->plain_bytes);
    if (ZSTD_decompress(plain, e->plain_bytes, payload, e->packed_bytes) !=
        e->plain_bytes)
        broken("a packed entry cannot be unpacked");
    show_cubin(plain, e->plain_bytes, e->arch, special);
    free(plain);
}

static void show_fatbins(const uint8_t *data, size_t bytes)
{
    size_t at = 0;

    while (at + sizeof(struct fat_header) <= bytes) {
        struct fat_header h;
        size_t end;

        memcpy(&h, data + at, sizeof(h));
        if (h.magic != FATBIN_MAGIC) {
            at += 8;
            continue;
        }
        within(at + h.header_bytes, h.bytes, bytes);
        end = at + h.header_bytes + h.bytes;
        at += h.header_bytes;
        while (at + sizeof(struct fat_entry) <= end) {
            struct fat_entry e;

            memcpy(&e, data + at, sizeof(e));
            within(at + e.header_bytes, e.bytes, end);
            if (e.packed_bytes > e.bytes)
                broken("a packed entry reaches beyond its end");
            show_entry(&e, data + at + e.header_bytes);
            at += e.header_bytes + e.bytes;
        }
        at = end;
    }
}

static uint8_t *file_read(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;

    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size > 0) {
        rewind(f);
        data = mem_alloc((size_t)size);
        if (fread(data, 1, (size_t)size, f) != (size_t)size)
            size = -1;
    }
    if (f)
        (void)fclose(f);
    if (size <= 0)
        broken("the plugin cannot be read");
    *bytes = (size_t)size;
    return data;
}

int main(int argc, char **argv)
{
    const Elf64_Shdr *sections;
    const char *names;
    size_t bytes, count;
    uint8_t *data;

    if (argc != 2)
        broken("usage: gpu_code PLUGIN");
    data = file_read(argv[1], &bytes);
    sections = sections_of(data, bytes, &count, &names);
    for (size_t i = 0; i < count; i++)
        if (strcmp(names + sections[i].sh_name, ".nv_fatbin") == 0) {
            within(sections[i].sh_offset, sections[i].sh_size, bytes);
            show_fatbins(data + sections[i].sh_offset, sections[i].sh_size);
        }
    free(data);
    return 0;
}
