gen=$(dirname "$(readlink -f "$(command -v slmctl)")")/agentgen
[ -x "$gen" ] || {
    echo 'skip: agentgen is not built'
    exit 0
}
for d in one two; do
    "$gen" logs --data "$TREE/data/agent" --size 60 --out $d || exit 1
done
"$gen" logs --data "$TREE/data/agent" --size 60 --seed 2 --out other
for f in logs.jsonl gold.jsonl planted.txt; do
    cmp one/$f two/$f
    cmp -s one/$f other/$f && echo "$f does not depend on the seed"
done
# All that is planted is found, all that is written is read.
slmctl collect --quiet --import one/logs.jsonl
slmctl curate --quiet
slmctl curate --check-leaks one/planted.txt 2>&1 |
    sed 's/of [0-9]* values in [0-9]*/of N values in N/'
# The shipped logs are those of seed 1.
if command -v zstd > /dev/null; then
    "$gen" logs --data "$TREE/data/agent" --out whole
    for f in logs.jsonl gold.jsonl planted.txt; do
        zstd -qdc "$TREE/data/agent/$f.zst" | cmp - whole/$f
    done
fi
"$gen" base --data "$TREE/data/agent" --size 50000 --out base.jsonl
"$gen" base --data "$TREE/data/agent" --size 50000 --out base2.jsonl
cmp base.jsonl base2.jsonl
# No table of the agent's stands in a schema of the base's text.
sed -n 's/^\([a-z]*\)\/.*/\1/p' "$TREE/data/agent/schemas.txt" |
    while read -r t; do
        grep -o "\\\\n$t(" base.jsonl || :
    done
