# An encrypted store whose setting `encryption` was deleted is damaged, not one
# that is being changed; a cut database says what to do.
. "$TREE/tests/cli/lib/common.subr"
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
make_logs 200 >log.jsonl
try() {
    slmctl "$@" 2>&1
    echo "exit $?"
}
for store in keyed sealed; do
    slmctl store keygen -q --sealed pair 2>keygen || true
    seal=
    [ $store = keyed ] || seal='--seal-to pair.pub --private-key pair'
    slmctl collect -q --store $store --import log.jsonl $seal
    sqlite3 $store/store.db "DELETE FROM setting WHERE name = 'encryption'"
    try store verify --store $store
    try collect --store $store --import log.jsonl $seal
done
slmctl collect -q --store cut --import log.jsonl
head -c 30000 cut/store.db >part
mv part cut/store.db
try store verify --store cut
head -c 3000 /dev/zero >cut/store.db
try store verify --store cut
