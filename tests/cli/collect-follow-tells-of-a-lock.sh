# A store that others lock is waited for, and its user is told once, before the
# wait is long.
. "$TREE/tests/cli/lib/wait.subr"
if ! command -v python3 >/dev/null; then
    echo "skip: python3 is not installed"
    exit 0
fi
cat >lock.py <<'END'
import sqlite3, time
db = sqlite3.connect("store/store.db", isolation_level=None)
db.execute("BEGIN IMMEDIATE")
open("locked", "w").write("yes\n")
time.sleep(7)
db.execute("ROLLBACK")
END
echo '{"request":{"q":1},"response":{"a":1}}' >app.log
slmctl collect --store store --follow app.log 2>said >counts &
follower=$!
calls() {
    n=0
    until [ "$(slmctl status --store store --json | jq .calls)" = "$1" ] ||
        [ $n -ge 100 ]; do
        n=$((n + 1))
        sleep 0.1
    done
}
await said following
calls 1
python3 lock.py &
await locked yes
echo '{"request":{"q":2},"response":{"a":1}}' >>app.log
await said 'takes calls again'
calls 2
slmctl status --store store --json | jq .calls
kill $follower
wait
sed "s|/.*/store.db|store.db|; s|/.*/app|app|" said
