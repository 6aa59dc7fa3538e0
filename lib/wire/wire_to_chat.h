/* wire_to_chat.h - what the converters of this module share; nobody else
 * includes it */
#ifndef WIRE_TO_CHAT_H
#define WIRE_TO_CHAT_H

#include "wire/wire_stream.h"

#include <stdlib.h>

/* A body that is read, and the one that is written. */
struct chat {
    const struct json *j;
    struct json_writer w;
    bool missing; /* a text that was there, and was not logged */
};

/* Escaped text of a member; whether the member "type" is this one. */
struct slice chat_inner(const struct chat *c, json_ref o, const char *name);
bool chat_type_is(const struct chat *c, json_ref o, const char *type);
/* The member `from` of o as member `to`, if it is there and not null. */
void chat_member(struct chat *c, const char *to, json_ref o, const char *from);
/* Escaped text of a string, or of the texts of an array's parts. */
void chat_text_parts(struct chat *c, json_ref v, struct buf *out);
/* {"role", "content"}; text is escaped. */
void chat_message(struct chat *c, const char *role, const struct buf *text);
/* The texts of v as a message; as the system's, if there are any. */
void chat_texts(struct chat *c, const char *role, json_ref v);
void chat_system(struct chat *c, json_ref v);
/* The message that answers a call; the id is escaped. */
void chat_tool_result(struct chat *c, struct slice id, json_ref content);
/* Parts of a message; of media only that they were there, not their bytes. */
void chat_put_text_part(struct chat *c, struct slice text);
void chat_put_media(struct chat *c);
/* A message's content, null where it has calls and no text; its tool_calls,
 * if there are any, from elements joined by commas. */
void chat_put_content(struct chat *c, const struct buf *text, bool calls);
void chat_put_calls(struct chat *c, const struct buf *calls);
/* An element of tool_calls. */
void chat_call(struct chat *c, struct slice id, struct slice name,
               json_ref arguments);
void chat_add_call(struct chat *c, struct buf *calls, struct slice id,
                   struct slice name, json_ref arguments);
/* The object of a request as far as into its messages. */
void chat_request_begin(struct chat *c, json_ref o);
/* The members of o under these names; NULL: there is none of it. */
void chat_limits(struct chat *c, json_ref o, const char *max_tokens,
                 const char *top_p, const char *stop);
/* An element of tools; `parameters` names the member that has the schema. */
void chat_tool(struct chat *c, json_ref o, const char *parameters);
/* All of a list that are of this type; NULL: all that have a schema. */
void chat_tools(struct chat *c, json_ref tools, const char *parameters,
                const char *type);
/* A number that is not negative, else -1; a sum of such, -1 counting as 0
 * unless both are. */
int64_t chat_count(const struct chat *c, json_ref o, const char *name);
int64_t chat_plus(int64_t a, int64_t b);
/* Chat's finish_reason for v by pairs up to NULL, else "stop"; NULL for null.
 */
const char *chat_finish(const struct chat *c, json_ref v,
                        const char *const (*names)[2]);

/* What a model said: escaped texts, and elements of tool_calls joined by
 * commas. */
struct chat_said {
    struct buf text, thoughts, refusal, calls;
};

/* begin, a choice each, end. A choice releases what was said. */
void chat_answer_begin(struct chat *c, json_ref id, json_ref model);
void chat_choice(struct chat *c, int64_t index, struct chat_said *said,
                 const char *finish);
void chat_answer_end(struct chat *c, int64_t in, int64_t out, int64_t cached,
                     int64_t reason); /* -1: unknown */

void chat_responses_request(struct chat *c, json_ref o);
void chat_responses_answer(struct chat *c, json_ref o);
void chat_anthropic_request(struct chat *c, json_ref o);
void chat_anthropic_answer(struct chat *c, json_ref o);
void chat_ollama_request(struct chat *c, json_ref o);
void chat_ollama_answer(struct chat *c, json_ref o);
void chat_gemini_request(struct chat *c, json_ref o);
void chat_gemini_answer(struct chat *c, json_ref o);

#endif
