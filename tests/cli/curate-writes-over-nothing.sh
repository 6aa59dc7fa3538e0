# An export went onto the store's own database, or onto another output.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate -q
before=$(cksum <store/store.db)
ln -s store/store.db link
mkdir -p store/models
echo Ada >brands
for f in store/store.db ./store/../store/store.db-wal link store/lock.curate \
    store/models/x key; do
    slmctl curate -q --key-file key --export $f
    echo "exit $?"
done
slmctl curate -q --decisions store/store.db
slmctl curate -q --report store/store.db
slmctl curate -q --vault store/store.db
slmctl curate -q --export x --decisions ./x
slmctl curate -q --vault x --report x
slmctl curate -q --keep brands --export brands
slmctl curate --filter --vault key --key-file key </dev/null
cat brands
[ "$(cksum <store/store.db)" = "$before" ] && echo the same
slmctl curate -q --export store/train.jsonl && wc -l <store/train.jsonl
