# From a log to a verdict: table, JSON, JUnit, Markdown and the exit code say
# the same; the second opening of the seal is told.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 240
tiny_model 270 1 128
slmctl eval --model "$PWD/tiny" --task 1 --junit e.xml --markdown e.md >table
echo "exit $?"
sed 1d table | head -1 | grep -o '[a-z]*$'
grep -c '<failure type="fail"' e.xml
grep -o 'failures="1" errors="0"' e.xml
head -1 e.md
slmctl eval --model "$PWD/tiny" --task 1 --again --json >e.json
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
# It is told before the seal is opened once more.
sqlite3 s/store.db "SELECT count(*) FROM seal"
# One task by two names is one task.
slmctl eval --model "$PWD/tiny" --task 1 --task say-odd-even --json |
    jq '.tasks | length'
