# A task that is too long for the base is told and left out; the others are
# trained. Run again under cron, what has not changed is not mentioned.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key"
printf '%064d\n' 7 >key
chmod 600 key
make_logs 120 >short.jsonl
long=$(printf 'word%d ' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20)
sed "s/mild\./mild. $long$long$long$long/" short.jsonl >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
tiny_model 280 1 256
tune() {
    slmctl finetune --all --model tiny --tokens 500 "$@"
}
warnings() {
    sed -n 's/task [^:]*:/task T:/; s/: [0-9]* of [0-9]* are/: N of N are/
        /warning/p' "$1"
}
tune >out 2>err
echo "exit $?"
warnings err
wc -l <out
tune >out 2>err
echo "again: exit $?"
warnings err
grep -vc warning err
cat out
tune --json 2>err | jq -c '[(.models | length), (.untrained | length)]'
# Nothing that can be trained at all is an error.
tune --max-length 9 >out 2>err
echo "exit $?"
cat out
tail -n 1 err
# Where every task is as it was, nothing is said at all.
slmctl collect -q --import short.jsonl --store t >/dev/null
for words in 'curate -q' 'cluster -q' \
    'finetune --all --model tiny --tokens 500 -q --json'; do
    # shellcheck disable=SC2086
    slmctl $words --store t >/dev/null 2>&1
done
slmctl finetune --all --model tiny --tokens 500 --store t
echo "nothing to do: exit $?"
