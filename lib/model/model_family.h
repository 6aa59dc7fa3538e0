/*
 * model_family.h - private to lib/model: what makes a family
 *
 * A family is an entry of the table in model_family.c: the names in its
 * checkpoints, the blocks of its layers, and a function that reads what its
 * config.json has beyond the fields that all share. A function that reads a
 * field has to refuse, by name, every value that the engine does not compute.
 */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include "json/json.h"
#include "model/model_mixer.h"

/* Names are those below "model.layers.N."; absent: NULL. */
struct model_block_plan {
    const char *pre, *post;
    struct {
        struct model_mixer *(*make)(struct model *m, size_t layer,
                                    const char *module);
        const char *module;
    } mixers[MODEL_BLOCK_MIXERS];
};
#define MODEL_LAYER_BLOCKS 2

/* Linear layers and norms of attention and MLP. A fused name, where there is
 * one, stands for those before it. */
struct model_names {
    const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm;
    const char *gate, *up, *gate_up, *down; /* gate NULL: no gate */
};

struct config_reader {
    const struct json *j;
    const char *path;
    struct err *err;
    int rc; /* of the first thing that was wrong */
};

struct model_family {
    const char *architecture, *type; /* architectures[0], model_type */
    const char *embed, *norm;        /* "model.embed_tokens", "model.norm" */
    const char
        *stored; /* what files have in place of "model"; NULL: the same */
    struct model_names names;
    struct model_block_plan layers[MODEL_LAYER_KINDS][MODEL_LAYER_BLOCKS];
    const char *norm_eps; /* field; NULL: rms_norm_eps */
    const char *act;      /* field; NULL: hidden_act */
    enum model_act default_act;
    bool own_biases;    /* which biases there are is the family's to say */
    bool tied;          /* if the config does not say */
    int64_t head_dim;   /* likewise; 0: hidden / heads */
    double rotary_part; /* likewise; 0: the family knows all alone */
    double tolerance;   /* of a reference; 0: TOLERANCE */
    void (*read)(struct config_reader *r, struct model_config *c);
    void (*write)(const struct model_config *c, struct json_writer *w);
};

/* NULL if there is none of this model_type; "" is Llama's. */
const struct model_family *model_family_find(const char *type);
/* The i-th way in which files spell a name that is model.X here, the caller's;
 * NULL: there are no more. */
char *model_spelled(const struct model_family *f, const char *name, unsigned i);
/* By number, NULL after the last. */
const struct model_family *model_family_at(size_t i);

/* model_whole.c: models whose decoder is one part of them. */
struct model_whole {
    const char *architecture, *text; /* of the whole, of its decoder */
    const char *module;   /* where transformers has the decoder's "model" */
    const char *defaults; /* of text_config: members, each with a comma */
};
const struct model_whole *model_whole_find(const char *architecture);
const struct model_whole *model_whole_at(size_t i); /* NULL after the last */
/* The decoder's config.json as it would stand alone, from the whole's. */
void model_whole_config(const struct model_whole *w, const struct json *j,
                        struct buf *out);
/* A tensor of such a file that is no part of the decoder. */
bool model_whole_beside(const char *tensor);

/* For the read functions. A field that is null counts as absent; numbers out
 * of (0, max] and other types set r->rc, and 1 is returned: a value that can be
 * divided by. */
json_ref config_member(const struct config_reader *r, const char *name);
int64_t config_int(struct config_reader *r, const char *name, int64_t fallback,
                   int64_t max);
double config_double(struct config_reader *r, json_ref object, const char *name,
                     double fallback, double max);
bool config_bool(struct config_reader *r, const char *name, bool fallback);
/* The factor on cos and sin; factor 0: by the contexts. */
double config_longrope_attention(const struct model_config *c, double factor);
/* Sets r->rc: "NAME: what it says is not supported". */
void config_refuse(struct config_reader *r, const char *name);
/* c->layer from the list `field` (layer_types), whose entries are one of the
 * names given; other entries are refused. False if there is no such field. */
struct config_layer_name {
    const char *name;
    uint8_t layer;
};
bool config_layers(struct config_reader *r, struct model_config *c,
                   const char *field, const struct config_layer_name *names,
                   size_t count);

/* model_config_write.c. A number that stays a float to readers that tell 30
 * from 30.0; name NULL: an array's element. */
void config_put_float(struct json_writer *w, const char *name, double x);
void config_write_partial(const struct model_config *c, struct json_writer *w);
/* The list `field` of layers, by their first names. */
void config_write_layers(const struct model_config *c, struct json_writer *w,
                         const char *field,
                         const struct config_layer_name *names, size_t count);

/* model_family_hybrid.c: families with other mixers than attention. */
const struct model_family *model_family_hybrid(size_t i);

#endif
