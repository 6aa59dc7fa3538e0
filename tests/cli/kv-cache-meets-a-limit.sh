# Where the system lets no file become so large, an answer comes all the same,
# and nothing is left of what could not be written.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 2 512
(
    ulimit -f 80 # 40 KiB: a store's files, but no prefix of 400 tokens
    slmctl generate -m tiny -n 12 --threads 1 --json --system \
        "$(printf 'x%.0s' $(seq 400))" 'number 7' >out
    echo "exit $?"
)
jq .completion_tokens out
ls -A s/cache/kv
slmctl generate -m tiny -n 12 --threads 1 --json --system \
    "$(printf 'x%.0s' $(seq 400))" 'number 7' | jq .cached_tokens
find s/cache -size +40k -name '*.kv' | grep -c .
