/* memory_file.c - memfd_create and its path in /proc */
#include "memory_file.h"

#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void memory_file_open(struct memory_file *f, const uint8_t *data, size_t size)
{
    struct err err;

    f->fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (f->fd < 0 || io_write_all(f->fd, data, size, &err) ||
        lseek(f->fd, 0, SEEK_SET))
        abort();
    (void)snprintf(f->path, sizeof(f->path), "/proc/self/fd/%d", f->fd);
}

void memory_file_close(struct memory_file *f)
{
    close(f->fd);
}
