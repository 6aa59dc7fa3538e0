# From a log to a verdict: table, JSON, JUnit, Markdown and the exit code say
# the same; the second opening of the seal is told.
i=0
while [ $i -lt 240 ]; do
    i=$((i + 1))
    [ $((i % 2)) = 0 ] && a=even || a=odd
    printf '{"conversation_id":"c%d","request":{"model":"gpt-4o","messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number %d"}]},"response":{"id":"r%d","choices":[{"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":1}}}\n' $i $i $i $a
done >log.jsonl
export SLMCTL_STORE=s
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
mkdir base
slmctl model template >base/chat_template.jinja
slmctl curate --export chats.jsonl -q >/dev/null
slmctl model train-tokenizer -q -n 270 --special '<|im_start|>' \
    --special '<|im_end|>' -o base/tokenizer.json chats.jsonl
cat >config.json <<'END'
{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":270,
"hidden_size":32,"intermediate_size":64,"num_hidden_layers":1,
"num_attention_heads":2,"num_key_value_heads":1,"head_dim":16,
"max_position_embeddings":128,"rms_norm_eps":1e-5,"rope_theta":10000,
"tie_word_embeddings":true,"eos_token_id":1}
END
slmctl finetune --init config.json --tokenizer base -d chats.jsonl \
    --tokens 2000 -o tiny -q >/dev/null
slmctl eval --model "$PWD/tiny" --task 1 --junit e.xml --markdown e.md >table
echo "exit $?"
sed 1d table | head -1 | grep -o '[a-z]*$'
grep -c '<failure type="fail"' e.xml
grep -o 'failures="1" errors="0"' e.xml
head -1 e.md
slmctl eval --model "$PWD/tiny" --task 1 --json >e.json
echo "exit $?"
grep -o '"verdict": "[a-z]*"' e.json
grep -o '"opened_before": [0-9]*' e.json
# A pipe is written to, not replaced by a file.
mkfifo pipe
grep -c testcase <pipe &
slmctl eval --model "$PWD/tiny" --task 1 --junit pipe >/dev/null
echo "exit $?" >status
wait
cat status
[ -p pipe ] || echo "the pipe is gone"
slmctl eval --model "$PWD/tiny" --task 1 --junit none/e.xml >/dev/null 2>err
echo "exit $?"
grep -c "none/e.xml" err
