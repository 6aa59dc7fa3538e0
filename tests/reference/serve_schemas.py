#!/usr/bin/env python3
"""Answers that `slmctl serve` keeps to JSON schemas, against Python's jsonschema.

usage: serve_schemas.py SLMCTL MODEL-DIR [PER-SCHEMA [MAX-TOKENS]]
needs: pip install jsonschema rfc3339-validator fqdn

Each schema of tests/reference/schemas is asked for PER-SCHEMA times (20) at
temperature 1 with a seed of its own, half as response_format, half as the
arguments of a tool that must be called. An answer that ends by itself must be
JSON that fits, formats too; one that was cut off (finish_reason length) is
counted apart. Then schemas that must be refused by keyword, and the time of a
token with and without a form. Exit status 1 if an answer does not fit or what
must be refused is not.
"""
import concurrent.futures, http.client, json, os, pathlib, re, subprocess, sys

import jsonschema

HERE = pathlib.Path(__file__).parent
ASK = "Write about a Tuesday in Oslo."
REFUSED = {
    "not": {"not": {"type": "null"}},
    "if": {"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}},
    "patternProperties": {"type": "object", "patternProperties": {"^a": {"type": "null"}}},
    "propertyNames": {"type": "object", "propertyNames": {"maxLength": 3}},
    "dependentRequired": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "unevaluatedProperties": {"type": "object", "unevaluatedProperties": False},
    "contains": {"type": "array", "contains": {"type": "null"}},
    "uniqueItems": {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True},
    "multipleOf": {"type": "number", "multipleOf": 0.5},
    "format": {"type": "string", "format": "json-pointer"},
    "pattern": {"type": "string", "pattern": "^(?=a)b"},
    "oneOf": {"oneOf": [{"type": "number"}, {"type": "integer"}]},
    "minProperties": {"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 3},
    "$ref": {"$ref": "#/$defs/none"},
}


class Server:
    def __init__(self, slmctl, model):
        self.process = subprocess.Popen(
            [slmctl, "serve", "--listen", "127.0.0.1:0", "--model", f"m={model}", "--max-tokens", "4096"],
            stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if m := re.match(r"listening on 127\.0\.0\.1:(\d+)$", line.strip()):
                self.port = int(m[1])
                return
        raise SystemExit("the server did not start")

    def ask(self, **q):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        body = {"model": "m", "messages": [{"role": "user", "content": ASK}], **q}
        c.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        r = c.getresponse()
        return r.status, json.loads(r.read())

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def as_format(schema):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def as_tool(schema):
    tool = {"type": "function", "function": {"name": "answer", "description": "of it", "parameters": schema}}
    return {"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "answer"}},
            "parallel_tool_calls": False}


def answer_of(choice):
    calls = choice["message"].get("tool_calls")
    return calls[0]["function"]["arguments"] if calls else choice["message"]["content"]


def judge(server, name, schema, seed, tokens):
    """What became of one answer: fits, cut, refused: WHY or wrong: WHY."""
    is_tool = seed % 2 and schema.get("type") == "object"
    status, got = server.ask(temperature=1, seed=seed, max_tokens=tokens, **(as_tool if is_tool else as_format)(schema))
    if status != 200:
        return f"refused: {got['error']['message']}"
    choice = got["choices"][0]
    if choice["finish_reason"] == "length":
        return "cut"
    try:
        text = answer_of(choice)
        cls = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
        cls(schema, format_checker=cls.FORMAT_CHECKER).validate(json.loads(text))
    except (jsonschema.ValidationError, ValueError, TypeError, KeyError) as e:
        return f"wrong: {str(e).splitlines()[0]} in {json.dumps(choice)[:300]}"
    return "fits"


def generations(server, per, tokens):
    bad = 0
    schemas = {p.stem: json.loads(p.read_text()) for p in sorted((HERE / "schemas").glob("*.json"))}
    total = dict.fromkeys(("fits", "cut", "refused", "wrong"), 0)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number, (name, schema) in enumerate(schemas.items()):
            went = list(pool.map(lambda k: judge(server, name, schema, k, tokens),
                                 range(number * per, number * per + per)))
            for w in went:
                total[w.split(":")[0]] += 1
            for w in sorted({w for w in went if ":" in w}):
                print(f"{name}: {w}")
                bad = 1
            if n := went.count("cut"):
                print(f"{name}: {n} of {per} cut off at {tokens} tokens")
    ended = total["fits"] + total["wrong"]
    print(f"{len(schemas)} schemas, {sum(total.values())} answers: {total['fits']} of {ended} that ended are valid, "
          f"{total['cut']} cut off, {total['refused']} refused")
    return bad


def refusals(server):
    bad = 0
    for keyword, schema in REFUSED.items():
        for form in as_format, as_tool:
            status, got = server.ask(max_tokens=8, **form(schema))
            message = got.get("error", {}).get("message", "")
            if status != 400 or (keyword not in message and keyword != "$ref"):
                print(f"{keyword}: not refused by name: {status} {message}")
                bad = 1
    print(f"refused by name: {', '.join(REFUSED)}")
    return bad


def seconds_of(pid):
    """Processor time of the server, so that a busy machine does not count."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def speed(server, rounds=40):
    """One request at a time; so hot that an answer without a form goes on."""
    kinds = {
        "without": {},
        "text": as_format({"type": "string", "minLength": 100}),
        "text of up to 2,000 characters": as_format({"type": "string", "minLength": 100, "maxLength": 2000}),
        "long texts": as_format(json.loads((HERE / "schemas/long_text.json").read_text())),
        "many members": as_format(json.loads((HERE / "schemas/recipe.json").read_text())),
    }
    base = None
    for k, q in kinds.items():
        for what in "first", "later":
            tokens, began = 0, seconds_of(server.process.pid)
            for seed in range(rounds):
                _, got = server.ask(temperature=2, seed=seed + rounds * (what == "later"), max_tokens=300, **q)
                tokens += got["usage"]["completion_tokens"]
            m = (seconds_of(server.process.pid) - began) / tokens
            base = base if base and k != "without" else m
            print(f"{k}, {what} {rounds} answers: {m * 1e6:.0f} us a token ({100 * (m / base - 1):+.1f} %), {tokens} tokens")


def main():
    slmctl, model = sys.argv[1:3]
    per = int(sys.argv[3]) if len(sys.argv) > 3 else 20
    tokens = int(sys.argv[4]) if len(sys.argv) > 4 else 800
    server = Server(slmctl, model)
    try:
        bad = generations(server, per, tokens) | refusals(server)
        speed(server)
    finally:
        server.stop()
    return bad


if __name__ == "__main__":
    sys.exit(main())
