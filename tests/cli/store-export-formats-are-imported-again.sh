# What each format of export writes is the golden file that the packages of
# those who made the format have read (tests/reference/export_formats.py), and
# collect reads it, told from its fields, as the same calls.
calls=$TREE/tests/reference/export.calls.jsonl
slmctl collect -q --import "$calls"
# Bodies as chat, without the limit that Anthropic's API requires. An error
# that stands beside a part of an answer is in the record's own field.
view() {
    jq -cS '[.timestamp, .workload_id, .client_id, .conversation_id, .upstream,
        .status, .phase, .latency_ms, .ttft_ms, .error, .cut,
        (.request | del(.max_tokens)),
        (.response | if .choices then {id, model, choices, usage}
                     else .error.message end)]'
}
slmctl store export | grep -v '"input":\["a"\]' | view >want
for format in openai litellm otlp; do
    slmctl store export --format $format $format.jsonl
    cmp $format.jsonl "$TREE/tests/reference/export.$format.golden.jsonl"
    slmctl collect --store $format.store --json --import $format.jsonl |
        jq -c '[.lines, .added, .skipped, .rejected]'
    slmctl store export --store $format.store >again
    view <again >got
    diff want got && echo "$format: the same"
    slmctl curate -q --store $format.store
    slmctl curate --store $format.store --decisions - | cut -f1,4,5 >decisions
    [ -f first ] || cp decisions first
    cmp first decisions
done
cat first
