# Rewards, labels and answers find their calls by three names.
for i in 1 2 3; do
    printf '{"conversation_id":"c%d","request":{"messages":[]},' $((i / 2))
    printf '"response":{"id":"r%d","choices":[]}}\n' $i
done | slmctl collect -q --store store --no-encryption --import -
cat >outcomes.jsonl <<'.'
{"conversation_id":"c1","reward":1}
{"response_id":"r1","label":"good"}
{"call":3,"outcome":{"answer":"42","reviewer":"ann"}}
{"response_id":"nobody","reward":0}
.
slmctl collect --store store --outcomes outcomes.jsonl 2>err
echo "exit $?"
# The same again, as under cron: nothing has changed, nothing is said of it.
sed '$d' outcomes.jsonl >good.jsonl
slmctl collect --store store --outcomes good.jsonl
echo "again: exit $?"
slmctl collect --store store --import - --outcomes -
echo "twice stdin: exit $?"
slmctl collect --store none --outcomes outcomes.jsonl 2>&1 | sed 's/.*none: //'
sqlite3 store/store.db "SELECT call, reward, label, answer, extra FROM outcome"
jq -r .reason store/rejected/*
