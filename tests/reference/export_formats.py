#!/usr/bin/env python3
"""What `slmctl store export` writes, read by the packages of each format.

usage: export_formats.py OPENAI.jsonl LITELLM.jsonl OTLP.jsonl
(needs litellm, openai, opentelemetry-proto)

Each line is read by the types that its makers publish, without conversions
between types: OpenAI's request parameters and ChatCompletion, LiteLLM's
StandardLoggingPayload with its ModelResponse, and the protobuf message
ExportTraceServiceRequest. Prints what was read, or fails. The goldens
export.*.golden.jsonl are what it has read; they are made by

    slmctl collect --store S --import tests/reference/export.calls.jsonl
    slmctl store export --store S --format litellm export.litellm.golden.jsonl
"""
import base64
import json
import os
import sys

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from google.protobuf import json_format
from litellm.types.utils import ModelResponse, StandardLoggingPayload
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest)
from pydantic import TypeAdapter

FORMS = {
    "litellm": TypeAdapter(StandardLoggingPayload),
    False: TypeAdapter(CompletionCreateParamsNonStreaming),
    True: TypeAdapter(CompletionCreateParamsStreaming),
}


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def openai(line):
    assert line["method"] == "POST"
    assert line["url"] == "/v1/chat/completions" and line["custom_id"]
    body = line["body"]
    FORMS[bool(body.get("stream"))].validate_python(body)
    answer = (line["response"] or {}).get("body")
    if not answer or "error" in answer or line["error"]:
        assert line["error"] or answer["error"]
        return "no whole answer"
    # Fields that the log had not: created, id.
    filled = {"id": "", "created": 0, "object": "chat.completion",
              "model": "", **answer}
    read = ChatCompletion.model_validate(filled)
    return ", ".join(choice.finish_reason for choice in read.choices)


def litellm(line):
    known = (StandardLoggingPayload.__required_keys__
             | StandardLoggingPayload.__optional_keys__)
    assert StandardLoggingPayload.__required_keys__ <= set(line) <= known
    FORMS["litellm"].validate_python(line, strict=True)
    if line["response"]:
        read = ModelResponse(**line["response"])
        return f"{line['status']}, {read.choices[0].message.content!r}"
    return f"{line['status']}, {line['error_information']['error_class']}"


def text(value):
    """Ids are hexadecimal in OTLP/JSON, base64 in protobuf's own."""
    return base64.b64encode(bytes.fromhex(value)).decode()


def otlp(line):
    span = line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    for name in ("traceId", "spanId"):
        span[name] = text(span[name])
    request = json_format.ParseDict(line, ExportTraceServiceRequest())
    read = request.resource_spans[0].scope_spans[0].spans[0]
    assert len(read.trace_id) == 16 and len(read.span_id) == 8
    assert read.kind == 3 and read.name.startswith("chat ")
    given = {a.key: a.value for a in read.attributes}
    assert len(given) == len(read.attributes)
    for name in ("gen_ai.operation.name", "gen_ai.provider.name",
                 "gen_ai.request.model"):
        assert given[name].string_value, name
    for name in ("gen_ai.input.messages", "gen_ai.output.messages"):
        for message in json.loads(given[name].string_value
                                  if name in given else "[]"):
            assert message["role"]
            for part in message["parts"]:
                assert part["type"] in ("text", "reasoning", "tool_call",
                                        "tool_call_response", "blob", "uri")
    return f"{read.name}, {len(given)} attributes"


for path, check in zip(sys.argv[1:], (openai, litellm, otlp)):
    for line in lines(path):
        print(check.__name__, check(line))
