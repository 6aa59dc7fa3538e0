/* memory_file.h - bytes as a file that exists in memory alone */
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

#endif
