# The LLM's stand-in answers what its logs have and nothing else; changed
# traffic is that of its seed.
gen=$(dirname "$(readlink -f "$(command -v slmctl)")")/agentgen
[ -x "$gen" ] || {
    echo 'skip: agentgen is not built'
    exit 0
}
for d in one two; do
    "$gen" drift --data "$TREE/data/agent" --size 60 --out $d || exit 1
    cmp one/logs.jsonl $d/logs.jsonl
done
grep -c '\\"limit\\": 100' one/logs.jsonl | sed 's/^[1-9].*/the tool takes a limit/'
"$gen" logs --data "$TREE/data/agent" --seed 3 --size 20 --out other
"$gen" answer --log one 2>said &
llm=$!
n=0
until grep -q listening said 2>/dev/null || [ $n -ge 100 ]; do
    n=$((n + 1))
    sleep 0.1
done
port=$(sed -n 's/^listening on 127.0.0.1:\([0-9]*\)$/\1/p' said)
plain() { sed 's/in [0-9.]* s/in N s/; s/[0-9][0-9]* of [0-9]* calls/N of N calls/'; }
"$gen" replay --log one --port "$port" --size 40 | plain
"$gen" replay --log other --port "$port" >out 2>err
echo "of another log: exit $?"
plain <err
"$gen" replay --log one 2>&1 | head -n 1
kill "$llm"
wait "$llm" 2>err || :
"$gen" replay --log one --port "$port" >out 2>&1 || sed 's/:[0-9]*:/:PORT:/' out
