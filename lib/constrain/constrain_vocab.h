/* constrain_vocab.h - between the files of constrain: the sorted tokens */
#ifndef CONSTRAIN_VOCAB_H
#define CONSTRAIN_VOCAB_H

#include "constrain/constrain.h"

struct constrain_token {
    struct slice text;
    int32_t id;
    uint32_t common; /* bytes that the token before it begins with too */
};

struct constrain_vocab {
    struct constrain_token *tokens; /* sorted by text */
    size_t count, longest;
    size_t size;                      /* ids */
    struct slice *by_id;              /* p NULL: not part of a text */
    struct constrain_token *specials; /* not part of a text, with their own */
    size_t special_count;
    char *bytes, *names;
    bool lead_space; /* decoding drops a text's first space */
};

#endif
