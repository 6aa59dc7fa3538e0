#!/usr/bin/env python3
"""Python clients of four APIs against `slmctl serve`.

usage: serve_clients.py SLMCTL MODEL-DIR
needs: pip install openai anthropic litellm mcp langchain-openai langchain-anthropic

Three places: a server alone; one in front of it that has the model under
another name; the same server's upstream, through it. A case checks what its
client makes of the answer, and what it returns must be the same at all places
(answers are greedy, so they are the same text). Refusals must become the
exceptions that each client has for them. Prints a line for each difference,
then the number of cases x places; exit status 1 if there was one.
"""
import asyncio, contextlib, hashlib, json, logging, os, re, signal, sqlite3, subprocess, sys
import tempfile, threading, time, traceback, urllib.request
from typing import Literal

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False")
import anthropic, litellm, openai
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI, OpenAI as LangOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

litellm.suppress_debug_info = True
logging.disable(logging.WARNING)  # litellm's, of its own event loops
KEY = "a-key-that-nobody-checks"
TOKEN = "token-of-one-client"


class City(BaseModel):
    name: Literal["Rome", "Oslo"]
    capital: bool


SCHEMA = {"type": "object", "properties": {"name": {"enum": ["Rome", "Oslo"]}, "capital": {"type": "boolean"}},
          "required": ["name", "capital"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": n, "description": "of a city", "parameters": SCHEMA}}
         for n in ("weather", "population")]
RTOOLS = [{"type": "function", "strict": False, **t["function"]} for t in TOOLS]
ATOOLS = [{"name": t["function"]["name"], "description": "of a city", "input_schema": SCHEMA} for t in TOOLS]
ASK = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "What is the capital of Italy? 🇮🇹"}]
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": SCHEMA}}
CASES = []  # name, function(place)


def case(name):
    def add(f):
        CASES.append((name, f))
        return f
    return add


def that(what, *more):
    if not what:
        raise AssertionError(" ".join(map(repr, more)))


class Place:
    def __init__(self, name, url, model, key=KEY):
        self.name, self.url, self.model, self.key = name, url, model, key

    def openai(self, cls=openai.OpenAI, **more):
        return cls(base_url=self.url + "/v1", api_key=self.key, **{"max_retries": 0, "timeout": 60, **more})

    def anthropic(self, cls=anthropic.Anthropic, **more):
        return cls(base_url=self.url, api_key=self.key, **{"max_retries": 0, "timeout": 60, **more})

    def chat(self, **q):
        return self.openai().chat.completions.create(**{"model": self.model, "messages": ASK, "max_tokens": 24, **q})

    def response(self, **q):
        return self.openai().responses.create(**{"model": self.model, "input": ASK, "max_output_tokens": 24, **q})

    def message(self, **q):
        return self.anthropic().messages.create(**{"model": self.model, "max_tokens": 24, "system": "You are terse.",
                                                   "messages": ASK[1:], **q})

    def lang(self, **more):
        return ChatOpenAI(model=self.model, base_url=self.url + "/v1", api_key=self.key, max_retries=0,
                          **{"temperature": 0, "max_tokens": 48, **more})

    def lang_anthropic(self, **more):
        return ChatAnthropic(model=self.model, base_url=self.url, api_key=self.key, max_retries=0,
                             **{"temperature": 0, "max_tokens": 48, **more})

    def lite(self, kind="openai", **q):
        base = self.url + "/v1" if kind != "anthropic" else self.url
        return litellm.completion(**{"model": f"{kind}/{self.model}", "api_base": base, "api_key": self.key,
                                     "messages": ASK, "max_tokens": 24, "num_retries": 0, "timeout": 60, **q})


# ---- what was said
def whole(r):
    """Of a chat completion: text, calls without their ids, why it ended."""
    c = r.choices[0]
    for call in c.message.tool_calls or []:
        that(call.type == "function" and call.id, "call", call)
    that(r.object == "chat.completion" and r.usage.total_tokens == r.usage.prompt_tokens + r.usage.completion_tokens, r)
    that(c.message.role == "assistant" and c.index == 0, c)
    return [c.message.content or "", [[t.function.name, t.function.arguments] for t in c.message.tool_calls or []], c.finish_reason]


def joined(chunks, usage=False):
    """The same, of a stream."""
    text, calls, finish, ids = "", {}, None, set()
    for i, c in enumerate(chunks):
        ids.add(c.id)
        if not c.choices:
            that(usage and c.usage and i == len(chunks) - 1, "usage comes last, if it was asked for", c)
            continue
        that(finish is None, "nothing comes after the reason", c)
        d = c.choices[0].delta
        that(i or d.role == "assistant", "the role comes first", c)
        text += d.content or ""
        for t in d.tool_calls or []:
            if t.id:
                that(t.index not in calls and t.type == "function", t)
                calls[t.index] = [t.function.name, ""]
            calls[t.index][1] += t.function.arguments or ""
        finish = c.choices[0].finish_reason
    that(len(ids) == 1 and not usage or chunks[-1].usage, "one id, and usage if asked for")
    return [text, [calls[i] for i in sorted(calls)], finish]


def fits(arguments):
    City.model_validate_json(arguments) if isinstance(arguments, str) else City.model_validate(arguments)


def same_stream(p, **q):
    a = whole(p.chat(**q))
    b = joined(list(p.chat(stream=True, **q)))
    that(a == b, "stream differs", a, b)
    c = joined(list(p.chat(stream=True, stream_options={"include_usage": True}, **q)), usage=True)
    that(a == c, "stream with usage differs", a, c)
    return a


def fails(cls, status, f):
    try:
        got = f()
    except cls as e:
        got = getattr(e, "status_code", None)
        that(got == status and len(str(e)) > 10, "status", got, e)
        return [type(e).__name__, status]
    except Exception as e:
        raise AssertionError(f"{type(e).__name__} instead of {cls.__name__}: {e}")
    raise AssertionError(f"no {cls.__name__} but {got!r}")


# ---- openai
@case("openai: models, one and all")
def f(p):
    c = p.openai()
    names = [m.id for m in c.models.list()]
    that(names and all(n for n in names), names)
    one = c.models.retrieve(names[0])
    that(one.id == names[0] and one.object == "model" and one.owned_by == "slmctl", one)


case("openai: chat, plain and streamed")(lambda p: same_stream(p))
case("openai: chat, max_completion_tokens")(lambda p: same_stream(p, max_tokens=openai.NOT_GIVEN, max_completion_tokens=3))
case("openai: chat, tools left to the model")(lambda p: same_stream(p, tools=TOOLS))
case("openai: chat, tools forbidden")(lambda p: same_stream(p, tools=TOOLS, tool_choice="none"))


@case("openai: chat, role developer is role system")
def f(p):
    a, b = (whole(p.chat(messages=[{"role": r, "content": "You are terse."}, ASK[1]])) for r in ("developer", "system"))
    that(a == b, a, b)
    return a


@case("openai: chat, a content in parts is its text")
def f(p):
    parts = [{"type": "text", "text": ASK[1]["content"]}]
    a, b = (whole(p.chat(messages=[{"role": "user", "content": c}])) for c in (parts, ASK[1]["content"]))
    that(a == b, a, b)
    return a


for choice, named in (("required", None), ({"type": "function", "function": {"name": "population"}}, "population")):
    @case(f"openai: chat, a tool that must be called ({named or 'any'})")
    def f(p, choice=choice, named=named):
        a = same_stream(p, tools=TOOLS, tool_choice=choice, max_tokens=200)
        that(a[1] and a[2] in (("tool_calls", "stop") if named else ("tool_calls",)), a)
        that(a[0] == "" and (not named or {c[0] for c in a[1]} == {named}), a)
        for name, arguments in a[1]:
            that(name in ("weather", "population"), name)
            fits(arguments)
        return a


@case("openai: chat, a call and its result go on")
def f(p):
    r = p.chat(tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=200)
    that(len(r.choices[0].message.tool_calls) == 1, "one call", r)
    m = r.choices[0].message
    more = ASK + [m.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": m.tool_calls[0].id, "content": "2873000"}]
    return [whole(r), whole(p.chat(messages=more, tools=TOOLS))]


@case("openai: chat, the helper of streams with tools and a type")
def f(p):
    tool = openai.pydantic_function_tool(City, name="weather")
    with p.openai().chat.completions.stream(model=p.model, messages=ASK, max_tokens=200, tools=[tool], tool_choice="required") as s:
        kinds = [e.type for e in s]
        calls = s.get_final_completion().choices[0].message.tool_calls
    that("tool_calls.function.arguments.done" in kinds, kinds)
    that(isinstance(calls[0].function.parsed_arguments, City), calls)
    with p.openai().chat.completions.stream(model=p.model, messages=ASK, max_tokens=200, response_format=City) as s:
        kinds = [e.type for e in s]
        that("content.done" in kinds and isinstance(s.get_final_completion().choices[0].message.parsed, City), kinds)
    return [c.function.arguments for c in calls]


@case("openai: chat, an answer with a schema")
def f(p):
    a = same_stream(p, response_format=FORMAT, max_tokens=200)
    fits(a[0])
    c = p.openai().chat.completions.parse(model=p.model, messages=ASK, response_format=City, max_tokens=200)
    that(isinstance(c.choices[0].message.parsed, City), c)
    b = whole(p.chat(response_format={"type": "json_object"}, max_tokens=200))
    that(b[2] == "length" or isinstance(json.loads(b[0]), dict), b)
    return [a, c.choices[0].message.content]


@case("openai: chat, chances of tokens")
def f(p):
    q = dict(logprobs=True, top_logprobs=3, max_tokens=8)
    r = p.chat(**q).choices[0]
    tokens = r.logprobs.content
    that(1 <= len(tokens) <= 8 and "".join(t.token for t in tokens).startswith(r.message.content[:1]), tokens)
    that(all(t.logprob <= 0 and len(t.top_logprobs) == 3 and t.top_logprobs[0].logprob >= t.logprob - 1e-6 for t in tokens), tokens)
    told = [t for c in p.chat(stream=True, **q) if c.choices and c.choices[0].logprobs for t in c.choices[0].logprobs.content or []]
    that([t.logprob for t in told] == [t.logprob for t in tokens], "stream", told, tokens)
    text = b"".join(bytes(t.bytes or []) for t in tokens)
    that(text.decode(errors="replace").startswith(r.message.content), text, r.message.content)
    return [round(t.logprob, 4) for t in tokens]


@case("openai: chat, seeds")
def f(p):
    q = dict(temperature=1.0, max_tokens=16)
    a, b = (whole(p.chat(seed=7, **q)) for _ in "ab")
    that(a == b, "one seed, two answers", a, b)
    others = [whole(p.chat(seed=s, **q)) for s in range(3)]
    that(any(o != a for o in others), "seeds change nothing", a)
    return a


@case("openai: chat, texts to stop at")
def f(p):
    text = whole(p.chat(max_tokens=24))[0]
    stop = text[3:6]
    a = same_stream(p, stop=[stop, "\0never"], max_tokens=24)
    that(a[0] == text[:text.index(stop)] and a[2] == "stop", a, text)
    return a


@case("openai: chat, usage tells what was cached")
def f(p):
    text = "A prompt of its own, long enough to be worth keeping: " + p.name * 9
    a, b = (p.chat(messages=[{"role": "user", "content": text}], max_tokens=2).usage for _ in "ab")
    that(b.prompt_tokens_details.cached_tokens > 0 and a.prompt_tokens == b.prompt_tokens, a, b)
    r = p.response(input=text, max_output_tokens=2).usage
    that(r.input_tokens_details.cached_tokens > 0 and r.input_tokens == a.prompt_tokens, r, a)


@case("openai: completions")
def f(p):
    c = p.openai()
    q = dict(model=p.model, prompt="The capital of Italy", max_tokens=12)
    r = c.completions.create(logprobs=2, **q)
    chunks = list(c.completions.create(stream=True, stream_options={"include_usage": True}, **q))
    text = "".join(k.choices[0].text for k in chunks if k.choices)
    that(r.object == "text_completion" and text == r.choices[0].text and chunks[-1].usage.completion_tokens > 0, r, chunks)
    that(len(r.choices[0].logprobs.tokens) == len(r.choices[0].logprobs.token_logprobs), r)
    return [text, r.choices[0].finish_reason]


@case("openai: responses, whole, streamed, helper")
def f(p):
    r = p.response()
    that(r.object == "response" and r.status in ("completed", "incomplete"), r)
    events = list(p.response(stream=True))
    that([e.sequence_number for e in events] == list(range(len(events))), "numbers")
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    that(text == r.output_text == events[-1].response.output_text, text, r.output_text)
    that(events[0].type == "response.created" and events[-1].type in ("response.completed", "response.incomplete"), events)
    with p.openai().responses.stream(model=p.model, input="Hello", text_format=City, max_output_tokens=200) as s:
        list(s)
        that(isinstance(s.get_final_response().output_parsed, City), "no response")
    return [text, r.status]


@case("openai: responses, tools and their results")
def f(p):
    q = dict(tools=RTOOLS, tool_choice="required", max_output_tokens=200, parallel_tool_calls=False)
    r = p.response(**q)
    calls = [o for o in r.output if o.type == "function_call"]
    that(len(calls) == 1 and r.tool_choice == "required" and len(r.tools) == 2 and r.parallel_tool_calls is False, r)
    fits(calls[0].arguments)
    events = list(p.response(stream=True, **q))
    told = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    that(told == calls[0].arguments, told, calls)
    named = p.response(tools=RTOOLS, tool_choice={"type": "function", "name": "population"}, max_output_tokens=200)
    that({o.name for o in named.output} == {"population"} and named.tool_choice.name == "population", named)
    more = ASK + [calls[0].model_dump(exclude_none=True), {"type": "function_call_output", "call_id": calls[0].call_id, "output": "9"}]
    return [calls[0].name, calls[0].arguments, p.response(input=more, tools=RTOOLS).output_text]


@case("openai: responses, a request on many lines")
def f(p):
    q = json.dumps({"model": p.model, "input": ASK, "tools": RTOOLS, "max_output_tokens": 24, "stream": True}, indent=2)
    r = urllib.request.urlopen(urllib.request.Request(p.url + "/v1/responses", q.encode(), {"Content-Type": "application/json"}))
    events = [json.loads(line[6:]) for line in r.read().decode().split("\n") if line.startswith("data: ")]
    that(events[-1]["response"]["tools"] == RTOOLS, events[-1])
    return events[-1]["response"]["output"][0]["content"][0]["text"]


@case("openai: responses, an answer with a type")
def f(p):
    r = p.openai().responses.parse(model=p.model, input=ASK, text_format=City, max_output_tokens=200)
    that(isinstance(r.output_parsed, City), r)
    return r.output_text


@case("openai: responses, instructions are the system's words")
def f(p):
    a = p.response(instructions="You are terse.", input=[{"role": "user", "content": [{"type": "input_text", "text": ASK[1]["content"]}]}])
    that(a.output_text == p.response().output_text, a)
    that(a.instructions == "You are terse.", a.instructions)
    return a.output_text


@case("openai: async, eight at a time")
def f(p):
    want = whole(p.chat())

    async def go():
        async with p.openai(openai.AsyncOpenAI) as c:
            return await asyncio.gather(*[c.chat.completions.create(model=p.model, messages=ASK, max_tokens=24) for _ in range(8)])
    got = [whole(r) for r in asyncio.run(go())]
    that(all(g == want for g in got), want, got)

    async def stream():
        async with p.openai(openai.AsyncOpenAI) as c:
            s = await c.chat.completions.create(model=p.model, messages=ASK, max_tokens=24, stream=True)
            return [k async for k in s]
    that(joined(asyncio.run(stream())) == want, "stream")


bad = openai.BadRequestError
for what, q in (("two answers", dict(n=2)), ("logit_bias", dict(logit_bias={"5": 1})), ("a temperature of 9", dict(temperature=9)),
                ("no messages", dict(messages=[])), ("a role that is none", dict(messages=[{"role": "king", "content": "x"}])),
                ("an image", dict(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}])),
                ("17 stops", dict(stop=[str(i) for i in range(17)])), ("too many top_logprobs", dict(logprobs=True, top_logprobs=21)),
                ("a schema that is missing", dict(response_format={"type": "json_schema", "json_schema": {"name": "x"}})),
                ("a schema that is none", dict(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "so"}}})),
                ("a choice that is none", dict(tools=TOOLS, tool_choice="maybe")),
                ("a tool that is not offered", dict(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "war"}})),
                ("a choice without tools", dict(tool_choice="required")),
                ("a prompt beyond the context", dict(messages=[{"role": "user", "content": "word " * 5000}]))):
    case(f"openai: {what} is a BadRequestError")(lambda p, q=q: fails(bad, 400, lambda: p.chat(**q)))
case("openai: a model that is none is a NotFoundError")(
    lambda p: [fails(openai.NotFoundError, 404, lambda: p.chat(model="none")),
               fails(openai.NotFoundError, 404, lambda: p.chat(model="none", stream=True)),
               fails(openai.NotFoundError, 404, lambda: p.openai().models.retrieve("none"))])


@case("embeddings: openai, litellm, LangChain; floats and base64")
def f(p):
    c, texts = p.openai(), ["a b c", "c d", "a b c"]
    r = c.embeddings.create(model="texts", input=texts, encoding_format="float")
    got = [d.embedding for d in r.data]
    that([d.index for d in r.data] == [0, 1, 2] and got[0] == got[2] != got[1] and r.usage.prompt_tokens > 0, r)
    packed = [d.embedding for d in c.embeddings.create(model="texts", input=texts).data]  # base64, unpacked by the client

    def near(a, b):
        return len(a) == len(b) and all(abs(x - y) < 1e-5 for x, y in zip(a, b))
    that(all(near(a, b) for a, b in zip(packed, got)), "base64", packed, got)
    lite = litellm.embedding(model="openai/texts", input=texts, api_base=p.url + "/v1", api_key=KEY)
    that(all(near(d["embedding"], g) for d, g in zip(lite.data, got)), "litellm", lite)
    lang = OpenAIEmbeddings(model="texts", base_url=p.url + "/v1", api_key=KEY, check_embedding_ctx_length=False)
    that(near(lang.embed_query("c d"), got[1]) and len(lang.embed_documents(texts)) == 3, "LangChain")
    fails(openai.BadRequestError, 400, lambda: c.embeddings.create(model="texts", input=[]))
    return [[round(x, 4) for x in g] for g in got]


# ---- anthropic
def blocks(m):
    return [[b.type, b.text] if b.type == "text" else [b.type, b.name, b.input] for b in m.content] + [m.stop_reason]


@case("anthropic: messages, whole, streamed, helper")
def f(p):
    r = p.message()
    with p.anthropic().messages.stream(model=p.model, max_tokens=24, system="You are terse.", messages=ASK[1:]) as s:
        text = "".join(s.text_stream)
        final = s.get_final_message()
    kinds = [e.type for e in p.message(stream=True)]
    that(kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds)
    that(blocks(final) == blocks(r) and text == r.content[0].text, r, final)
    that(final.usage.output_tokens == r.usage.output_tokens > 0, r.usage, final.usage)
    return blocks(r)


for choice in ({"type": "any"}, {"type": "tool", "name": "population"}, {"type": "auto"}, {"type": "none"}):
    @case(f"anthropic: tools, {choice['type']}")
    def f(p, choice=choice):
        q = dict(tools=ATOOLS, tool_choice=choice, max_tokens=200 if choice["type"] in ("any", "tool") else 24)
        r = p.message(**q)
        with p.anthropic().messages.stream(model=p.model, system="You are terse.", messages=ASK[1:], **q) as s:
            that(blocks(s.get_final_message()) == blocks(r), "stream", r)
        uses = [b for b in r.content if b.type == "tool_use"]
        that(bool(uses) if choice["type"] in ("any", "tool") else choice["type"] == "auto" or not uses, r)
        for b in uses:
            fits(b.input)
        if choice["type"] == "tool":
            that({b.name for b in uses} == {"population"} and uses == r.content and r.stop_reason == "tool_use", r)
            p.message(tools=ATOOLS, messages=ASK[1:] + [{"role": "assistant", "content": [b.model_dump() for b in r.content]}, {
                "role": "user", "content": [{"type": "tool_result", "tool_use_id": b.id, "content": "9"} for b in uses]}])
        return blocks(r)


@case("anthropic: texts to stop at")
def f(p):
    text = p.message().content[0].text
    stop = text[3:6]
    r = p.message(stop_sequences=["\x01never", stop])
    that(r.content[0].text == text[:text.index(stop)], r, text)
    that(r.stop_reason == "stop_sequence" and r.stop_sequence == stop, r)
    with p.anthropic().messages.stream(model=p.model, max_tokens=24, system="You are terse.", messages=ASK[1:], stop_sequences=[stop]) as s:
        m = s.get_final_message()
    that(m.stop_reason == "stop_sequence" and m.stop_sequence == stop, m)
    return blocks(r)


@case("anthropic: system in blocks, content in blocks")
def f(p):
    r = p.message(system=[{"type": "text", "text": "You are terse."}],
                  messages=[{"role": "user", "content": [{"type": "text", "text": ASK[1]["content"]}]}])
    that(blocks(r) == blocks(p.message()), r)
    return blocks(r)


@case("anthropic: async, and usage tells what was cached")
def f(p):
    async def go():
        async with p.anthropic(anthropic.AsyncAnthropic) as c:
            return [await c.messages.create(model=p.model, max_tokens=24, system="You are terse.", messages=ASK[1:]) for _ in "ab"]
    a, b = asyncio.run(go())
    that(blocks(a) == blocks(b) == blocks(p.message()) and b.usage.cache_read_input_tokens > 0, a, b)
    return blocks(a)


case("anthropic: refusals have their classes")(lambda p: [
    fails(anthropic.NotFoundError, 404, lambda: p.message(model="none")),
    fails(anthropic.BadRequestError, 400, lambda: p.message(extra_body={"temperature": 9})),
    fails(anthropic.BadRequestError, 400, lambda: p.message(messages=[])),
    fails(anthropic.BadRequestError, 400, lambda: p.message(tools=ATOOLS, tool_choice={"type": "tool", "name": "war"}))])


# ---- litellm
@case("litellm: openai, plain, streamed, tools, schema")
def f(p):
    a = whole(p.lite())
    text = "".join(c.choices[0].delta.content or "" for c in p.lite(stream=True))
    that(a == whole(p.chat()) and text == a[0], a, text)
    tools = p.lite(tools=TOOLS, tool_choice="required", max_tokens=200).choices[0]
    fits(tools.message.tool_calls[0].function.arguments)
    built = litellm.stream_chunk_builder(list(p.lite(tools=TOOLS, tool_choice="required", max_tokens=200, stream=True)))
    that([t.function.arguments for t in built.choices[0].message.tool_calls] ==
         [t.function.arguments for t in tools.message.tool_calls], built, tools)
    fits(p.lite(response_format=City, max_tokens=200).choices[0].message.content)
    return a


@case("litellm: anthropic, plain, streamed, tools")
def f(p):
    a = p.lite("anthropic").choices[0].message.content
    that(a == p.message().content[0].text, a)
    that("".join(c.choices[0].delta.content or "" for c in p.lite("anthropic", stream=True)) == a, "stream", a)
    r = p.lite("anthropic", tools=TOOLS, tool_choice="required", max_tokens=200)
    fits(r.choices[0].message.tool_calls[0].function.arguments)
    return a


@case("litellm: async")
def f(p):
    r = asyncio.run(litellm.acompletion(model=f"openai/{p.model}", api_base=p.url + "/v1", api_key=KEY, messages=ASK, max_tokens=24))
    return whole(r)


case("litellm: refusals have their classes")(lambda p: [
    fails(litellm.NotFoundError, 404, lambda: p.lite(model="openai/none")),
    fails(litellm.BadRequestError, 400, lambda: p.lite(n=2)),
    fails(litellm.NotFoundError, 404, lambda: p.lite(model="anthropic/none", api_base=p.url))])


# ---- LangChain
@case("langchain: openai, invoke, stream, batch")
def f(p):
    m = p.lang()
    a = m.invoke("Hello").content
    that("".join(c.content for c in m.stream("Hello")) == a, "stream", a)
    that([r.content for r in m.batch(["Hello", "Hello"])] == [a, a], "batch")
    that(m.invoke("Hello").usage_metadata["input_tokens"] > 0, "usage")
    return a


@case("langchain: openai, bind_tools, with_structured_output")
def f(p):
    m = p.lang(max_tokens=200)
    call = m.bind_tools(TOOLS, tool_choice="required").invoke("Hello").tool_calls[0]
    fits(call["args"])
    streamed = None
    for c in m.bind_tools(TOOLS, tool_choice="required").stream("Hello"):
        streamed = c if streamed is None else streamed + c
    that(streamed.tool_calls[0]["args"] == call["args"], streamed)
    for method in ("json_schema", "function_calling"):
        that(isinstance(m.with_structured_output(City, method=method).invoke("Hello"), City), method)
    return call["args"]


@case("langchain: openai through responses")
def f(p):
    m = p.lang(use_responses_api=True, max_tokens=200)
    call = m.bind_tools(TOOLS, tool_choice="required").invoke("Hello").tool_calls[0]
    fits(call["args"])
    text = "".join(c.text for c in p.lang(use_responses_api=True).stream("Hello"))
    return [call["args"], text]


@case("langchain: completions")
def f(p):
    return LangOpenAI(model=p.model, base_url=p.url + "/v1", api_key=KEY, max_tokens=8, temperature=0, max_retries=0).invoke("Hello")


@case("langchain: anthropic, invoke, stream, tools, structured")
def f(p):
    m = p.lang_anthropic(max_tokens=200)
    a = p.lang_anthropic().invoke("Hello").content
    text = ""
    for c in p.lang_anthropic().stream("Hello"):
        text += c.content if isinstance(c.content, str) else "".join(b.get("text", "") for b in c.content)
    that(text == a, text, a)
    call = m.bind_tools(TOOLS, tool_choice="any").invoke("Hello").tool_calls[0]
    fits(call["args"])
    that(isinstance(m.with_structured_output(City).invoke("Hello"), City), "structured")
    return [a, call["args"]]


# ---- servers
class Server:
    def __init__(self, tool, directory, name, *options):
        self.log = os.path.join(directory, name + ".said")
        store = os.path.join(directory, name)
        with open(self.log, "w") as said:
            self.process = subprocess.Popen([tool, "serve", "--store", store, "--listen", "127.0.0.1:0", *options],
                                            stderr=said, env={**os.environ, "SLMCTL_STORE": store})
        self.url = None
        for _ in range(600):
            m = re.search(r"^listening on (127\.0\.0\.1:\d+)$", open(self.log).read(), re.M)
            if m or self.process.poll() is not None:
                break
            time.sleep(0.1)
        if not m:
            raise SystemExit(f"{name} does not listen: {open(self.log).read()}")
        self.url = "http://" + m.group(1)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def with_tokens(server):
    """Who has no token is told so in each client's words."""
    p, none = Place("tokens", server.url, "tiny", TOKEN), Place("tokens", server.url, "tiny", "wrong")
    p.chat(max_tokens=2), p.message(max_tokens=2), p.response(max_output_tokens=2)
    fails(openai.AuthenticationError, 401, none.chat)
    fails(openai.AuthenticationError, 401, lambda: none.openai().models.list())
    fails(anthropic.AuthenticationError, 401, none.message)
    fails(litellm.AuthenticationError, 401, none.lite)
    fails(litellm.AuthenticationError, 401, lambda: none.lite("anthropic"))
    lists = Place("tokens", server.url, "tiny", "lists")
    that([m.id for m in lists.openai().models.list()] == [m.id for m in p.openai().models.list()], "lists")
    fails(openai.PermissionDeniedError, 403, lists.chat)
    fails(anthropic.PermissionDeniedError, 403, lists.message)
    return 11


def when_full(server):
    """A full queue is a RateLimitError, and clients that try again get through."""
    p = Place("full", server.url, "tiny")
    busy = [threading.Thread(target=lambda: p.openai(max_retries=60).chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": f"{i}"}], max_tokens=900, response_format={
            "type": "json_schema", "json_schema": {"name": "long", "schema": {
                "type": "array", "items": {"enum": ["again"]}, "minItems": 99, "maxItems": 99}}})) for i in range(6)]
    [t.start() for t in busy]
    seen = {}
    for cls, f in ((openai.RateLimitError, p.chat), (anthropic.RateLimitError, p.message), (litellm.RateLimitError, p.lite)):
        for _ in range(400):
            if not any(t.is_alive() for t in busy):
                break
            try:
                f(max_tokens=1)
            except cls as e:
                seen[cls.__module__] = e
                break
    [t.join() for t in busy]
    that(len(seen) == 3, "not all were refused", seen)
    for e in seen.values():
        that(getattr(e, "status_code", 0) == 429, e)
        after = e.response.headers.get("retry-after")
        that(after is None or int(after) >= 1, after)
    return 3


def champion_store(tool, model, directory):
    """A log of one task, whose champion is the model."""
    store = os.path.join(directory, "routed")
    os.environ["SLMCTL_KEY_FILE"] = os.path.join(directory, "key")
    with open(os.environ["SLMCTL_KEY_FILE"], "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(f"{7:064d}\n")
    with open(os.path.join(directory, "log.jsonl"), "w") as f:
        for i in range(60):
            f.write(json.dumps({"conversation_id": f"c{i}", "request": {"model": "gpt", "messages": number(i)}, "response": {
                "id": f"r{i}", "choices": [{"message": {"role": "assistant", "content": PARITY[i % 2]}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 1}}}) + "\n")
    for command in (["collect", "--import", f.name], ["curate"], ["cluster"], ["model", "add", model, "--as", "shipped"]):
        subprocess.run([tool, *command, "--store", store, "-q"], check=True, stdout=subprocess.DEVNULL)
    with contextlib.closing(sqlite3.connect(os.path.join(store, "store.db"))) as db:
        db.execute("INSERT INTO champion(task, model, since, event) SELECT t.id, m.id, 1, 0 FROM task t, model m")
        db.commit()


PARITY = ("even", "odd")


def number(i):
    return [{"role": "system", "content": "Say odd or even."}, {"role": "user", "content": f"number {i}"}]


def when_routed(server):
    """A champion answers in the client's words; what is cut short goes up."""
    p, n = Place("routed", server.url, "gpt"), 0

    def route(r):
        return r.headers.get("x-slm-route", "").split(";")[0]
    raw = p.openai().chat.completions.with_raw_response
    for i in range(6):
        r = raw.create(model="gpt", messages=number(i), max_tokens=9)
        a = whole(r.parse())
        that(route(r) == "slm" and r.parse().model == "shipped" and a[0] in PARITY, "chat", r.headers, a)
        that(joined(list(p.chat(model="gpt", messages=number(i), max_tokens=9, stream=True))) == a, "stream", a)
        m = p.message(system=number(i)[0]["content"], messages=number(i)[1:])
        that(m.content[0].text == a[0], "messages", m)
        with p.anthropic().messages.stream(model="gpt", max_tokens=9, system=number(i)[0]["content"], messages=number(i)[1:]) as s:
            that(s.get_final_message().content[0].text == a[0], "messages, streamed")
        that(p.response(input=number(i)).output_text == a[0], "responses")
        that(p.lite(messages=number(i)).choices[0].message.content == a[0], "litellm")
        that("".join(c.content for c in p.lang().stream([(m["role"], m["content"]) for m in number(i)])) == a[0], "langchain")
        n += 7
    for messages, more in ((ASK, {"max_tokens": 3}), (number(3), {"max_tokens": 9, "tools": TOOLS, "tool_choice": "required"})):
        r = raw.create(model="gpt", messages=messages, **more)
        that(route(r) in ("llm", "escalated") or r.parse().model == "gpt", "what is no task's goes up", r.headers)
        n += 1
    fails(openai.BadRequestError, 400, lambda: p.chat(messages=ASK, n=2))  # the upstream says so
    return n + 1


def main():
    tool, model = (os.path.abspath(a) for a in sys.argv[1:3])
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    wrong = done = 0
    with tempfile.TemporaryDirectory() as d, contextlib.ExitStack() as stack:
        def serve(*a):
            s = Server(tool, d, *a)
            stack.callback(s.process.kill)
            return s
        with open(os.path.join(d, "hashes"), "w") as t:
            for token, who in ((TOKEN, "someone proxy"), ("lists", "another models")):
                t.write(f"{hashlib.sha256(token.encode()).hexdigest()} {who}\n")
        subr = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli/lib/encoder.subr")
        subprocess.run(["sh", "-c", f'. "{subr}"; make_encoder texts 1'], cwd=d, check=True)
        texts = ("--embedder", "texts=" + os.path.join(d, "texts"))
        alone = serve("alone", "--model", "tiny=" + model, *texts)
        front = serve("front", "--model", "near=" + model, "--upstream", alone.url, *texts)
        places = [Place("alone", alone.url, "tiny"), Place("front", front.url, "near"), Place("through", front.url, "tiny")]
        for name, f in CASES:
            if only and only not in name:
                continue
            first = None
            for p in places:
                done += 1
                try:
                    got = f(p)
                    first = got if first is None else first
                    that(got == first, "differs from", places[0].name, got, first)
                except Exception as e:
                    wrong += 1
                    line = traceback.extract_tb(e.__traceback__)
                    at = next((s.lineno for s in reversed(line) if s.filename == __file__ and s.name != "that"), 0)
                    print(f"{p.name}: {name}: line {at}: {type(e).__name__}: {str(e)[:600]}")
        if not only or only in "when_routed":
            champion_store(tool, model, d)
            up = serve("up", "--model", "gpt=" + model)
        for f, s in ((when_routed, ("routed", "--upstream", up.url, "--mode", "on", "--audit", "0") if not only or only in "when_routed" else ()),
                     (with_tokens, ("tokens", "--client-tokens", os.path.join(d, "hashes"), "--model", "tiny=" + model)),
                     (when_full, ("full", "--slots", "1", "--queue-requests", "1", "--model", "tiny=" + model))):
            if only and only not in f.__name__:
                continue
            server = serve(*s)
            try:
                done += f(server)
            except Exception as e:
                wrong += 1
                print(f"{f.__name__}: {type(e).__name__}: {str(e)[:600]}")
            that(server.stop() == 0, "it did not stop in order")
        for s in (front, alone):
            that(s.stop() == 0, "it did not stop in order")
    print(f"{done} cases x places, {wrong} differ")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
