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
};

/* The member `from` of o as member `to`, if it is there and not null. */
void chat_member(struct chat *c, const char *to, json_ref o, const char *from);
/* Escaped text of a string, or of the texts of an array's parts. */
void chat_text_parts(struct chat *c, json_ref v, struct buf *out);
/* {"role", "content"}; text is escaped. */
void chat_message(struct chat *c, const char *role, const struct buf *text);
/* An element of tool_calls. */
void chat_call(struct chat *c, struct slice id, struct slice name,
               json_ref arguments);
void chat_add_call(struct chat *c, struct buf *calls, struct slice id,
                   struct slice name, json_ref arguments);
/* An element of tools; `parameters` names the member that has the schema. */
void chat_tool(struct chat *c, json_ref o, const char *parameters);
int64_t chat_count(const struct chat *c, json_ref o, const char *name);

/* begin, a choice each, end. calls: elements, joined by commas. */
void chat_answer_begin(struct chat *c, json_ref id, json_ref model);
void chat_choice(struct chat *c, int64_t index, const struct buf *text,
                 const struct buf *reasoning, const struct buf *calls,
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
