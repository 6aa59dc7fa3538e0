/* fuzz_pieces.c - files of any bytes as the texts of single records
 *
 * Read from a file, and line by line as a log that grows. A piece that is no
 * JSON is a line as it stands: lists are cut at their elements, and what is put
 * together of several records is a record.
 */
#include "memory_file.h"
#include "wire/wire.h"
#include "wire/wire_pieces.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_record(struct wire_record *r, struct slice text)
{
    struct err err;
    int rc = wire_record_read(r, WIRE_AUTO, text, &err);

    if (rc == ERR_OK && !r->call.status.n)
        abort();
}

static void check(struct slice piece, struct slice line)
{
    struct json j = { 0 };

    if (line.p && piece.n && !memmem(line.p, line.n, piece.p, piece.n) &&
        json_parse(&j, piece.p, piece.n, NULL) < 0)
        abort();
    json_release(&j);
}

/* How many pieces there are up to the next end; of this line, if it is one. */
static size_t read_all(struct wire_pieces *p, struct wire_record *r,
                       struct slice given)
{
    struct codec_line line;
    struct err err;
    size_t count = 0;

    while (wire_pieces_next(p, &line, &err) == 1) {
        check(line.text, given);
        read_record(r, line.text);
        count++;
    }
    return count;
}

static size_t read_lines(struct slice text, struct wire_record *r)
{
    struct wire_pieces *p = wire_pieces_new();
    size_t count = 0;
    int64_t number = 0;

    while (text.n) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct codec_line line = { .text = { text.p, n },
                                   .number = ++number,
                                   .size = n };

        wire_pieces_give(p, &line);
        count += read_all(p, r, line.text);
        text.p += n + (end != NULL);
        text.n -= n + (end != NULL);
    }
    wire_pieces_close(p);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = { (const char *)data, size };
    struct wire_record r = { .built = { .data = NULL } };
    struct wire_pieces *p;
    struct memory_file f;
    size_t count = 0;
    struct err err;

    memory_file_open(&f, data, size);
    if (wire_pieces_open(f.path, &p, &err) == ERR_OK) {
        count = read_all(p, &r, (struct slice){ NULL, 0 });
        wire_pieces_close(p);
    }
    memory_file_close(&f);
    if (count > size + 1 || read_lines(text, &r) > size + 1)
        abort();
    wire_record_release(&r);
    return 0;
}
