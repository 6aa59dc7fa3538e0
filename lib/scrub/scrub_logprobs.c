/*
 * scrub_logprobs.c - the text behind a list of tokens
 *
 * Chat completions list objects with a "token", older ones an array "tokens".
 * What else could have stood there (top_logprobs) is no text.
 */
#include "scrub/scrub_priv.h"

static void add_list(const struct json *j, json_ref list, struct buf *out)
{
    if (list == JSON_NONE || json_kind(j, list) != JSON_ARRAY)
        return;
    for (json_ref e = json_first(j, list); e != JSON_NONE;
         e = json_next(j, list, e))
        (void)json_text(
            j, json_kind(j, e) == JSON_OBJECT ? json_get(j, e, "token") : e,
            out);
}

void scrub_logprobs_join(const struct json *j, json_ref v, struct buf *out)
{
    static const char *const lists[] = { "content", "refusal", "tokens" };

    if (json_kind(j, v) == JSON_ARRAY)
        add_list(j, v, out);
    for (size_t i = 0;
         json_kind(j, v) == JSON_OBJECT && i < sizeof(lists) / sizeof(lists[0]);
         i++)
        add_list(j, json_get(j, v, lists[i]), out);
}
