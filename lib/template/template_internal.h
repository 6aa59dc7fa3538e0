/* template_internal.h - the forms of ChatML that are known */
#ifndef TEMPLATE_INTERNAL_H
#define TEMPLATE_INTERNAL_H

#include "template/template.h"

struct chatml_form {
    const char *name;
    const char *source;         /* the chat_template, exactly */
    const char *default_system; /* used if the first turn is none; or NULL */
    bool tools;                 /* has a place for tools and tool calls */
};

struct template
{
    const struct chatml_form *form;
};

#define CHATML_START "<|im_start|>"
#define CHATML_END "<|im_end|>"
#define CHATML_CALL "<tool_call>"
#define CHATML_CALL_END "</tool_call>"

extern const struct chatml_form chatml_forms[];
extern const unsigned chatml_form_count;

#endif
