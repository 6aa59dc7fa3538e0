# The chain agrees with what was logged, and a head that was noted earlier shows
# that calls were taken away.
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
for i in 1 2 3 4; do
    printf '{"timestamp":17500000%s0,"request":{"model":"m","messages":[{"role":"user","content":"q %s"}]},"response":{"id":"r%s","choices":[]}}\n' "$i" "$i" "$i" >"$i.jsonl"
    slmctl collect -q --import "$i.jsonl"
    slmctl store verify | sed -n 's/^head //p' >"$i.head"
done
slmctl store verify | sed '$d'
slmctl store verify --head "$(cat 2.head)" | sed '$d'
store=$HOME/.local/share/slmctl
sql() { sqlite3 "$store/store.db" "$1"; }
sql "UPDATE logged SET time = time + 1 WHERE id = 2"
slmctl store verify | sed '$d'
sql "UPDATE logged SET time = time - 1 WHERE id = 2"
sql "DELETE FROM logged WHERE id = 4; DELETE FROM ledger WHERE last = 4"
slmctl store verify --head "$(cat 3.head)" | sed '$d'
slmctl store verify --head "$(cat 4.head)" >out
echo "exit $?"
sed '$d' out
slmctl store verify --head "$(cat 4.head)" --json | jq -c '[.calls, .damaged, .findings[]]'
slmctl store verify --head 12
echo "exit $?"
