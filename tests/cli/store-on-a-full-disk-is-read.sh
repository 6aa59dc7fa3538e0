# Where not even the index of a write-ahead file finds room the store is shown,
# with what a writer that was killed had left in that file; serve, which stands
# before the LLM, starts.
. "$TREE/tests/cli/lib/common.subr"
if [ -z "${INSIDE:-}" ]; then
    unshare -rm true 2>/dev/null || { echo "skip: no namespaces"; exit; }
    command -v python3 >/dev/null || { echo "skip: no python3"; exit; }
    mkdir m
    INSIDE=1 exec unshare -rm sh "$0"
fi
mount -t tmpfs -o size=6m tmpfs m 2>/dev/null || { echo "skip: no tmpfs"; exit; }
export SLMCTL_STORE="$PWD/m/s"
make_logs 20 >logs
slmctl collect -q --import logs
slmctl curate -q
slmctl cluster -q
cat /dev/zero >m/fill 2>/dev/null
slmctl status --json | jq .calls
slmctl report | grep '^20 calls' | cut -c 1-8
slmctl cluster 2>/dev/null
echo "cluster: $?"
slmctl serve --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 2>said &
for _ in $(seq 100); do
    grep -qs "^listening" said && break
    sleep 0.1
done
sed 's/:[0-9]*$/:PORT/' said
kill $!
wait $!
rm m/fill
python3 - m/s/store.db <<'PY'
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE task SET name = 'written-last' WHERE id = 1")
db.commit()
os._exit(0)
PY
rm m/s/store.db-shm
cat /dev/zero >m/fill 2>/dev/null
slmctl report | grep -c '^written-last'
