# A trial trains, scores and times a base, and leaves nothing: no model, no run,
# no row. The newest examples are taken.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
tiny_model 270 1 256
slmctl finetune --task 1 --model tiny --try --tokens 20000 --examples 50 \
    --json -q >doc
echo "exit $?"
jq -c '[.schema, .task, .base, .method, .examples, .tokens >= 20000,
    .best_loss < .first_loss, .answer_tokens_per_s > 0,
    .prompt_tokens_per_s > 0, .peak_bytes > 1000000]' doc
jq -c '.validation | [.metric, .items > 10, .judged == .items,
    .interval[0] <= .score, .score <= .interval[1]]' doc
slmctl finetune --task 1 --model tiny --try --tokens 2000 -q | cut -c 1-11
find s -mindepth 1 | sort
sqlite3 s/store.db 'SELECT count(*) FROM model'
# The newest are those of the last calls.
slmctl finetune --task 1 --model tiny --show-mask 1 --examples 1 -q |
    grep -o 'number [0-9]*'
sqlite3 s/store.db "SELECT max(call) FROM example WHERE kept AND split = 'train'"
for idle in '--as x' '--output x' --merge --dry-run --all; do
    slmctl finetune --task 1 --try $idle
    echo "$idle: $?"
done
