# Why a call could not be scrubbed was told by --filter only; a key was made
# without a word, and a vault that others read was added to.
. "$TREE/tests/cli/lib/curate.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key"
deep='"x@y.org"'
for i in 1 2 3 4 5 6 7 8 9 10; do
    deep=$(printf '{"a":%s}' "$deep" | jq -Rs .)
done
curate_log c1 completed "$(printf '%s' "$deep" | jq -r .)" fine stop >log.jsonl
curate_log c2 completed "Is it?" yes stop >>log.jsonl
slmctl collect -q --import log.jsonl
slmctl curate -q
echo "exit $?"
echo '{"x":"ada@love.org"}' >line
slmctl curate --filter --key-file new <line >out 2>err
echo "exit $?"
cat err
slmctl curate --filter --key-file new --vault v <line | cmp - out
chmod 644 v
slmctl curate --filter --key-file new --vault v <line
echo "exit $?"
