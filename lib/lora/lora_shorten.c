/*
 * lora_shorten.c - an over-long call without its oldest turns
 *
 * A turn begins with a user's message and ends before the next one, so a call
 * and its result stay together. System messages at the head and the last turn
 * always stay; nothing is cut inside a message, and never the answer.
 */
#include "lora/lora_private.h"

#include <stdlib.h>

static bool is_role(const struct json *j, json_ref message, const char *role)
{
    return json_text_is(j, json_get(j, message, "role"), role);
}

static bool is_head(const struct json *j, json_ref message)
{
    return is_role(j, message, "system") || is_role(j, message, "developer");
}

/* Messages that stand before the turn after `turns` dropped ones, the head
 * apart; false if that turn would be none. */
static bool find_kept(const struct json *j, json_ref messages, size_t turns,
                      size_t *head, size_t *kept)
{
    size_t i = 0, begun = 0;
    bool in_head = true;

    *head = 0;
    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e), i++) {
        in_head = in_head && is_head(j, e);
        *head += in_head;
        begun += is_role(j, e, "user");
        if (begun == turns + 1) {
            *kept = i;
            return true;
        }
    }
    return false;
}

bool lora_shorten(const struct json *j, json_ref request, size_t turns,
                  struct buf *out)
{
    json_ref messages = json_get(j, request, "messages");
    size_t head, kept, i = 0;
    struct json_writer w;

    if (!find_kept(j, messages, turns, &head, &kept))
        return false;
    json_writer_init(&w, out, false);
    json_begin_object(&w, NULL);
    for (json_ref e = json_first(j, request); e != JSON_NONE;
         e = json_next(j, request, e))
        if (e != messages) {
            char *key = json_strdup(j, json_key(j, e));

            json_put_raw(&w, key, json_raw(j, e));
            free(key);
        }
    json_begin_array(&w, "messages");
    for (json_ref e = json_first(j, messages); e != JSON_NONE;
         e = json_next(j, messages, e), i++)
        if (i < head || i >= kept)
            json_put_raw(&w, NULL, json_raw(j, e));
    json_end_array(&w);
    json_end_object(&w);
    return true;
}
