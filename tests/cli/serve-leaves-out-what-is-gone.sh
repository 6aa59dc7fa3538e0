# A model that the store names, and whose files are gone, stops no server: it is
# left out, and told; --explain says so, too. One that --model names is an
# error, and so it is if nothing is left. Beside an upstream health and a model
# that is here are told here, the list is the upstream's.
for tool in curl jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
export SLMCTL_STORE="$PWD/first"
odd_even_store 40
sed 's/Say odd or even\./Name the colour of this fruit./; s/number /fruit /
    s/"odd"/"red"/; s/"even"/"blue"/; s/"c\([0-9]*\)"/"d\1"/; s/"r\([0-9]*\)"/"s\1"/' \
    log.jsonl >more.jsonl
export SLMCTL_STORE="$PWD/store"
slmctl collect --import log.jsonl -q >/dev/null
slmctl collect --import more.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
cp -r "$TREE/data/base" there
cp -r "$TREE/data/base" away
slmctl model add there --as stays >/dev/null
slmctl model add away --as goes >/dev/null
sqlite3 store/store.db "INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m
    WHERE m.name = CASE WHEN t.name LIKE '%odd%' THEN 'stays' ELSE 'goes' END"
sqlite3 store/store.db 'SELECT count(*), count(DISTINCT model) FROM champion'
task=$(sqlite3 store/store.db "SELECT name FROM task WHERE name LIKE '%odd%'")
other=$(sqlite3 store/store.db "SELECT name FROM task WHERE name NOT LIKE '%odd%'")
mv away elsewhere
begin() { # FILE OPTIONS: the server's process and url
    said=$1
    shift
    rm -f "$said"
    slmctl serve --listen 127.0.0.1:0 "$@" 2>"$said" &
    server=$!
    await "$said" 'listening on'
    url=http://127.0.0.1:$(address "$said")
}
list() {
    curl -sS -m 20 "$url/v1/models" | jq -r '.data[].id' | sed "s/^$task\$/TASK/"
}
begin all.said
list
grep -c "model $other is not served:" all.said
kill "$server"
wait "$server"
begin named.said --task "$task" --task "$other"
list
grep -c "model $other is not served:" named.said
kill "$server"
wait "$server"
slmctl serve --listen 127.0.0.1:0 --task "$other" 2>&1 | grep -o 'nothing is left to serve'
slmctl serve --listen 127.0.0.1:0 --task nonesuch >/dev/null 2>&1
echo "unknown task: exit $?"
slmctl serve --listen 127.0.0.1:0 --model goes >/dev/null 2>&1
echo "by name: exit $?"
body='"messages":[{"role":"system","content":"Name the colour of this fruit."},{"role":"user","content":"fruit 9"}]}'
echo "{\"model\":\"x\",$body" >fruit.json
slmctl serve --explain fruit.json --mode on --json 2>told | jq -c '[.to, .reason]'
grep -c 'the model is not served' told
slmctl serve --explain fruit.json --mode on --generate --json 2>/dev/null |
    jq -c '[.to, .reason, has("answer")]'
begin up.said --store up --model "big=$PWD/there"
first=$server up=$url
begin beside.said --upstream "$up" --mode off --model "m1=$PWD/there"
list
curl -sS -m 20 "$url/v1/models/m1" | jq -r .id
curl -sS -m 20 -o /dev/null -w '%{http_code}\n' "$url/v1/models/none"
kill "$first"
wait "$first"
curl -sS -m 20 "$url/health"
echo
curl -sS -m 20 -o /dev/null -w '%{http_code}\n' "$url/v1/models"
kill "$server"
wait "$server"
mv there gone
slmctl serve --listen 127.0.0.1:0 2>&1 | grep -o 'nothing is left to serve'
