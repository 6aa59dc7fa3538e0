# Two versions of a task: promoted, listed, rolled back, retired; what did not
# pass and what terms forbid is not promoted without a reason.
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 240
tiny_model 270 1 128
for name in one two; do
    slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 --as $name --force -q \
        >/dev/null
done
sqlite3 s/store.db "SELECT name, version, teacher, length(content) FROM model
    WHERE task NOTNULL"
slmctl model promote one
echo "exit $?"
sqlite3 s/store.db "INSERT INTO evaluation(task, model, split, created, verdict,
    detail) SELECT task, id, 'test', 0, CASE name WHEN 'one' THEN 'pass' ELSE 'fail'
    END, '{}' FROM model WHERE task NOTNULL;
    UPDATE task SET name = 'T'"
slmctl model promote one
slmctl model promote one
slmctl model promote two
echo "exit $?"
# A short look with a wide margin, and one as long, make no pass of that; nor
# does the short one that failed take a pass away.
sqlite3 s/store.db "CREATE TEMP TABLE look(name, verdict, margin, items);
    INSERT INTO look VALUES('two', 'fail', 0.03, 20), ('two', 'pass', 0.4, 5),
        ('two', 'pass', 0.4, 20), ('one', 'pass', 0.4, 20);
    INSERT INTO evaluation(task, model, split, created, verdict, detail)
        SELECT m.task, m.id, 'test', l.rowid, l.verdict, json_object('gate',
            json_object('margin', l.margin)) FROM look l JOIN model m USING(name)
        ORDER BY l.rowid;
    INSERT INTO evaluation_item(evaluation, example, score, reference, outcome)
        SELECT v.id, e.id, 1, 1, 'match' FROM evaluation v JOIN look l ON
            l.rowid = v.created JOIN example e WHERE e.id <= l.items"
slmctl model promote two
echo "exit $?"
slmctl model list --task T
slmctl model list --task T --json |
    jq -c '.models[] | [.name, .verdict, .margin, .items]'
slmctl model promote one
echo "exit $?"
slmctl model promote two --force 'measured elsewhere'
slmctl status --json | jq -c '[.champions[] | [.task, .model]], .due'
slmctl model list --task T
slmctl model list --task T --json | jq -c '.models[] | [.name, .champion, .verdict]'
slmctl model rollback T --reason 'slower'
slmctl model terms --set forbid gpt-4o --note 'terms of use'
slmctl model terms
slmctl model terms --set allow gpt-40
slmctl model terms --set unknown gpt-40
slmctl model terms --set allow ''
slmctl model terms --json | jq -c '.terms[].llm'
slmctl model rollback T --reason 'two
lines'
slmctl model promote two --force again
echo "exit $?"
slmctl model promote two --force again --override-terms 'asked' --json |
    jq -c '[.schema, .task, .model, .before]'
slmctl model retire two --reason old
slmctl model rollback T
echo "exit $?"
slmctl model promote two --force again
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 --as three -q --force
slmctl finetune --task 1 --model "$PWD/tiny" --tokens 500 --as three -q --force \
    --override-terms 'asked again' >/dev/null
slmctl model list --task T | sed 1d
slmctl model promote one --force ''
slmctl model remove one
slmctl store verify | grep -c champion
sqlite3 s/store.db "SELECT kind, command, reason FROM registry_event ORDER BY id"
# Calibrated, or answering by force without ever having been evaluated: the
# reason is told, not the database's.
slmctl model remove three
sqlite3 s/store.db "INSERT INTO calibration VALUES((SELECT id FROM model WHERE
    name = 'three'), 0, 1, x'', '{}'); DELETE FROM registry_event WHERE model =
    (SELECT id FROM model WHERE name = 'three')"
slmctl model remove three
sqlite3 s/store.db "DELETE FROM calibration; INSERT OR REPLACE INTO champion
    SELECT task, id, 0, 1 FROM model WHERE name = 'three'"
slmctl model remove three
sqlite3 s/store.db "DELETE FROM champion"
slmctl model remove three
echo "exit $?"
