# Opening the base again and writing the merged model is in the estimate that
# was told before. A busy system takes back pages meanwhile, so less may be seen.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
sed 's/"hidden_size":32/"hidden_size":1024/; s/"intermediate_size":64/"intermediate_size":4096/
    s/"num_hidden_layers":1/"num_hidden_layers":4/; s/"head_dim":16/"head_dim":512/' \
    config.json >wide.json
slmctl finetune --init wide.json --tokenizer base -d chats.jsonl --tokens 60 \
    --batch-tokens 128 --pass-tokens 128 -o wide -q >/dev/null
slmctl finetune --task 1 --model wide --tokens 60 --merge \
    --batch-tokens 128 --pass-tokens 128 2>err >/dev/null
grep -c '; merging [1-9]' err
sed -n 's/.* MiB were in use, .*(\(.*\) %)$/\1/p' err |
    awk '{ print ($1 > -25 && $1 < 15) ? "beside the estimate" : "off by " $1 }'
slmctl finetune --task 1 --model wide --tokens 60 --merge --dry-run --json \
    --batch-tokens 128 --pass-tokens 128 -q |
    sed -n 's/.*"total":\([0-9]*\),.*"merging":\([0-9]*\),.*/\1 \2/p' |
    tee plan | awk '{ print $1 == $2 ? "the larger phase" : $0 }'
slmctl finetune --task 1 --model wide --tokens 60 --merge --force \
    --max-memory "$(awk '{ print $2 - 20000000 }' plan)" \
    --batch-tokens 128 --pass-tokens 128 2>&1 >/dev/null |
    grep -o 'merging needs about'
