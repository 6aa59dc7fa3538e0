# Of several tasks one may have nothing to try its model on: it is undecided in
# every form, and the others are judged.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key"
printf '%064d\n' 7 >key
chmod 600 key
make_logs 600 >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
tiny_model 280 1 256
slmctl finetune --all --model tiny --tokens 500 -q --json >/dev/null
first=$(sqlite3 s/store.db 'SELECT min(id) FROM task')
sqlite3 s/store.db "UPDATE example SET split = 'train' WHERE task = $first"
slmctl eval --no-base --json --junit x.xml --markdown x.md >doc 2>err
echo "exit $?"
sed "s/task [^:]*:/task T:/" err
jq -c '[(.tasks | length), (.untested | length)]' doc
jq -r '.untested[0].reason' doc | sed "s/task [^:]*:/task T:/"
grep -c '<testcase' x.xml
grep -c '<error type="undecided" message="task [^:]*: no examples' x.xml
grep -c 'undecided: task [^:]*: no examples in the test split' x.md
# Alone, it is an error.
slmctl eval --task "$first" >out 2>err
echo "exit $?"
cat out
sed "s/task [^:]*:/task T:/" err
