/* memory_file.h - bytes as files that exist in memory alone */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stddef.h>
#include <stdint.h>

struct memory_file {
    int fd;
    char path[32];
};

void memory_file_open(struct memory_file *f, const uint8_t *data, size_t size);
void memory_file_close(struct memory_file *f);

/* A directory of such files, made once; it goes when the process ends. Names
 * are string constants. */
struct memory_dir {
    char path[32]; /* empty: not yet made */
    struct {
        const char *name;
        int fd;
    } files[4];
    size_t count;
};

/* What reads a file must have closed it before it is put again. */
void memory_dir_put(struct memory_dir *d, const char *name, const uint8_t *data,
                    size_t size);

/* An input of two parts: what stands before the first zero byte, and what
 * follows it (nothing, where there is none). */
size_t memory_cut(const uint8_t *data, size_t size, const uint8_t **rest,
                  size_t *left);

#endif
