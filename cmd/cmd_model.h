/* cmd_model.h - the verbs of slmctl model, one file for a group of them */
#ifndef CMD_MODEL_H
#define CMD_MODEL_H

#include "cmd.h"
#include "json/json.h"

extern const struct command model_add, model_list, model_remove; /* registry */
extern const struct command model_promote, model_rollback, model_retire;
extern const struct command model_terms;
extern const struct command model_show;
extern const struct command model_tokenize, model_train_tokenizer;
extern const struct command model_template;
extern const struct command model_check;
extern const struct command model_verify;
extern const struct command model_convert, model_merge;

/* What can be said about a model directory. Strings are owned. */
struct model_facts {
    char *whole; /* architecture that this is the text part of; NULL: none */
    char *family, *architecture_error; /* one of them; NULL otherwise */
    bool encoder;                      /* no decoder: texts to vectors */
    int64_t parameters, stored;        /* by config; in the files */
    int64_t layers, hidden, vocab, context;
    size_t tensors, bytes;
    char *types; /* "BF16 290, F32 1" tensors by type */
    char *weights_error;
    size_t tokens;
    char *tokenizer_error;
    char *template_name, *template_error;
    char *license; /* from README.md's front matter */
};
/* Never fails as a whole: what cannot be read has its reason. */
void model_facts_read(const char *dir, struct model_facts *out);
void model_facts_release(struct model_facts *f);
/* As members of the object that w is in. */
void model_facts_put(const struct model_facts *f, struct json_writer *w);

#endif
