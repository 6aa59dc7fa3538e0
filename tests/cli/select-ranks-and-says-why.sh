# A store with one task of tool calls and no examples: the catalogue alone.
mkdir store
{
    cat "$TREE"/data/schema/*.sql
    echo "PRAGMA application_id = 0x534C4D31;"
    echo "PRAGMA user_version = $(find "$TREE"/data/schema -name "*.sql" | wc -l);"
    echo "INSERT INTO task(name, label, kind, created)"
    echo "VALUES('book-flight', 'books flights', 'tool', 0);"
} | sqlite3 store/store.db
slmctl select --store store --license commercial --max-memory 12G \
    --min-context 4096 --top 3 >table
echo "exit $?"
sed 's/  */ /g; s/predicted [0-9.]*/predicted N/' table # this machine's
slmctl select --store store --offline --all | grep -c 'not here'
slmctl select --store store --json --max-memory 1M |
    jq -c '.schema, ([.tasks[0].candidates[] | select(.rank > 0)] | length)'
slmctl select --store store --task no-such-task
echo "exit $?"
# What-if runs have not touched the store; --save and a plain run do.
ranks() {
    sqlite3 store/store.db "SELECT count(*) > 80, count(*) > 0, sum(rank > 0) > 0 FROM candidate"
}
ranks
slmctl select --store store -q >/dev/null
ranks
slmctl select --store store --min-context 100000000 --json 2>/dev/null |
    jq -c '.stored'
ranks
slmctl select --store store --min-context 100000000 --save --json 2>/dev/null |
    jq -c '.stored'
ranks
slmctl select --store store --all | grep -c '1e+03' # 999.9 M parameters
