/*
 * finetune_method.c - what the losses beyond the next token's need: a teacher
 */
#include "finetune.h"
#include "pick_model.h"

#include "tokenizer/tokenizer.h"

#include <string.h>

/* Two directories may hold copies of one tokenizer. */
static bool same_tokens(const struct tokenizer *a, const struct tokenizer *b)
{
    size_t n = tokenizer_size(a);

    if (n != tokenizer_size(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *x = tokenizer_token(a, (int32_t)i);
        const char *y = tokenizer_token(b, (int32_t)i);

        if (!x != !y || (x && strcmp(x, y) != 0))
            return false;
    }
    return true;
}

static int check_tokens(const char *dir, const struct tokenizer *own,
                        struct err *err)
{
    struct tokenizer *t = NULL;
    int rc = tokenizer_open(dir, &t, err);

    if (rc == 0 && !same_tokens(own, t))
        rc = err_set(err, ERR_INVALID,
                     "%s: its tokenizer is another than the base's; train on "
                     "its answers instead",
                     dir);
    tokenizer_free(t);
    return rc;
}

int finetune_open_teacher(struct cli *cli, const char *model,
                          const struct tokenizer *tokenizer,
                          struct compute *compute, struct model **out,
                          struct err *err)
{
    struct picked_model picked = { 0 };
    int rc = pick_model(cli, model, NULL, NULL, &picked, err);

    if (rc < 0)
        return rc;
    rc = check_tokens(picked.dir, tokenizer, err);
    if (rc == 0)
        rc = model_open(picked.dir, compute, false, out, err);
    if (rc == 0 && picked.adapter)
        rc = model_adapter_load(*out, picked.adapter, err);
    if (rc == 0)
        cli_note(cli, "teacher: %s", picked.dir);
    picked_model_release(&picked);
    return rc;
}
