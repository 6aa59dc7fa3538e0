#!/usr/bin/env python3
"""Writes chatml.golden.jsonl: what jinja2 makes of the ChatML templates.

usage: chatml_golden.py OWN.jinja > chatml.golden.jsonl   (needs jinja2)

OWN.jinja is the output of `slmctl model template --builtin`. The environment is the one
of apply_chat_template: sandboxed, trim_blocks and lstrip_blocks, tojson without
HTML escapes. Arguments of calls are handed over as objects, as servers do.
"answer" is what rendering the conversation with the answer adds to the prompt.
"""
import copy
import json
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment

own = open(sys.argv[1]).read()
turns = ("{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
         "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}"
         "{{ '<|im_start|>assistant\\n' }}{% endif %}")
plain = "{% for message in messages %}" + turns
smol = ("{% for message in messages %}{% if loop.first and messages[0]['role'] "
        "!= 'system' %}{{ '<|im_start|>system\\nYou are a helpful AI assistant "
        "named SmolLM, trained by Hugging Face<|im_end|>\\n' }}{% endif %}"
        + turns)

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
env.filters["tojson"] = lambda x, ensure_ascii=False, indent=None, \
    separators=None, sort_keys=False: json.dumps(
        x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
        sort_keys=sort_keys)


def prepared(messages):
    out = []
    for m in messages:
        m = {k: copy.deepcopy(v) for k, v in m.items() if v is not None}
        for call in m.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(
                call["function"]["arguments"])
        out.append(m)
    return out


def render(source, request, messages, generation):
    return env.from_string(source).render(
        messages=prepared(messages), tools=request.get("tools"),
        documents=None, add_generation_prompt=generation)


def call(name, arguments):
    return {"id": "call_1", "type": "function",
            "function": {"name": name, "arguments": arguments}}


tool = {"type": "function", "function": {
    "name": "run_sql", "description": "Run \"one\" query\n\u00e9\u2028\u007f\u0001",
    "parameters": {"type": "object", "required": ["sql", "limit"],
                   "properties": {"sql": {"type": "string"},
                                  "limit": {"type": "integer", "minimum": -1,
                                            "x": 1.5, "y": 1e-7,
                                            "big": 12345678901234567890}}}}}
empty = {"type": "function", "function": {"name": "now"}}
user = {"role": "user", "content": "Which table?"}
system = {"role": "system", "content": "You write SQL."}
answer = {"role": "assistant", "content": "orders"}
calls = {"role": "assistant", "content": None, "tool_calls": [
    call("run_sql", '{ "sql": "select \\"\\u00e9\\"\\n", "limit": 3 }'),
    call("now", "{}")]}
spoken = {"role": "assistant", "content": "Let me see.\n", "tool_calls": [
    call("run_sql", '{"sql":"select 1","a":[1,2,{"z":null,"b":true}]}')]}
result = {"role": "tool", "tool_call_id": "call_1", "content": "[[1]]"}
parts = {"role": "user", "content": [{"type": "text", "text": "one"},
                                     {"type": "text", "text": "two"}]}
odd = {"role": "user", "content": "  white\r\n\n space \u0000 \U0001f600 {{ x }} "}
developer = {"role": "developer", "content": "Be brief."}

cases = [
    ([user], None, answer), ([system, user], None, answer),
    ([system, user, answer, user], None, answer),
    ([odd, answer, odd], None, {"role": "assistant", "content": " a \n"}),
    ([user, system], None, answer),
]
with_tools = [
    ([user], [tool], calls), ([system, user], [tool, empty], spoken),
    ([developer, user], [tool], calls),
    ([{"role": "system", "content": ""}, user], [empty], calls),
    ([system, user, calls, result, result], [tool, empty], answer),
    ([system, user, spoken, result], [tool], calls),
    ([parts], None, answer), ([system, parts, answer, parts], [empty], calls),
    ([system, user], [], answer),
    ([user, spoken, {"role": "function", "name": "f", "content": "x"}], None,
     answer),
]
for name, source, todo in (("slmctl's ChatML", own, cases + with_tools),
                           ("plain ChatML", plain, cases),
                           ("SmolLM2's ChatML", smol, cases)):
    print(json.dumps({"template": source, "name": name}))
    for messages, tools, last in todo:
        request = {"messages": messages}
        if tools is not None:
            request["tools"] = tools
        prompt = render(source, request, messages, True)
        whole = render(source, request, messages + [last], False)
        assert whole.startswith(prompt) and whole.endswith("<|im_end|>\n")
        print(json.dumps({"request": request, "message": last,
                          "prompt": prompt,
                          "answer": whole[len(prompt):-1]},
                         ensure_ascii=False))
