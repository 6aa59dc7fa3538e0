# With other shares some training examples become test ones: a model that was
# trained on them is not judged by them.
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
slmctl finetune --task 1 --model tiny --tokens 500 --as tuned -q >/dev/null
slmctl eval --task 1 --no-base | sed -n 's,: [0-9]* examples.*left out,: N left out,p'
slmctl curate --split 30,30,40 -q 2>/dev/null
slmctl eval --task 1 --no-base | sed -n 's,: [0-9]* examples.*left out,: N left out,p'
slmctl eval --task 1 --no-base --json | jq '.tasks[0].gate.items < 40'
slmctl curate --split 80,10,10 -q 2>/dev/null
slmctl finetune --task 1 --model tiny -q --as ../outside
echo "exit $?"
slmctl finetune --task 1 --model tiny -q --as tiny
echo "exit $?"
mkdir none
slmctl finetune --task 1 --model none -q 2>&1 | sed "s,/.*/,,"
slmctl model list --json | jq -r .name
