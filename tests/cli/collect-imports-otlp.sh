# OTLP/JSON: the GenAI conventions as they are, as they were, and OpenInference;
# tools' spans are no calls, and a call without texts is one that was cut.
attr() { # KEY VALUE...
    while [ $# -gt 1 ]; do
        jq -nc --arg k "$1" --arg v "$2" '{key:$k,value:{stringValue:$v}}'
        shift 2
    done | jq -sc .
}
span() { # ID ATTRIBUTES
    printf '{"traceId":"t1","spanId":"%s","startTimeUnixNano":"1750000000000000000","endTimeUnixNano":"1750000001500000000","attributes":%s}\n' "$1" "$2"
}
{
    span s1 "$(attr gen_ai.operation.name chat gen_ai.request.model m \
        gen_ai.usage.input_tokens 5 gen_ai.conversation.id c1 \
        gen_ai.system_instructions '[{"type":"text","content":"be short"}]' \
        gen_ai.input.messages '[{"role":"user","parts":[{"type":"text","content":"who?"}]},{"role":"assistant","parts":[{"type":"tool_call","id":"k","name":"f","arguments":{"a":1}}]},{"role":"tool","parts":[{"type":"tool_call_response","id":"k","result":"me"}]}]' \
        gen_ai.output.messages '[{"role":"assistant","parts":[{"type":"text","content":"no\nbody"}],"finish_reason":"stop"}]')"
    span s2 "$(attr gen_ai.operation.name execute_tool gen_ai.tool.name f)"
    span s3 "$(attr gen_ai.system openai gen_ai.request.model m \
        gen_ai.prompt.0.role user gen_ai.prompt.0.content q \
        gen_ai.completion.0.role assistant \
        gen_ai.completion.0.tool_calls.0.name f \
        gen_ai.completion.0.tool_calls.0.id k2 \
        gen_ai.completion.0.tool_calls.0.arguments '{"b":2}')"
    span s4 "$(attr openinference.span.kind LLM llm.model_name m \
        llm.input_messages.0.message.role user \
        llm.input_messages.0.message.content hi \
        llm.output_messages.0.message.role assistant \
        llm.output_messages.0.message.content ho)"
    span s5 "$(attr gen_ai.operation.name chat gen_ai.request.model m)"
    span s6 "$(attr gen_ai.operation.name chat gen_ai.request.model m error.type 429)"
} | jq -sc '{resourceSpans:[{resource:{},scopeSpans:[{spans:.}]}]}' >spans.jsonl
slmctl collect --json --import spans.jsonl | jq -c '[.added,.skipped,.rejected]'
slmctl store export |
    jq -c '[.conversation_id,.latency_ms,.status,.cut,.request.messages,.response.choices[0]]'
slmctl curate -q
slmctl curate --decisions - | cut -f1,4,5
