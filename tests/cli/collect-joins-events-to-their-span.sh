# What instrumentations wrote (tests/reference/otlp_instrumented.py): messages
# that are log records of their own are one call with their span, before or
# behind it, in a file or a pipe; without a span they are a call too.
from=$TREE/tests/reference
calls() { # NAME FILE
    slmctl collect --store "$1" --json --import "$2" |
        jq -c '[.lines, .added, .known, .skipped, .rejected]'
    slmctl store export --store "$1" >out
    jq -c '[.upstream, .status, .cut, .request.model, .response.id,
        .response.usage.prompt_tokens, .latency_ms > 0,
        [.request.messages[] | .role], (.request.tools | length),
        .response.choices[0].message, .response.choices[0].finish_reason]' out
}
calls events "$from/otlp.events.golden.jsonl"
calls details "$from/otlp.details.golden.jsonl"
calls inference "$from/otlp.inference.golden.jsonl"

# Behind their span, and from a pipe: the same calls.
view() { slmctl store export --store "$1" | jq -cS .; }
view events >want
{
    grep resourceSpans "$from/otlp.events.golden.jsonl"
    grep resourceLogs "$from/otlp.events.golden.jsonl"
} >spans-first.jsonl
slmctl collect -q --store spans-first --import spans-first.jsonl
view spans-first | cmp - want
slmctl collect -q --store pipe --import - <"$from/otlp.events.golden.jsonl"
view pipe | cmp - want

# Logs alone; and with an answer that was never logged.
grep resourceLogs "$from/otlp.events.golden.jsonl" >logs.jsonl
calls logs logs.jsonl
grep -v gen_ai.choice "$from/otlp.events.golden.jsonl" >unanswered.jsonl
calls unanswered unanswered.jsonl
slmctl curate -q --store unanswered
slmctl curate --store unanswered --decisions - | cut -f1,4,5
