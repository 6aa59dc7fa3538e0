# What an erase packs again stays under the key of the collector it came from:
# it does not open without the private key, and the chain still holds.
. "$TREE/tests/cli/lib/common.subr"
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
export SLMCTL_STORE=s
make_logs 400 >log.jsonl
slmctl store keygen -q --sealed private
slmctl collect -q --import log.jsonl --seal-to private.pub --private-key private
slmctl curate -q --private-key private
head=$(slmctl store verify --private-key private | sed -n 's/^head //p')
keys() { sqlite3 s/store.db "SELECT DISTINCT kind FROM logged JOIN blob ON blob.id IN (request, response) JOIN data_key ON data_key.id = key"; }
keys
sqlite3 s/store.db 'SELECT count(*) > 0 FROM dictionary'
conversation=$(sqlite3 s/store.db 'SELECT min(conversation) FROM logged')
slmctl store erase -q --conversation "$conversation" --private-key private
keys
slmctl store verify --private-key private --head "$head" | grep -c '; 0 damages'
slmctl store export -q >out 2>&1
echo "exit $?"
