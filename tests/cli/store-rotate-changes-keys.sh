# A plain store is encrypted, then gets another key, then other data keys: what
# is in it stays, what was in the files goes.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s,[^ ]*/home/,HOME/,'; }
make_logs 40 >log.jsonl
slmctl collect --no-encryption --import log.jsonl -q
slmctl store export >before
same() { slmctl store export --key-file "$1" | cmp - before && echo "$2"; }
grep -aqF 'Extract the table' s/store.db && echo 'plain text stands there'
slmctl store rotate --key-file one 2>&1 | ids
grep -aqF 'Extract the table' s/store.db* || echo 'and is gone'
same one 'opened with one'
slmctl store rotate --key-file one 2>&1 | ids
slmctl store rotate --key-file one --new-key two 2>&1 | ids
slmctl store export --key-file one 2>&1 | ids
same two 'opened with two'
slmctl store rotate --key-file two --data --quiet
same two 'opened with two again'
slmctl store verify --key-file two | grep -o '[0-9]* damages'
# The answer of the first command was lost, say: it is run again.
slmctl store rotate --key-file one --new-key two --quiet
same two 'a second time'
slmctl store keygen three 2>&1 | ids
slmctl store keygen three 2>&1
stat -c %a three
slmctl store keygen 2>&1 | ids
slmctl collect --import log.jsonl --key-file two --json | jq -c '[.added, .known]'
# The key has changed though what was computed of texts stays where it is.
mkdir -p other/x.kv s/cache
ln -s ../../other s/cache/kv
slmctl store rotate --key-file two --new-key four 2>&1 | ids
echo $?
same four 'opened with four'
