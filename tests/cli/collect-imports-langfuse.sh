# Of Langfuse's observations generations are calls, with messages as lists, as
# bodies or as texts; what shows no messages was cut.
cat >o.jsonl <<'.'
{"id":"g1","type":"GENERATION","trace_id":"t1","name":"plan","start_time":"2025-06-15T15:06:40.000Z","end_time":"2025-06-15T15:06:41.500Z","completion_start_time":"2025-06-15T15:06:40.250Z","provided_model_name":"m","modelParameters":"{\"temperature\":0.5,\"other\":1}","usage_details":{"input":5,"output":2},"input":[{"role":"user","content":"q"}],"output":{"role":"assistant","content":"a"}}
{"id":"g2","type":"GENERATION","trace_id":"t1","start_time":"2025-06-15T15:06:42Z","model":"m","input":"{\"messages\":[{\"role\":\"user\",\"content\":\"q2\"}]}","output":"plain answer"}
{"id":"s1","type":"SPAN","trace_id":"t1","input":"x"}
{"id":"g3","type":"GENERATION","trace_id":"t1","start_time":"2025-06-15T15:06:43Z","model":"m","input":null,"output":null}
{"id":"g4","type":"GENERATION","trace_id":"t1","level":"ERROR","status_message":"busy","input":[{"role":"user","content":"q"}],"output":null}
.
slmctl collect --json --import o.jsonl | jq -c '[.added,.skipped,.rejected]'
slmctl store export | jq -c '[.timestamp,.latency_ms,.ttft_ms,.workload_id,.status,.error,.cut,.request,.response.choices[0].message,.response.usage]'
slmctl curate -q
slmctl curate --decisions - | cut -f1,4,5
