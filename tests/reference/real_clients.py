#!/usr/bin/env python3
"""The Python clients of OpenAI, Anthropic and LiteLLM through the proxy.

usage: real_clients.py SLMCTL
needs: pip install openai anthropic litellm mcp (outside the checkout)

An upstream on loopback answers as the three APIs do (streams and not, gzip,
tool calls, errors, silence). Each case runs straight to it and through
`slmctl collect --listen`: the client must get the same objects or exceptions.
Then `slmctl store export` must tell of every request, in order, what the case
expects: status, phase, text, tool calls, usage, model, time to first token.
Prints a line for each difference; exit status 1 if there was one.
"""
import asyncio, contextlib, gzip, json, os, signal, socket, sqlite3
import subprocess, sys, tempfile, threading, time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False")
import anthropic, litellm, openai

litellm.suppress_debug_info = True
TEXT = "The capital of Canada is Ottawa — “ça va”, 首都 🇨🇦; that is 7 times 6."
WORDS = [w + " " for w in TEXT.split(" ")]
TEXT = "".join(WORDS)
ARGS = {"city": "Zürich", "days": 3, "deep": {"a": [1, None, True]}}
ARGS_TEXT = json.dumps(ARGS)
PIECES = [ARGS_TEXT[i:i + 7] for i in range(0, len(ARGS_TEXT), 7)]
USAGE = (66, 17, 5)  # in, out, cached


# ---- what the APIs answer
def openai_usage():
    return {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1], "total_tokens": USAGE[0] + USAGE[1],
            "prompt_tokens_details": {"cached_tokens": USAGE[2], "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def chat(q):
    base = {"id": "chatcmpl-x1", "created": 1769122114, "model": q["model"] + "-2024-07-18",
            "service_tier": "default", "system_fingerprint": "fp_f97eff32c5"}
    call = lambda i, a: {"index": i, "id": f"call_{i}", "type": "function",
                         "function": {"name": f"weather{i}", "arguments": a}}
    if not q.get("stream"):
        m = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
        if q.get("tools"):
            m.update(content=None, tool_calls=[{k: v for k, v in call(i, ARGS_TEXT).items() if k != "index"} for i in (0, 1)])
        return {**base, "object": "chat.completion", "usage": openai_usage(), "choices": [
            {"index": 0, "message": m, "logprobs": None, "finish_reason": "tool_calls" if q.get("tools") else "stop"}]}

    def chunk(delta, finish=None, **more):
        return {"data": {**base, "object": "chat.completion.chunk", "usage": None, "obfuscation": "Uz2DY2OFR",
                         "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}], **more}}
    out = [chunk({"role": "assistant", "content": None if q.get("tools") else "", "refusal": None})]
    if q.get("tools"):
        for i in (0, 1):
            out.append(chunk({"tool_calls": [call(i, "")]}))
            out += [chunk({"tool_calls": [{"index": i, "function": {"arguments": p}}]}) for p in PIECES]
    else:
        out += [chunk({"content": w}) for w in WORDS]
    out.append(chunk({}, "tool_calls" if q.get("tools") else "stop"))
    if (q.get("stream_options") or {}).get("include_usage"):
        out.append(chunk({}, choices=[], usage=openai_usage()))
    return out + [{"data": "[DONE]"}]


def responses(q):
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": TEXT}]}
    if q.get("tools"):
        item = {"id": "fc_1", "type": "function_call", "status": "completed", "arguments": ARGS_TEXT,
                "call_id": "call_0", "name": "weather0"}
    whole = {"id": "resp_1", "object": "response", "created_at": 1770924579, "status": "completed", "error": None,
             "incomplete_details": None, "instructions": None, "metadata": {}, "model": q["model"] + "-2024-07-18",
             "output": [item], "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto",
             "tools": [], "top_p": 1.0, "usage": {
                 "input_tokens": USAGE[0], "input_tokens_details": {"cached_tokens": USAGE[2]},
                 "output_tokens": USAGE[1], "output_tokens_details": {"reasoning_tokens": 0},
                 "total_tokens": USAGE[0] + USAGE[1]}}
    if not q.get("stream"):
        return whole
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    out = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    if q.get("tools"):
        out += [{"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": "", "status": "in_progress"}}]
        out += [{"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": p} for p in PIECES]
        out += [{"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 0, "name": "weather0", "arguments": ARGS_TEXT}]
    else:
        part = lambda t: {"type": "output_text", "annotations": [], "logprobs": [], "text": t}
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        out += [{"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": [], "status": "in_progress"}},
                {"type": "response.content_part.added", **at, "part": part("")}]
        out += [{"type": "response.output_text.delta", **at, "logprobs": [], "delta": w} for w in WORDS]
        out += [{"type": "response.output_text.done", **at, "logprobs": [], "text": TEXT},
                {"type": "response.content_part.done", **at, "part": part(TEXT)}]
    out += [{"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole}]
    return [{"event": e["type"], "data": {**e, "sequence_number": i}} for i, e in enumerate(out)]


def messages(q):
    usage = {"input_tokens": USAGE[0] - USAGE[2], "cache_creation_input_tokens": 0, "cache_read_input_tokens": USAGE[2],
             "output_tokens": USAGE[1], "service_tier": "standard"}
    blocks = [{"type": "text", "text": TEXT}]
    if q.get("tools"):
        blocks += [{"type": "tool_use", "id": f"toolu_{i}", "name": f"weather{i}", "input": ARGS} for i in (0, 1)]
    reason = "tool_use" if q.get("tools") else "end_turn"
    m = {"model": q["model"] + "-20241022", "id": "msg_01", "type": "message", "role": "assistant", "content": blocks,
         "stop_reason": reason, "stop_sequence": None, "usage": usage}
    if not q.get("stream"):
        return m
    out = [{"type": "message_start", "message": {**m, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}}]
    for i, b in enumerate(blocks):
        is_text = b["type"] == "text"
        out.append({"type": "content_block_start", "index": i, "content_block": {**b, **({"text": ""} if is_text else {"input": {}})}})
        out += [{"type": "ping"}] if not i else []
        out += [{"type": "content_block_delta", "index": i, "delta": {"type": "text_delta", "text": p} if is_text
                 else {"type": "input_json_delta", "partial_json": p}} for p in (WORDS if is_text else [""] + PIECES)]
        out.append({"type": "content_block_stop", "index": i})
    out += [{"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": USAGE[1]}},
            {"type": "message_stop"}]
    return [{"event": e["type"], "data": e} for e in out]


def gemini(q):
    parts = [{"functionCall": {"name": "weather0", "args": ARGS}}] if q.get("tools") else [{"text": w} for w in WORDS]
    meta = {"usageMetadata": {"promptTokenCount": USAGE[0], "candidatesTokenCount": USAGE[1], "cachedContentTokenCount": USAGE[2],
                              "totalTokenCount": USAGE[0] + USAGE[1]}, "modelVersion": q["model"], "responseId": "h99"}
    one = lambda p, **more: {"candidates": [{"content": {"parts": p, "role": "model"}, **more}], **meta}
    if not q.get("stream"):
        return one(parts if q.get("tools") else [{"text": TEXT}], finishReason="STOP")
    return [{"data": one([p], **({"finishReason": "STOP"} if p is parts[-1] else {}))} for p in parts]


def completions(q):
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": q["model"], "usage": openai_usage(),
            "choices": [{"text": TEXT, "index": 0, "logprobs": None, "finish_reason": "stop"}]}


def embeddings(q):
    return {"object": "list", "model": q["model"], "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
            "usage": {"prompt_tokens": 8, "total_tokens": 8}}


ANSWERS = {"/chat/completions": chat, "/responses": responses, "/messages": messages, "/completions": completions, "/embeddings": embeddings}


class Upstream(BaseHTTPRequestHandler):
    """The model's name says how: -slow -stall -midstall -retry -limit -error -cut"""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    def whole(self, status, body, **fields):
        body = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("x-request-id", "req_1")
        self.send_header("request-id", "req_1")
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, mtime=0)
            self.send_header("Content-Encoding", "gzip")
        for k, v in fields.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events, model):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i, e in enumerate(events):
            d = e["data"] if isinstance(e["data"], str) else json.dumps(e["data"], ensure_ascii=False)
            b = ((f"event: {e['event']}\n" if "event" in e else "") + f"data: {d}\n\n").encode()
            cut = len(b) // 2 if i % 3 == 0 else len(b)  # events are split
            for p in (b[:cut], b[cut:]):
                if p:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(p), p))
                    self.wfile.flush()
            time.sleep(0.03 if "-slow" in model else 0.002)
            if i == 4 and "-midstall" in model:
                time.sleep(3)
            if i == 4 and "-cut" in model:
                self.close_connection = True
                return
            if i == 4 and "-error" in model:
                e = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
                b = f"event: error\ndata: {json.dumps(e)}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(b), b))
                break
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        q = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = self.path.split("?")[0]
        answer = next((f for p, f in ANSWERS.items() if path.endswith(p)), None)
        if "enerateContent" in path:
            answer = gemini
            q.update(model=path.split("/")[-1].split(":")[0], stream="stream" in path)
        m = q["model"]
        try:
            if "-midstall" not in m and "-stall" in m:
                time.sleep(3)
            if "-limit" in m or ("-retry" in m and self.headers.get("x-stainless-retry-count") == "0"):
                self.whole(429 if "-limit" in m else 500, {"type": "error", "error": {
                    "type": "rate_limit_error", "message": "Slow down", "param": None, "code": "rate_limit"}}, retry_after_ms="20")
                return
            a = answer(q)
            self.stream(a, m) if isinstance(a, list) else self.whole(200, a)
        except OSError:
            self.close_connection = True


# ---- cases: name, function(url, headers) -> what the client got, and what
# the store must say of its requests
CASES = []


def case(name, *records):
    def add(f):
        CASES.append((name, f, records))
        return f
    return add


def said(status="completed", text=TEXT, calls=0, usage=True, phase=None, stream=False, **more):
    return dict(status=status, text=text, calls=calls, usage=usage, phase=phase, stream=stream, **more)


def dump(x):
    return x.model_dump() if hasattr(x, "model_dump") else x


def blame(e):
    return [type(e).__name__, str(e), getattr(e, "status_code", None), repr(getattr(e, "body", None))]


TOOLS = [{"type": "function", "function": {"name": f"weather{i}", "description": "of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}} for i in (0, 1)]
RTOOLS = [{"type": "function", **t["function"]} for t in TOOLS]
ATOOLS = [{"name": t["function"]["name"], "description": "of a city", "input_schema": t["function"]["parameters"]} for t in TOOLS]
ASK = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "What is the capital of Canada? 🇨🇦"}]
AASK = dict(max_tokens=100, system="You are terse.", messages=ASK[1:])


def oai(url, h, cls=openai.OpenAI, **more):
    return cls(base_url=url + "/v1", api_key=KEY, default_headers=h, **{"max_retries": 0, **more})


def ant(url, h, cls=anthropic.Anthropic, **more):
    return cls(base_url=url, api_key=KEY, default_headers=h, **{"max_retries": 0, **more})


async def collect(stream):
    return [dump(c) async for c in await stream]


def tried(f):
    got = []
    try:
        f(got)
    except Exception as e:
        got.append(blame(e))
    return got


def add_openai():
    for stream in (False, True):
        for tools in (False, True):
            extra = {"tools": TOOLS} if tools else {}
            rextra = {"tools": RTOOLS} if tools else {}
            if stream:
                extra.update(stream=True, stream_options={"include_usage": True})
                rextra.update(stream=True)
            tag = f"{' stream' * stream}{' tools' * tools}"
            want = said(text="" if tools else TEXT, calls=2 * tools, stream=stream)
            rwant = said(text="" if tools else TEXT, calls=1 * tools, stream=stream)

            @case("openai chat" + tag, want)
            def f(url, h, extra=extra, stream=stream):
                r = oai(url, h).chat.completions.create(model="gpt-4o", messages=ASK, **extra)
                return [dump(c) for c in r] if stream else dump(r)

            @case("openai chat async" + tag, want)
            def f(url, h, extra=extra, stream=stream):
                async def go():
                    async with oai(url, h, openai.AsyncOpenAI) as c:
                        r = c.chat.completions.create(model="gpt-4o", messages=ASK, **extra)
                        return await collect(r) if stream else dump(await r)
                return asyncio.run(go())

            @case("openai responses" + tag, rwant)
            def f(url, h, extra=rextra, stream=stream):
                r = oai(url, h).responses.create(model="gpt-4o", input=ASK, **extra)
                return [dump(c) for c in r] if stream else dump(r)


def add_openai_rare():
    @case("openai completions", said(cached=None))
    def f(url, h):
        return dump(oai(url, h).completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi"))

    @case("openai embeddings", said(text=None, usage=False))
    def f(url, h):
        return dump(oai(url, h).embeddings.create(model="text-embedding-3-small", input=["a", "b"], encoding_format="float"))

    @case("openai without usage", said(usage=False, stream=True))
    def f(url, h):
        return [dump(c) for c in oai(url, h).chat.completions.create(model="gpt-4o", messages=ASK, stream=True)]

    @case("openai break after 3 chunks", said("cancelled", WORDS[0] + WORDS[1], usage=False, phase="mid_stream", stream=True))
    def f(url, h):
        c, got = oai(url, h), []
        with c.chat.completions.create(model="gpt-4o-slow", messages=ASK, stream=True) as s:
            for e in s:
                got.append(dump(e))
                if len(got) == 3:
                    break
        return got

    @case("openai async break after 3 chunks", said("cancelled", WORDS[0] + WORDS[1], usage=False, phase="mid_stream", stream=True))
    def f(url, h):
        async def go():
            async with oai(url, h, openai.AsyncOpenAI) as c:
                got, s = [], await c.chat.completions.create(model="gpt-4o-slow", messages=ASK, stream=True)
                async for e in s:
                    got.append(dump(e))
                    if len(got) == 3:
                        await s.close()
                        return got
        return asyncio.run(go())

    @case("openai close after the last event", said(stream=True))
    def f(url, h):
        c, got = oai(url, h), []
        with c.chat.completions.with_streaming_response.create(model="gpt-4o", messages=ASK, stream=True,
                                                               stream_options={"include_usage": True}) as s:
            for line in s.iter_lines():
                got.append(line)
                if line == "data: [DONE]":
                    break
        c.close()
        return got

    @case("openai timeout and a retry", *[said("cancelled", "", usage=False, phase="before_headers", retries=i) for i in (0, 1)])
    def f(url, h):
        return tried(lambda g: oai(url, h, timeout=0.4, max_retries=1).chat.completions.create(model="gpt-4o-stall", messages=ASK))

    @case("openai read timeout in a stream", said("cancelled", "".join(WORDS[:4]), usage=False, phase="mid_stream", stream=True))
    def f(url, h):
        return tried(lambda g: g.extend(dump(e) for e in oai(url, h, timeout=0.5).chat.completions.create(
            model="gpt-4o-midstall", messages=ASK, stream=True)))

    @case("openai 500, retried", said("failed_http", "", usage=False, error=True, http=500, retries=0), said(retries=1))
    def f(url, h):
        return dump(oai(url, h, max_retries=2).chat.completions.create(model="gpt-4o-retry", messages=ASK))

    @case("openai 429", said("failed_http", "", usage=False, error=True, http=429))
    def f(url, h):
        return tried(lambda g: oai(url, h).chat.completions.create(model="gpt-4o-limit", messages=ASK))

    @case("openai error in a stream", said("failed_stream", "".join(WORDS[:4]), usage=False, error=True, stream=True))
    def f(url, h):
        return tried(lambda g: g.extend(dump(e) for e in oai(url, h).chat.completions.create(
            model="gpt-4o-error", messages=ASK, stream=True)))

    @case("openai stream cut", said("upstream_truncated", "".join(WORDS[:4]), usage=False, stream=True))
    def f(url, h):
        return tried(lambda g: g.extend(dump(e) for e in oai(url, h).chat.completions.create(
            model="gpt-4o-cut", messages=ASK, stream=True)))


def add_anthropic():
    for tools in (False, True):
        extra = {"tools": ATOOLS} if tools else {}
        tag = " tools" * tools
        for stream in (False, True):
            @case("anthropic" + " stream" * stream + tag, said(calls=2 * tools, stream=stream))
            def f(url, h, extra=extra, stream=stream):
                r = ant(url, h).messages.create(model="claude", stream=stream, **AASK, **extra)
                return [dump(e) for e in r] if stream else dump(r)

        @case("anthropic async" + tag, said(calls=2 * tools))
        def f(url, h, extra=extra):
            async def go():
                async with ant(url, h, anthropic.AsyncAnthropic) as c:
                    return dump(await c.messages.create(model="claude", **AASK, **extra))
            return asyncio.run(go())

        @case("anthropic helper of streams" + tag, said(calls=2 * tools, stream=True))
        def f(url, h, extra=extra):
            with ant(url, h).messages.stream(model="claude", **AASK, **extra) as s:
                return [e.type for e in s] + [dump(s.get_final_message())]

    @case("anthropic break", said("cancelled", WORDS[0], usage=None, phase="mid_stream", stream=True))
    def f(url, h):
        got = []
        with ant(url, h).messages.create(model="claude-slow", stream=True, **AASK) as s:
            for e in s:
                got.append(dump(e))
                if e.type == "content_block_delta":
                    break
        return got

    @case("anthropic close after the last event", said(stream=True))
    def f(url, h):
        got, s = [], ant(url, h).messages.create(model="claude", stream=True, **AASK)
        for e in s:
            got.append(dump(e))
            if e.type == "message_stop":
                break
        s.response.close()
        return got

    @case("anthropic timeout and a retry", *[said("cancelled", "", usage=False, phase="before_headers", retries=i) for i in (0, 1)])
    def f(url, h):
        return tried(lambda g: ant(url, h, timeout=0.4, max_retries=1).messages.create(model="claude-stall", **AASK))

    @case("anthropic 500, retried", said("failed_http", "", usage=False, error=True, http=500), said(retries=1))
    def f(url, h):
        return dump(ant(url, h, max_retries=2).messages.create(model="claude-retry", **AASK))

    @case("anthropic 429", said("failed_http", "", usage=False, error=True, http=429))
    def f(url, h):
        return tried(lambda g: ant(url, h).messages.create(model="claude-limit", **AASK))

    @case("anthropic error in a stream", said("failed_stream", "".join(WORDS[:2]), usage=None, error=True, stream=True))
    def f(url, h):
        return tried(lambda g: g.extend(dump(e) for e in ant(url, h).messages.create(model="claude-error", stream=True, **AASK)))


def tidy(x):
    """LiteLLM makes ids and times where the API gave none."""
    if isinstance(x, dict):
        return {k: tidy(v) for k, v in x.items() if k not in ("id", "created")}
    return [tidy(v) for v in x] if isinstance(x, list) else x


def add_litellm():
    models = {"openai/gpt-4o": ("/v1", 2), "anthropic/claude-3-5-haiku-latest": ("", 2), "gemini/gemini-2.0-flash": ("", 1)}
    for model, (path, n) in models.items():
        for stream in (False, True):
            for tools in (False, True):
                base = path if "gemini" not in model else f"/v1beta/models/{model[7:]}"
                kw = dict(model=model, messages=ASK, stream=stream, api_key=KEY, num_retries=0,
                          **({"tools": TOOLS} if tools else {}), **({"stream_options": {"include_usage": True}} if stream else {}))
                text = "" if tools and "anthropic" not in model else TEXT
                want = said(text=text, calls=n * tools, stream=stream)

                @case(f"litellm {model}{' stream' * stream}{' tools' * tools}", want)
                def f(url, h, kw=kw, base=base):
                    r = litellm.completion(api_base=url + base, extra_headers=h, **kw)
                    return tidy([dump(c) for c in r] if kw["stream"] else dump(r))

                @case(f"litellm async {model}{' stream' * stream}{' tools' * tools}", want)
                def f(url, h, kw=kw, base=base):
                    async def go():
                        r = litellm.acompletion(api_base=url + base, extra_headers=h, **kw)
                        return tidy(await collect(r) if kw["stream"] else dump(await r))
                    return asyncio.run(go())


# ---- the comparison
KEY = "sk-known-0123456789abcdefABCDEF"


def check(d, w):
    """What a record says that it should not."""
    r, bad = d.get("response") or {}, []
    m = ((r.get("choices") or [{}])[0]).get("message") or {}
    u = r.get("usage") or {}
    calls = [(k["function"]["name"], json.loads(k["function"]["arguments"])) for k in m.get("tool_calls") or []]
    legacy = ((r.get("choices") or [{}])[0]).get("text")
    want_usage = {True: USAGE[:2], False: (None, None)}.get(w["usage"])
    pairs = [("status", d.get("status"), w["status"]), ("phase", d.get("phase"), w["phase"]),
             ("calls", calls, [(f"weather{i}", ARGS) for i in range(w["calls"])]),
             ("http_status", d.get("http_status"), w.get("http", d.get("http_status")))]
    if w["text"] is not None:
        pairs.append(("text", m.get("content") or legacy or "", w["text"]))
        if want_usage:
            pairs.append(("usage", (u.get("prompt_tokens"), u.get("completion_tokens")), want_usage))
        if w["usage"] is True:
            pairs.append(("cached", (u.get("prompt_tokens_details") or {}).get("cached_tokens"), w.get("cached", USAGE[2])))
    for what, got, want in pairs:
        if got != want:
            bad.append(f"{what} is {got!r}, not {want!r}")
    if w["stream"] and w["text"] and not 0 < (d.get("ttft_ms") or 0) <= d["latency_ms"]:
        bad.append(f"ttft {d.get('ttft_ms')} of {d.get('latency_ms')} ms")
    if w["status"] == "completed" and not (r.get("model") and (d.get("request") or {}).get("model")):
        bad.append("no model")
    if w.get("error") and "error" not in r and not d.get("error"):
        bad.append("no error")
    if "retries" in w and f'"x-stainless-retry-count":"{w["retries"]}"' not in d["extra"]:
        bad.append("no retry count")
    return bad


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(slmctl, store, up):
    port = free_port()
    p = subprocess.Popen([slmctl, "collect", "--store", store, "--listen", f"127.0.0.1:{port}", "--upstream", up], stdout=subprocess.DEVNULL)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return p, f"http://127.0.0.1:{port}"
        except OSError:
            time.sleep(0.1)
    sys.exit("the proxy does not listen")


def run(f, url, headers):
    try:
        return json.dumps(f(url, headers), default=str, sort_keys=True)
    except Exception as e:
        return json.dumps(blame(e))


def main():
    slmctl, only = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    up = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    up.daemon_threads = True
    threading.Thread(target=up.serve_forever, daemon=True).start()
    direct = f"http://127.0.0.1:{up.server_port}"
    for f in (add_openai, add_openai_rare, add_anthropic, add_litellm):
        f()
    cases, bad, seen = [c for c in CASES if only in c[0]], 0, defaultdict(list)
    with tempfile.TemporaryDirectory() as tmp:
        store = os.path.join(tmp, "store")
        px, url = start(slmctl, store, direct)
        for i, (name, f, _) in enumerate(cases):
            a, b = run(f, direct, {}), run(f, url, {"X-SLM-Conversation": f"case-{i}"})
            if a.replace(direct, "") != b.replace(url, ""):
                bad += 1
                at = next((k for k in range(min(len(a), len(b))) if a[k] != b[k]), 0)
                print(f"{name}: the client saw\n   {a[max(0, at - 60):at + 200]}\n   {b[max(0, at - 60):at + 200]}")
        px.send_signal(signal.SIGTERM)
        if px.wait(30):
            sys.exit(f"the proxy ended with {px.returncode}")
        out = subprocess.run([slmctl, "store", "export", "--store", store, "--format", "exchange", "-"],
                             capture_output=True, text=True, check=True).stdout
        with contextlib.closing(sqlite3.connect(os.path.join(store, "store.db"))) as db:
            extra = [e or "" for e, in db.execute("SELECT facts FROM call ORDER BY id")]
        for d, e in zip(map(json.loads, out.splitlines()), extra):
            d["extra"] = e
            seen[d.get("conversation_id")].append(d)
        for p, _, names in os.walk(store):
            for n in names:
                if KEY.encode() in open(os.path.join(p, n), "rb").read():
                    bad += 1
                    print(f"the API key is in {n}")
        for i, (name, _, records) in enumerate(cases):
            got = sorted(seen[f"case-{i}"], key=lambda d: d["timestamp"])
            wrong = [f"{len(got)} records, not {len(records)}"] if len(got) != len(records) else []
            for d, w in zip(got, records):
                wrong += check(d, w)
            bad += bool(wrong)
            for w in wrong:
                print(f"{name}: {w}")
            if wrong and os.environ.get("SHOW"):
                print(json.dumps(got, ensure_ascii=False))
    print(f"openai {openai.__version__}, anthropic {anthropic.__version__}: {len(cases)} cases, "
          f"{sum(len(c[2]) for c in cases)} records, {bad} wrong")
    sys.exit(bool(bad))


main()
