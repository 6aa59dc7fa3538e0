/* cmd_model.c - slmctl model: models and their parts, one verb each */
#include "cmd_model.h"

static const struct command *const verbs[] = {
    &model_add,      &model_list,     &model_show,     &model_remove,
    &model_check,    &model_tokenize, &model_template, &model_train_tokenizer,
    &model_verify,   &model_convert,  &model_merge,    &model_promote,
    &model_rollback, &model_retire,   &model_terms,    NULL,
};

const struct command cmd_model = {
    .name = "model",
    .summary = "add, list, show and check models; tokenize",
    .operands = "VERB",
    .min_operands = 1,
    .max_operands = -1,
    .verbs = verbs,
};
