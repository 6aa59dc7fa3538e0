/*
 * template_builtin.c - slmctl's own ChatML, written beside models made here
 *
 * Turns are <|im_start|>ROLE, TEXT<|im_end|>. Tools stand at the end of the
 * system turn, one a line as compact JSON; a call is JSON between tool_call
 * tags on lines of their own; a result is a turn of role tool.
 */
#include "template/template.h"

#define OWN                                                                    \
    "{#- slmctl ChatML: tools in the system turn, one a line; calls between "  \
    "tool_call tags; results as role tool. -#}\n"                              \
    "{%- macro text(content) -%}\n"                                            \
    "    {%- if content is string -%}\n"                                       \
    "        {{- content -}}\n"                                                \
    "    {%- elif content -%}\n"                                               \
    "        {{- content | map(attribute='text') | join('\\n') -}}\n"          \
    "    {%- endif -%}\n"                                                      \
    "{%- endmacro -%}\n"                                                       \
    "{%- macro compact(value) -%}\n"                                           \
    "    {{- value | tojson(separators=(',', ':'), sort_keys=true) -}}\n"      \
    "{%- endmacro -%}\n"                                                       \
    "{%- macro list_tools() -%}\n"                                             \
    "    {{- '# Tools' -}}\n"                                                  \
    "    {%- for tool in tools -%}\n"                                          \
    "        {{- '\\n' + compact(tool.function) -}}\n"                         \
    "    {%- endfor -%}\n"                                                     \
    "{%- endmacro -%}\n"                                                       \
    "{%- if tools and messages[0]['role'] not in ['system', 'developer'] "     \
    "-%}\n"                                                                    \
    "    {{- '<|im_start|>system\\n' + list_tools() + '<|im_end|>\\n' -}}\n"   \
    "{%- endif -%}\n"                                                          \
    "{%- for message in messages -%}\n"                                        \
    "    {%- set role = 'system' if message['role'] == 'developer' else "      \
    "'tool' if message['role'] == 'function' else message['role'] -%}\n"       \
    "    {%- set body = text(message['content']) -%}\n"                        \
    "    {{- '<|im_start|>' + role + '\\n' + body -}}\n"                       \
    "    {%- if loop.first and tools and role == 'system' -%}\n"               \
    "        {{- ('\\n\\n' if body else '') + list_tools() -}}\n"              \
    "    {%- endif -%}\n"                                                      \
    "    {%- for call in message['tool_calls'] or [] -%}\n"                    \
    "        {{- '\\n' if body or not loop.first else '' -}}\n"                \
    "        {{- '<tool_call>\\n{\"name\": ' + call.function.name | tojson + " \
    "', \"arguments\": ' -}}\n"                                                \
    "        {%- if call.function.arguments is string -%}\n"                   \
    "            {{- call.function.arguments -}}\n"                            \
    "        {%- else -%}\n"                                                   \
    "            {{- compact(call.function.arguments) -}}\n"                   \
    "        {%- endif -%}\n"                                                  \
    "        {{- '}\\n</tool_call>' -}}\n"                                     \
    "    {%- endfor -%}\n"                                                     \
    "    {{- '<|im_end|>\\n' -}}\n"                                            \
    "{%- endfor -%}\n"                                                         \
    "{%- if add_generation_prompt -%}\n"                                       \
    "    {{- '<|im_start|>assistant\\n' -}}\n"                                 \
    "{%- endif -%}\n"

const char *template_builtin(void)
{
    return OWN;
}
