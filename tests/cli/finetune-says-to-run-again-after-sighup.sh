# A terminal that closes interrupts training as Ctrl-C does: a checkpoint, the
# line that says so, and the signal's exit status; then it goes on.
ignored=$(awk '/^SigIgn/ { print $2 }' /proc/self/status)
[ $((0x$ignored & 1)) -eq 0 ] || {
    echo 'skip: SIGHUP is ignored here, as under nohup'
    exit 0
}
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 1 128
set -- --task 1 --model tiny --epochs 100 --patience -1 --run run --as m -q
slmctl finetune "$@" >/dev/null 2>err &
pid=$!
while [ "$(wc -l 2>/dev/null <run/metrics.jsonl)" -lt 20 ] 2>/dev/null ||
    [ ! -e run/metrics.jsonl ]; do
    sleep 0.1
    kill -0 $pid 2>/dev/null || break
done
kill -HUP $pid
wait $pid 2>/dev/null
echo "exit $?"
sed 's/step [0-9]*/step N/' err
ls run
slmctl finetune "$@" --json | grep -o '"resumed": *true'
