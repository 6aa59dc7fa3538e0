/*
 * compute_plugin_file.c - whether a plugin's file is whole
 *
 * The loader maps what an ELF file's header tells of without a look at the
 * file's size, and what is read behind the end of a file kills the process
 * (SIGBUS). So the ends that the header tells of are compared with the size
 * first. What is no 64-bit little-endian ELF file is left to the loader.
 */
#include "compute/compute_plugin.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The end of n bytes at offset at, where that is further than so far. */
static uint64_t further(uint64_t so_far, uint64_t at, uint64_t n)
{
    uint64_t end = at > UINT64_MAX - n ? UINT64_MAX : at + n;

    return end > so_far ? end : so_far;
}

/* The bytes that the file must have at least; n of `size` were read of its
 * header. 0: that cannot be told. */
static uint64_t needed(int fd, const Elf64_Ehdr *h, size_t n, uint64_t size)
{
    uint64_t end = sizeof(*h);

    if (n < SELFMAG || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return 0;
    if (n < sizeof(*h))
        return end;
    if (h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_ident[EI_DATA] != ELFDATA2LSB)
        return 0;
    if (h->e_shoff)
        end =
            further(end, h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr));
    end = further(end, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr));
    for (size_t i = 0; i < h->e_phnum && end <= size; i++) {
        Elf64_Phdr p;
        off_t at = (off_t)(h->e_phoff + i * sizeof(p));

        if (pread(fd, &p, sizeof(p), at) != (ssize_t)sizeof(p))
            break;
        end = further(end, p.p_offset, p.p_filesz);
    }
    return end;
}

int compute_plugin_whole(const char *path, struct err *err)
{
    Elf64_Ehdr h;
    struct stat st;
    uint64_t size, least;
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, &h, sizeof(h), 0);
    if (n < 0) {
        int rc = err_set(err, ERR_IO, "no GPU can be used: %s: %s", path,
                         strerror(errno));

        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    size = (uint64_t)st.st_size;
    least = needed(fd, &h, (size_t)n, size);
    (void)close(fd);
    if (size > 0 && least <= size)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "no GPU can be used: %s is cut short, at %llu bytes; "
                   "install it again",
                   path, (unsigned long long)size);
}
