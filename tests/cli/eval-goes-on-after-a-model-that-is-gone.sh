# Of several tasks, one whose model is gone is told in one line and the others
# are judged: their verdict is the exit status, else 3; 1 if none is left.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key" SLMCTL_NO_ENCRYPTION=true
printf '%064d\n' 7 >key
chmod 600 key
make_logs 600 >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
tiny_model 280 1 256
slmctl finetune --all --model tiny --tokens 500 -q --json >/dev/null
first=$(sqlite3 s/store.db 'SELECT min(id) FROM task')
at=$(sqlite3 s/store.db "SELECT path FROM model WHERE task = $first")
[ -d "$at" ] || at=s/$at
mv "$at" gone
names='s,task [^:]*: [^:]*:,task T: D:,'
slmctl eval --no-base --json --junit x.xml --markdown x.md >doc 2>err
echo "exit $?"
sed "$names" err
jq -c '[(.tasks | length), (.untested | length), .untested[0].failed]' doc
grep -c '<error type="failed" message="task [^:]*: [^:]*: no such model' x.xml
grep -c 'not judged: task [^:]*: [^:]*: no such model' x.md
# What is left passes: the run is done in part.
sqlite3 s/store.db "UPDATE evaluation SET verdict = 'pass',
    record = json_set(record, '\$.verdict', 0)"
slmctl eval --no-base >out 2>err
echo "exit $?"
# None is left.
sqlite3 s/store.db "SELECT path FROM model WHERE task IS NOT NULL" |
    while read -r at; do
        [ -d "$at" ] || at=s/$at
        rm -rf "$at"
    done
slmctl eval --no-base >out 2>err
echo "exit $?"
cat out
sed "$names" err
