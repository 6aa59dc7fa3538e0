# Run twice, the second run finds nothing to do: the stored result is shown in
# every form, no seal is opened, nothing is computed. What it depends on makes
# it due again.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
tiny_model 270 1 128
rows() {
    sqlite3 s/store.db "SELECT (SELECT count(*) FROM seal) || ' seals, ' ||
        (SELECT count(*) FROM evaluation) || ' evaluations'"
}
run() {
    slmctl eval --model "$PWD/tiny" --task 1 --no-base "$@" --junit x.xml \
        --markdown x.md --json >doc
    echo "exit $?, reused $(jq '.tasks[0].reused' doc), $(rows)"
}
run
mv doc first
cp x.xml first.xml
grep -v 'nothing has changed' x.md >first.md
run --threads 1 --batch 7
diff first.xml x.xml
grep -v 'nothing has changed' x.md | diff first.md -
jq 'del(.tasks[].reused)' first >a
jq 'del(.tasks[].reused)' doc | diff a -
slmctl eval --model "$PWD/tiny" --task 1 --no-base >table
echo "exit $?, $(rows)"
grep -c 'nothing has changed since the evaluation of 20' table
run --again
run --margin 4
run --seed 2
run --constrain off
run --constrain off
printf '{"id":"r1","gold":"odd"}\n' >gold
run --gold gold
run --gold gold
printf '{"id":"r2","gold":"even"}\n' >>gold
run --gold gold
# Other weights in the same place are another model.
jq '.rope_theta = 20000' tiny/config.json >c
mv c tiny/config.json
run
run
# So are examples that moved.
first=$(sqlite3 s/store.db "SELECT min(id) FROM example WHERE split = 'test'")
sqlite3 s/store.db "UPDATE example SET split = 'train' WHERE id = $first"
run
# A record that cannot be read is no result.
sqlite3 s/store.db "UPDATE evaluation SET record = '{}'"
run
