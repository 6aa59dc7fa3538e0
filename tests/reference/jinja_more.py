#!/usr/bin/env python3
"""Writes jinja_more.golden.jsonl: templates as transformers renders them.

usage: python3 tests/reference/jinja_more.py > \
           tests/reference/jinja_more.golden.jsonl
needs: pip install transformers==5.23.0 jinja2==3.1.6

Groups: continue (continue_final_message), spec (str.format and '%'), letters
(cases of letters), lines (filters that cut lines), rare (other methods).
Templates and texts are new (CC0).
"""
import copy
import json
import random

from transformers.utils import chat_template_utils as utils

random.seed(1)


def line(group, template, context, **more):
    out = {"group": group, "template": template, "context": context, **more}
    try:
        if "messages" in context:
            if not context["messages"]:  # apply_chat_template refuses these
                raise ValueError("empty conversation")
            # Its caller drops what is None.
            messages = [{k: v for k, v in m.items() if v is not None}
                        for m in copy.deepcopy(context["messages"])]
            others = {k: v for k, v in context.items() if k != "messages"}
            text = utils.render_jinja_template(
                [messages], chat_template=template,
                **others, **more)[0][0]
        else:
            text = utils._compile_jinja_template(template).render(**context)
        out["output"] = text
    except Exception as e:
        out["error"] = str(e)
        out["error_type"] = type(e).__name__
    print(json.dumps(out, ensure_ascii=False))


def say(role, content, **more):
    return {"role": role, "content": content, **more}


KEEPS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end_of_text|>\n{% endfor %}"
TRIMS = KEEPS.replace("m.content", "m.content|trim")
REPEATS = "{% for m in messages %}{{ m.reasoning_content }}/{{ m.content }}|{{ m }}{% endfor %}"
DROPS = "{% for m in messages %}{{ m.role }}:{% if not m.tool_calls %}{{ m.content }}{% endif %}{% endfor %}"
CALLS = "{% for m in messages %}{% if m.tool_calls %}[CALLS]{% else %}{{ m.content }}{% endif %}</s>{% endfor %}"
THINKS = "{% for m in messages %}{{ m.thinking }}#{{ m.content }}$ {% endfor %}"
PARTS = "{% for m in messages %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endfor %}"
CALL = [{"type": "function", "function": {"name": "f", "arguments": {}}}]
USER = say("user", "Hi")
LAST = [
    [USER, say("assistant", "  yes sir \n")],
    [USER, say("assistant", "\u3000yes\u00a0\x1c")],
    [USER, say("assistant", "")],
    [USER, say("assistant", " \n ")],
    [USER, say("assistant", "x")],
    [USER, say("assistant", "1"), say("assistant", "2")],
    [USER, say("assistant", "", tool_calls=CALL)],
    [USER, say("assistant", "text", tool_calls=CALL)],
    [USER, say("assistant", None)],
    [USER, say("assistant", "a", reasoning="r ")],
    [USER, say("assistant", "a", thinking="t", reasoning="r")],
    [USER, say("assistant", "a", reasoning_content="c", thinking="t ")],
    [say("user", [{"type": "text", "text": "one"}]),
     say("assistant", [{"type": "text", "text": "two "},
                       {"type": "image"}])],
    [],
]
for template in (KEEPS, TRIMS, REPEATS, DROPS, CALLS, THINKS, PARTS):
    for messages in LAST:
        for field in (True, "content", "reasoning", "thinking",
                      "reasoning_content"):
            if field is True or messages in LAST[9:12]:
                line("continue", template, {"messages": messages},
                     continue_final_message=field)
    line("continue", template, {"messages": []})

SPECS = [",", "+", " ", "<8", "*^9", "=+8", "08,", "_", "n", "#x", "#_x", "_b",
         "x", "X", "o", "b", "c", "e", ".3", ".2f", ".1%", "g", "G", "010",
         "+,.2f", "012,.1f", "s", "日^7", "<08", "^08", "=5", ".0f", "-", "+d"]
PERCENTS = ["d", "5d", "05d", "-5d", "+d", " d", "x", "#X", "#o", "10s", ".2s",
            "r", "a", ".5d", "c", "-08d", "e", "g", "08.2f"]
VALUES = ["1234567", "-42", "0", "true", "3.14159", "99.99", "1e20",
          "123456789012345678901234567890", "-98765432109876543210", "'é日'"]
for v in VALUES:
    for s in SPECS:
        line("spec", "{{ '{:%s}'.format(%s) }}" % (s, v), {})
    for s in PERCENTS:
        line("spec", "{{ '%%%s' %% %s }}" % (s, v), {})
for t in ("'{a.b}{a[b]}'.format(a=d)", "'{0[1]}'.format([1,2])",
          "'{0.__class__}'.format(d)", "'{:{}}'.format(5,8)",
          "'{:{w}.{p}f}'.format(3.14159,w=9,p=2)", "'{!a:>9}'.format('é日')",
          "'{!x}'.format(1)", "'{0[}'.format(d)", "'{0.}'.format(d)"):
    line("spec", "{{ %s }}" % t, {"d": {"b": 2}})

for c in "İŉǅǆßΣσςʰﬁ²Ⅷⓐªᾳ":
    for m in ("title", "swapcase", "casefold", "lower", "upper", "capitalize",
              "istitle", "isupper", "islower"):
        line("letters", "{{ (s)|tojson }}".replace(
            "s", "s.%s(), ('a'~s~'b').%s(), ('aΣ'~s).%s()" % (m, m, m)),
            {"s": c})

PIECES = ["a", "bb", "dddddd", " ", "  ", "-", "--", "é", "1", ".", ",", "\n",
          "\r\n", "\r", "\t", "well-known", "!", "日本語", "_", "\x0b", "\x1c",
          "\u2028", "\x85"]
MARKUP = ["&amp;", "&lt", "<b>", "</b>", "<!--", "-->", ">", "<", "&#65;",
          "&#x41", "&#150;", "&#0;", "&#1;", "&nbsp;", "&eacute", "&copy;",
          "&apos;", "&apos", "a", "  ", "\n", "&", "#", "&QUOT;", "&notx"]
for i in range(60):
    s = "".join(random.choice(PIECES) for _ in range(random.randint(0, 20)))
    width = random.randint(1, 12)
    line("lines", "{{ s|wordwrap(%d) }}" % width, {"s": s})
    line("lines", "{{ s|wordwrap(%d, false, '|', false) }}" % width, {"s": s})
    line("lines", "{{ s|indent(%d, %s, %s) }}" % (
        width, i % 2 > 0, i % 3 > 0), {"s": s})
    line("lines", "{{ s.expandtabs(%d) }}" % width, {"s": s})
    s = "".join(random.choice(MARKUP) for _ in range(random.randint(0, 9)))
    line("lines", "{{ s|striptags }}", {"s": s})

for t in ("{'z':1,'a':[3,{'q':1,'b':2}],'M':none}|pprint", "'abc'.isascii()",
          "'é'.isascii()", "'a1_'.isidentifier()", "'1a'.isidentifier()",
          "'abc'.translate({97:'x',98:none,99:100})", "'a\\n'.isprintable()",
          "(7).real", "1.5.imag", "(7).denominator", "true.real",
          "{'a':1}|tojson(indent=-1)", "{'a':[1]}|tojson(indent=100)",
          "strftime_now('[%z|%Z]')"):
    line("rare", "{{ %s }}" % t, {})
