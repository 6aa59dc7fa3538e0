# --replay X: all that is new since the newest data set, and X times as many of
# what was there, evenly over its age; all where nothing is new.
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
tiny_model 270 1 128
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 -q >/dev/null
sed 's/"number /"later number /; s/"c\([0-9]*\)"/"d\1"/; s/"r\([0-9]*\)"/"q\1"/' \
    log.jsonl | head -n 80 >later.jsonl
slmctl collect --import later.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
# Trained examples of a data set: new ones, all that there are of these, old
# ones, and how many of the old lie in the older half.
learnt() {
    sqlite3 -separator ' ' s/store.db "SELECT 'new', sum(e.call > 240), 'of',
        (SELECT count(*) FROM example WHERE kept AND split = 'train' AND
        call > 240), 'old', sum(e.call <= 240), 'of', (SELECT count(*) FROM
        example WHERE kept AND split = 'train' AND call <= 240),
        'older half', sum(e.call <= 120) FROM dataset_example d JOIN example e
        ON e.id = d.example WHERE d.trained AND d.dataset = $1"
}
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 -q --replay 0.5 \
    >/dev/null
learnt 2
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 -q --replay 0.5 \
    --force >/dev/null
learnt 3
