# Every task gets an adapter; run again there is nothing to do; the lineage
# names the examples; other options are another model; sealed ones are unread.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
make_logs 240 >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
slmctl finetune --all >/dev/null 2>err
echo "exit $?"
grep -o 'no base model; name one with --model' err
mkdir base
slmctl model template >base/chat_template.jinja
slmctl curate --export chats.jsonl -q >/dev/null
slmctl model train-tokenizer -q -n 280 --special '<|im_start|>' \
    --special '<|im_end|>' -o base/tokenizer.json chats.jsonl
cat >config.json <<'END'
{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":280,
"hidden_size":32,"intermediate_size":64,"num_hidden_layers":2,
"num_attention_heads":2,"num_key_value_heads":1,"head_dim":16,
"max_position_embeddings":256,"rms_norm_eps":1e-5,"rope_theta":10000,
"tie_word_embeddings":true,"eos_token_id":1}
END
slmctl finetune --init config.json --tokenizer base -d chats.jsonl \
    --tokens 2000 -o tiny -q >/dev/null
echo "exit $?"
slmctl finetune --all --model tiny --tokens 3000 -q --json >first.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' first.json | sort | uniq -c
slmctl finetune --all --model tiny --tokens 3000 -q --json >second.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' second.json | sort | uniq -c
grep -o '"hash": *"[0-9a-f]*"' first.json | wc -l
slmctl finetune --task 1 --method full --tokens 3000 -q --json >full.json
echo "exit $?"
grep -o '"skipped": *[a-z]*' full.json
for d in s/models/*; do
    find "$d" -type f | sed 's/.*\///' | sort | tr '\n' ' '
    echo
done | sort # which task is number 1 depends on the key that was drawn
# Lineage: as many examples as were read, none of them sealed.
sql() {
    sqlite3 s/store.db "$1" 2>/dev/null || echo 0
}
if command -v sqlite3 >/dev/null; then
    sql "SELECT count(*) FROM dataset_example d JOIN example e
         ON e.id = d.example WHERE e.split = 'test'"
else
    echo 0
fi
