/* fuzz_lines.c - log files, plain or zstd, and packed blobs */
#include "codec/codec.h"
#include "memory_file.h"

#include <stdlib.h>
#include <string.h>

#define BLOB_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_lines(const uint8_t *data, size_t size)
{
    struct codec_lines *lines = NULL;
    struct codec_line line;
    struct memory_file f;
    struct err err;
    int64_t last = 0;

    memory_file_open(&f, data, size);
    if (!codec_lines_open(f.path, 1000, &lines, &err))
        while (codec_lines_next(lines, &line, &err) > 0) {
            if (line.text.n > 1000 || line.number != last + 1)
                abort();
            last = line.number;
        }
    codec_lines_close(lines);
    memory_file_close(&f);
}

/* Packing and unpacking gives the same bytes; arbitrary bytes never unpack
 * to another size than was asked for. */
static void pack(struct slice data)
{
    struct codec *c = codec_new();
    struct buf packed = { .data = NULL }, back = { .data = NULL };
    enum codec_id id;
    struct err err;

    if (codec_pack(c, NULL, data, &packed, &id, &err) ||
        codec_unpack(c, id, NULL, buf_slice(&packed), data.n, &back, &err) ||
        !slice_eq(buf_slice(&back), data))
        abort();
    buf_reset(&back);
    if (!codec_unpack(c, CODEC_ZSTD, NULL, data, BLOB_SIZE, &back, &err) &&
        back.len != BLOB_SIZE)
        abort();
    buf_release(&packed);
    buf_release(&back);
    codec_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_lines(data, size);
    pack((struct slice){ (const char *)data, size });
    return 0;
}
