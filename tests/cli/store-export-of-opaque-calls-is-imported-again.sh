# A proxy also logs what is no chat, and answers that are no JSON: the line
# says whose bodies these are, and is the same call when it is read again.
cat >calls.jsonl <<'END'
{"timestamp":1,"status":"completed","http_status":200,"dialect":"opaque","request":null,"response":{"data":[]}}
{"timestamp":2,"status":"completed","http_status":200,"dialect":"opaque","request":"a=1","response":"plain"}
{"timestamp":3,"status":"upstream_truncated","http_status":200,"dialect":"openai-chat","request":{"model":"m","messages":[]},"response":"{\"a\":"}
{"timestamp":4,"status":"completed","http_status":204,"dialect":"openai-chat","request":{"model":"m","messages":[]},"response":null}
{"timestamp":5,"status":"completed","http_status":200,"dialect":"openai-embeddings","request":{"model":"e","input":"x"},"response":{"object":"list","vectors":1}}
END
cat >own.jsonl <<'END'
{"dialect":"postgres","request":{"messages":[]},"response":{"choices":[]}}
{"dialect":"postgres","request":"text","response":{"choices":[]}}
END
slmctl collect -q --import calls.jsonl
slmctl store export | tee one.jsonl | cmp - calls.jsonl
slmctl collect -q --store other --import one.jsonl
slmctl store export --store other | cmp - calls.jsonl && wc -l <one.jsonl
for format in openai litellm otlp; do
    slmctl store export --format $format | slmctl collect --store $format \
        --json --import - | jq -c '[.added, .rejected]'
done
slmctl collect --json --store third --import own.jsonl |
    jq -c '[.added, .rejected]'
