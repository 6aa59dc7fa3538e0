# What prompts begin with is computed once: later runs read it, answers are the
# same, the store owns the files, and they go with what they came from.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 2 512
say() {
    slmctl generate -m tiny -n 12 --threads 1 --json --system \
        'Say of a number whether it is odd or even, and nothing else: no word before, and no word after the one that is asked for.' "$@" |
        jq -c '[.text, .cached_tokens > 60]'
}
say --kv-cache 0 'number 7' >none
ls s/cache 2>/dev/null
say 'number 7' >first
say 'number 7' >again
say --draft off 'number 7' >plain
say 'another 8'
jq -c '.[1]' none first again plain
jq -c '.[0]' none first again plain | sort -u | wc -l
stat -c '%a' s/cache/kv s/cache/kv/*
slmctl status --json | jq -c '[.prefixes, .prefix_bytes > 1000]'
slmctl status | grep -c '^prefixes *1 computed'
od -An -tu4 -j8 -N4 s/cache/kv/*.kv # sealed
# Damage is not read, and replaced.
printf 'xx' | dd of="$(ls s/cache/kv/*)" bs=1 seek=5000 conv=notrunc 2>/dev/null
say 'number 7' | jq -c '.[1]'
say 'number 7' | jq -c '.[1]'
# Another model with the same shape.
cp -r tiny other
slmctl generate -m other -n 2 --json --system "$(printf 'x%.0s' $(seq 200))" hi | jq .cached_tokens
slmctl status --json | jq .prefixes
# A limit that nothing fits into.
say --kv-cache 1 'number 7' | jq -c '.[1]'
slmctl status --json | jq .prefixes
say 'number 7' | jq -c '.[1]'
slmctl status --json | jq .prefixes
slmctl store rotate --new-key other.key >/dev/null 2>&1
slmctl status --json | jq .prefixes
export SLMCTL_KEY_FILE="$PWD/other.key"
say 'number 7' | jq -c '.[1]'
slmctl store erase --client nobody
slmctl status --json | jq .prefixes
slmctl store erase --conversation c7 -q
slmctl status --json | jq .prefixes
# A cache on another disk goes, too, and nothing else of what is there.
mkdir -p away s/cache
ln -s ../../away s/cache/kv
touch away/mine
say 'number 7' | jq -c '.[1]'
find away -name '*.kv' | grep -c .
slmctl store erase --conversation c8 -q
find away -type f
say 'number 7' | jq -c '.[1]'
slmctl store prune --max-size 1K -q 2>/dev/null
slmctl status --json | jq .prefixes
# A place that is taken is told.
rm -rf s/cache
touch s/cache
say 'number 7' | jq -c '.[1]'
# Without a store there is none.
SLMCTL_STORE=nowhere say 'number 7' | jq -c '.[1]'
[ -e nowhere ] || echo 'no store was made'
