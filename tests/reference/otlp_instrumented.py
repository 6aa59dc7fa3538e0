#!/usr/bin/env python3
"""What instrumentations of OpenTelemetry write of two calls, as OTLP/JSON.

usage: otlp_instrumented.py FORM OUT
FORM   needs, beside openai<3, opentelemetry-sdk,
       opentelemetry-exporter-otlp-proto-common
events      opentelemetry-instrumentation-openai-v2==2.1b0 (1.34.1 of the SDK):
            messages are log records of their own
details     opentelemetry-instrumentation-openai-v2==2.4b0,
            opentelemetry-util-genai==0.4b0: messages in spans and in an event
inference   openinference-instrumentation-openai==0.1.66

Makes otlp.FORM.golden.jsonl. The upstream is a server of this process; lines
come in the order in which records are exported, without the resource's
attributes.
"""
import base64
import http.server
import json
import os
import sys
import threading

form, out = sys.argv[1], open(sys.argv[2], "w", encoding="utf-8")
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = (
    "span_and_event" if form == "details" else "true")
if form == "details":
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"

import openai
from google.protobuf import json_format
from opentelemetry import _logs, trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import (
    encode_spans)
from opentelemetry.sdk import _logs as sdk_logs
from opentelemetry.sdk._logs import export as log_export
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (SimpleSpanProcessor, SpanExporter,
                                            SpanExportResult)

TOOLS = [{"type": "function", "function": {
    "name": "look", "description": "Count rows",
    "parameters": {"type": "object",
                   "properties": {"t": {"type": "string"}}}}}]
CALL = {"id": "call_1", "type": "function",
        "function": {"name": "look", "arguments": '{"t": "orders"}'}}


class Upstream(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        asked = json.loads(self.rfile.read(size))["messages"][-1]["role"]
        message = {"role": "assistant", "content": "There are 7."}
        if asked == "user":
            message = {"role": "assistant", "content": None,
                       "tool_calls": [CALL]}
        Upstream.count += 1
        body = json.dumps({
            "id": f"chatcmpl-{Upstream.count}", "object": "chat.completion",
            "created": 1750000000, "model": "gpt-4o-2024-08-06",
            "choices": [{"index": 0, "message": message, "finish_reason":
                         "tool_calls" if asked == "user" else "stop"}],
            "usage": {"prompt_tokens": 21, "completion_tokens": 7,
                      "total_tokens": 28}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def plain(value):
    """Ids in hexadecimal, as OTLP/JSON has them; no resource."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: base64.b64decode(v).hex() if k in ("traceId", "spanId")
            else {} if k == "resource" else plain(v)
            for k, v in value.items() if k != "parentSpanId"}


def write(message):
    read = json_format.MessageToDict(message, use_integers_for_enums=True)
    out.write(json.dumps(plain(read), separators=(",", ":")) + "\n")


class Spans(SpanExporter):
    def export(self, spans):
        write(encode_spans(spans))
        return SpanExportResult.SUCCESS


LogExporter = getattr(log_export, "LogExporter", None) or getattr(
    log_export, "LogRecordExporter")


class Logs(LogExporter):
    def export(self, batch):
        write(encode_logs(batch))

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=0):
        return True


tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(Spans()))
trace.set_tracer_provider(tracers)
loggers = sdk_logs.LoggerProvider()
loggers.add_log_record_processor(log_export.SimpleLogRecordProcessor(Logs()))
_logs.set_logger_provider(loggers)
if form == "events":
    from opentelemetry._events import set_event_logger_provider
    from opentelemetry.sdk._events import EventLoggerProvider
    set_event_logger_provider(EventLoggerProvider(loggers))
if form == "inference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
OpenAIInstrumentor().instrument(tracer_provider=tracers)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(
    api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
messages = [{"role": "system", "content": "You count."},
            {"role": "user", "content": "How many orders?"}]
client.chat.completions.create(model="gpt-4o", messages=messages,
                               tools=TOOLS, temperature=0.5)
messages += [{"role": "assistant", "content": None, "tool_calls": [CALL]},
             {"role": "tool", "tool_call_id": "call_1", "content": "7"}]
client.chat.completions.create(model="gpt-4o", messages=messages, tools=TOOLS)
out.close()
