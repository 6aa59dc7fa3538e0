/* generate_choice.h - what may be written, where it stops, how it is chosen */
#ifndef GENERATE_CHOICE_H
#define GENERATE_CHOICE_H

#include "cmd.h"
#include "constrain/constrain.h"
#include "json/json.h"
#include "model/model.h"

/* A form named by options; all NULL: none. Release also after a failure. */
struct generate_form {
    struct constrain_vocab *vocab;
    struct constrain *form;
};
MUST_CHECK int generate_form_open(const struct tokenizer *t,
                                  const char *schema_file, const char *labels,
                                  const char *regex, struct generate_form *out,
                                  struct err *err);
void generate_form_release(struct generate_form *f);

/* Texts that end an answer and are no part of it, also where they begin and
 * end inside tokens. Text comes in as it is decoded and goes out once no
 * stop can begin in it. */
struct generate_stops {
    struct cli_list texts;
    struct buf held;
    bool found;
};
void generate_stops_add(struct generate_stops *s, struct slice text,
                        struct buf *out);
/* What was held back, at the answer's end. */
void generate_stops_end(struct generate_stops *s, struct buf *out);

/* Log probabilities of the chosen ids and of the likeliest. */
struct generate_logprobs {
    size_t top; /* so many a token, 0: none */
    size_t count, cap;
    double *chosen;
    int32_t *ids; /* top a token, likeliest first */
    double *values;
    size_t vocab;
};
#define GENERATE_TOP_MAX 100
void generate_logprobs_take(void *ctx, const float *logits, int32_t id);
void generate_logprobs_release(struct generate_logprobs *l);
/* "bytes": the token's, null for special ones; then its log probability. */
void generate_logprobs_put(struct json_writer *w, const struct tokenizer *t,
                           int32_t id, double logprob);

/* generation_config.json of a directory: stop ids are added to *stops; the
 * sampling it asks for goes into *opt, where sample says so, for what is not
 * set there. A directory without the file is fine; ERR_FORMAT names what in it
 * cannot be meant, an id that is none of `vocab` too. */
MUST_CHECK int generate_config_read(const char *dir, bool sample, int32_t vocab,
                                    struct token_list *stops,
                                    struct model_sampling *opt,
                                    struct err *err);

#endif
