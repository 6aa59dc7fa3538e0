# Calls that are too old, or too many, go and stay away; a backup brings them
# back.
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
for i in 1 2 3 4 5 6; do
    printf '{"timestamp":%s,"request":{"model":"m","messages":[{"role":"user","content":"question %s"}]},"response":{"id":"r%s","choices":[]}}\n' $((1750000000 + i * 86400)) "$i" "$i"
done >old.jsonl
printf '{"timestamp":%s,"request":{"messages":[{"role":"user","content":"of today"}]},"response":{"id":"new"}}\n' "$(date +%s)" >new.jsonl
slmctl collect -q --import old.jsonl --import new.jsonl
store=$HOME/.local/share/slmctl
slmctl store backup copy.db
stat -c %a copy.db
slmctl store prune --older-than 30d --dry-run
slmctl store prune --older-than 30d | sed 's/[0-9]* bytes/N bytes/g;s/[0-9]* now/N now/'
slmctl store prune --older-than 30d
mkdir -p "$HOME/.config/slmctl"
echo 'store.prune.older-than = 30d' >"$HOME/.config/slmctl/config"
slmctl store prune --json | jq -c '[.calls, .pieces]'
rm "$HOME/.config/slmctl/config"
slmctl collect --json --import old.jsonl | jq -c '[.added, .known]'
slmctl store export | jq -r .request.messages[0].content
slmctl store verify | sed '$d'
sqlite3 "$store/store.db" 'SELECT count(*) FROM blob'
cp copy.db "$store/store.db"
slmctl store export | jq -r .request.messages[0].content
slmctl store verify | sed '$d'
for bad in "--older-than 3" "--older-than -3d" "--older-than 3dd" ""; do
    # shellcheck disable=SC2086
    slmctl store prune $bad
    echo "exit $?"
done
slmctl store backup "$store/store.db" 2>&1 | sed "s,$store,STORE,"
slmctl store backup nowhere/copy.db
echo "exit $?"
