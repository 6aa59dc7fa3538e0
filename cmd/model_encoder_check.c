/*
 * model_encoder_check.c - an encoder's states and vectors for a reference
 *
 * The reference masks what is padding, which must stand at the end. It
 * compares nothing.
 */
#include "cmd_model_values.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CELLS ((int64_t)1 << 24) /* of ids */

/* How many of n tokens count; 0: the mask is none of a text with padding at
 * its end. */
static int32_t counted(const int32_t *mask, size_t n)
{
    int32_t seen = 0;

    while ((size_t)seen < n && mask[seen] == 1)
        seen++;
    for (size_t i = (size_t)seen; i < n; i++)
        if (mask[i] != 0)
            return 0;
    return seen;
}

static int read_texts(const struct model_reference *r, int32_t **out,
                      struct model_encoder_batch *b, int64_t shape[2],
                      struct err *err)
{
    const struct weights_tensor *ids = weights_find(r->tensors, "input_ids");
    const struct weights_tensor *mask =
        weights_find(r->tensors, "attention_mask");
    int32_t *starts, *seen;
    size_t n, docs, wide;

    if (!ids || !mask || ids->type != WEIGHTS_I32 ||
        mask->type != WEIGHTS_I32 || ids->dims != 2 || mask->dims != 2 ||
        ids->shape[0] != mask->shape[0] || ids->shape[1] != mask->shape[1] ||
        !ids->bytes || weights_elements(ids) > MAX_CELLS)
        return err_set(err, ERR_FORMAT,
                       "expected.safetensors: input_ids and attention_mask "
                       "must be I32 of one shape [B,T]");
    n = (size_t)weights_elements(ids);
    docs = (size_t)ids->shape[0];
    wide = (size_t)ids->shape[1];
    *out = mem_array(2 * n + 2 * docs + 1, sizeof(**out));
    memcpy(*out, ids->data, ids->bytes);
    memcpy(*out + n, mask->data, mask->bytes);
    starts = *out + 2 * n;
    seen = starts + docs + 1;
    for (size_t d = 0; d <= docs; d++)
        starts[d] = (int32_t)(d * wide);
    for (size_t d = 0; d < docs; d++)
        seen[d] = counted(*out + n + d * wide, wide);
    *b = (struct model_encoder_batch){ *out, n, starts, seen, docs };
    memcpy(shape, ids->shape, 2 * sizeof(*shape));
    return ERR_OK;
}

int model_encoder_compute(const char *dir, const struct model_reference *r,
                          struct compute *compute, struct model_values *out,
                          struct err *err)
{
    struct model_encoder_batch b;
    struct model_encoder *e = NULL;
    struct model_value *v;
    int32_t *memory = NULL;
    int64_t shape[2], hidden = 0;
    int rc = read_texts(r, &memory, &b, shape, err);

    if (rc == ERR_OK)
        rc = model_encoder_open(dir, compute, &e, err);
    if (rc == ERR_OK) {
        hidden = model_encoder_shape(e)->hidden;
        v = model_values_add(out, mem_strdup("last_hidden_state"), 3,
                             (int64_t[]){ shape[0], shape[1], hidden });
        rc = model_encoder_states(e, &b, v->data, err);
    }
    if (rc == ERR_OK) {
        v = model_values_add(out, mem_strdup("embedding"), 2,
                             (int64_t[]){ shape[0], hidden });
        rc = model_encoder_vectors(e, &b, v->data, err);
    }
    model_encoder_free(e);
    free(memory);
    return rc;
}
