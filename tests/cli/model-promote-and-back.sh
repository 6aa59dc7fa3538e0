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
slmctl model promote two --force 'measured elsewhere'
slmctl status --json | jq -c '[.champions[] | [.task, .model]], .due'
slmctl model list --task T
slmctl model list --task T --json | jq -c '.models[] | [.name, .champion, .verdict]'
slmctl model rollback T --reason 'slower'
slmctl model terms --set forbid gpt-4o --note 'terms of use'
slmctl model terms
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
