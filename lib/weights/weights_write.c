/*
 * weights_write.c - one safetensors file, written whole or not at all
 *
 * The order is the reference writer's (wide types first, then names), so that
 * equal tensors give equal bytes. Data goes straight from the caller's memory
 * to the file; only the header is built here. Temporary name, fsync, rename.
 */
#include "weights/weights_internal.h"

#include "base/mem.h"
#include "json/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int by_rank(const void *a, const void *b)
{
    const struct weights_tensor *x = *(const struct weights_tensor *const *)a;
    const struct weights_tensor *y = *(const struct weights_tensor *const *)b;
    unsigned rx = weights_dtype_of(x->type)->rank;
    unsigned ry = weights_dtype_of(y->type)->rank;

    if (rx != ry)
        return rx > ry ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void put_tensor(struct json_writer *w, const struct weights_tensor *t,
                       size_t offset)
{
    json_begin_object(w, t->name);
    json_put_string(w, "dtype", weights_type_name(t->type));
    json_begin_array(w, "shape");
    for (unsigned d = 0; d < t->dims; d++)
        json_put_int(w, NULL, t->shape[d]);
    json_end_array(w);
    json_begin_array(w, "data_offsets");
    json_put_int(w, NULL, (int64_t)offset);
    json_put_int(w, NULL, (int64_t)(offset + t->bytes));
    json_end_array(w);
    json_end_object(w);
}

static void build_header(const struct weights_tensor *const *order,
                         size_t count, const char *const *metadata,
                         struct buf *out)
{
    struct json_writer w;
    size_t offset = 0;

    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    if (metadata && metadata[0]) {
        json_begin_object(&w, "__metadata__");
        for (size_t i = 0; metadata[i]; i += 2)
            json_put_string(&w, metadata[i], metadata[i + 1]);
        json_end_object(&w);
    }
    for (size_t i = 0; i < count; i++) {
        put_tensor(&w, order[i], offset);
        offset += order[i]->bytes;
    }
    json_end_object(&w);
    while (out->len % 8)
        buf_char(out, ' ');
}

static int check_tensors(const struct weights_tensor *const *order,
                         size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct weights_tensor *t = order[i];

        assert((size_t)weights_elements(t) * weights_type_size(t->type) ==
               t->bytes);
        if (i && strcmp(order[i - 1]->name, t->name) == 0)
            return err_set(err, ERR_INVALID, "tensor \"%.200s\" given twice",
                           t->name);
    }
    return ERR_OK;
}

static int write_parts(int fd, const struct buf *header,
                       const struct weights_tensor *const *order, size_t count,
                       struct err *err)
{
    unsigned char length[8];
    int rc;

    for (unsigned i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)header->len >> (8 * i));
    rc = io_write_all(fd, length, sizeof(length), err);
    if (rc == ERR_OK)
        rc = io_write_all(fd, header->data, header->len, err);
    for (size_t i = 0; i < count && rc == ERR_OK; i++)
        rc = io_write_all(fd, order[i]->data, order[i]->bytes, err);
    return rc;
}

static int write_file(const char *path, const struct buf *header,
                      const struct weights_tensor *const *order, size_t count,
                      struct err *err)
{
    struct io_output o;
    int rc = io_output_begin(&o, path, err);

    if (rc < 0)
        return rc;
    rc = write_parts(o.fd, header, order, count, err);
    return io_output_end(&o, 0644, rc, err);
}

int weights_write(const char *path, const struct weights_tensor *tensors,
                  size_t count, const char *const *metadata, struct err *err)
{
    const struct weights_tensor **order = mem_array(count, sizeof(void *));
    struct buf header;
    int rc;

    buf_init(&header, WEIGHTS_MAX_HEADER);
    for (size_t i = 0; i < count; i++) {
        assert(tensors[i].type != WEIGHTS_OTHER);
        order[i] = &tensors[i];
    }
    qsort(order, count, sizeof(*order), by_rank);
    rc = check_tensors(order, count, err);
    if (rc < 0)
        goto done;
    build_header(order, count, metadata, &header);
    rc = header.overflow ? err_set(err, ERR_LIMIT, "%s: header too large", path)
                         : write_file(path, &header, order, count, err);
done:
    buf_release(&header);
    free(order);
    return rc;
}
