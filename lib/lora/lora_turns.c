/*
 * lora_turns.c - which tokens of a conversation its assistant's turns are
 *
 * For training files, not for logged calls: there one answer is the lesson,
 * here each turn of the assistant is, unless its message says "weight": 0,
 * as in OpenAI's fine-tuning files. Turns are found in the ids themselves, so
 * text and mask cannot drift apart; a count that differs is refused.
 */
#include "base/mem.h"
#include "lora/lora_private.h"
#include "tokenizer/tokenizer.h"

#include <string.h>

#define TURN_OPEN "<|im_start|>assistant\n"
#define TURN_CLOSE "<|im_end|>"

static bool is_trained(const struct json *j, json_ref message)
{
    double weight = 1;

    (void)json_double(j, json_get(j, message, "weight"), &weight);
    return weight > 0;
}

/* The next message of the assistant at or after e. */
static json_ref assistant_from(const struct json *j, json_ref messages,
                               json_ref e)
{
    while (e != JSON_NONE &&
           !json_text_is(j, json_get(j, e, "role"), "assistant"))
        e = json_next(j, messages, e);
    return e;
}

static size_t mark_turn(const struct token_list *ids, size_t at, int32_t close,
                        bool train, unsigned char *mask)
{
    while (at < ids->count) {
        mask[at] = train;
        if (ids->ids[at++] == close)
            break;
    }
    return at;
}

int lora_turns_mask(const struct tokenizer *t, const struct token_list *ids,
                    const struct json *j, json_ref messages,
                    unsigned char *mask, struct err *err)
{
    struct token_list open = { 0 };
    int32_t close = tokenizer_id(t, TURN_CLOSE);
    json_ref e = assistant_from(j, messages, json_first(j, messages));
    int rc = tokenizer_encode(t, slice_of(TURN_OPEN), 0, &open, NULL, err);

    memset(mask, 0, ids->count);
    for (size_t at = 0; rc == 0 && at + open.count <= ids->count;) {
        if (memcmp(ids->ids + at, open.ids, open.count * sizeof(*open.ids)) !=
            0) {
            at++;
            continue;
        }
        if (e == JSON_NONE)
            rc = err_set(err, ERR_UNSUPPORTED,
                         "more turns of the assistant than messages");
        else
            at = mark_turn(ids, at + open.count, close, is_trained(j, e), mask);
        e = e == JSON_NONE
                ? e
                : assistant_from(j, messages, json_next(j, messages, e));
    }
    if (rc == 0 && e != JSON_NONE)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "a turn of the assistant is not found in the ids");
    token_list_release(&open);
    return rc;
}
