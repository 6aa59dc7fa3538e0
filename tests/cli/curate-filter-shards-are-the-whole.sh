# The outputs of all shards are the lines of one run; shards need a key.
printf '%064d\n' 7 >key
chmod 600 key
i=0
while [ $i -lt 1000 ]; do
    echo "{\"session_id\":\"s$((i % 7))\",\"n\":$i,\"x\":\"u$((i % 90))@love.org\"}"
    [ $((i % 100)) -ne 0 ] || echo 'no json'
    i=$((i + 1))
done >in.jsonl
slmctl curate --filter --key-file key <in.jsonl >whole 2>whole.err
echo "exit $?"
for s in 1 2 3; do
    slmctl curate --filter --key-file key --shard $s/3 --threads $s --summary \
        <in.jsonl 2>err.$s >out.$s
    echo "exit $?"
    tail -1 err.$s | sed 's/;.*//'
done
cat out.1 out.2 out.3 | sort >shards
sort whole | cmp - shards && echo 'the same lines'
cat err.1 err.2 err.3 | grep -c 'left out:'
grep -c 'left out:' whole.err
slmctl curate --filter --key-file key --shard 1/1 <in.jsonl 2>/dev/null | cmp - whole
slmctl curate --filter --shard 1/3 <in.jsonl
echo "exit $?"
for s in 0/3 4/3 1/0 1/x /2 1; do
    slmctl curate --filter --key-file key --shard $s <in.jsonl
    echo "exit $?"
done
slmctl curate --summary
echo "exit $?"
