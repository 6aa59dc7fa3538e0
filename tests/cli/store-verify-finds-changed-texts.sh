# Texts of an encrypted store that were changed or put in the place of others:
# each is told, also where the chain does not cover it.
. "$TREE/tests/cli/lib/common.subr"
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
export SLMCTL_STORE=s
for i in 1 2 3; do
    printf '{"request":{"model":"m","messages":[{"role":"user","content":"q %s"}]},"status":"completed","error":"e%s","response":{"id":"r%s","choices":[]},"outcome":{"reward":1,"label":"l%s"}}\n' "$i" "$i" "$i" "$i"
done | slmctl collect -q --import -
slmctl store verify | sed '$d'
cp s/store.db kept.db
try() {
    cp kept.db s/store.db
    rm -f s/store.db-wal s/store.db-shm
    sqlite3 s/store.db "$1"
    slmctl store verify >out
    echo "exit $?"
    sed '/^head/d' out
}
try "UPDATE outcome SET label = (SELECT label FROM outcome WHERE call = 2) WHERE call = 3"
try "UPDATE outcome SET label = 'plain' WHERE call = 1"
try "UPDATE logged SET error = '~1:AAAA' WHERE id = 2"
