# --curve prints cost and quality of calls that were compared with the LLM, and
# of validation items as the calibration has them.
for tool in jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE="$PWD/store"
odd_even_store 60
slmctl serve --curve
echo "exit $?"
slmctl model add "$TREE/data/base" --as shipped >/dev/null
sqlite3 store/store.db 'INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m'
slmctl serve --curve
# The likelier an error was, the more of the answers were wrong.
sqlite3 store/store.db "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1
    FROM n WHERE i < 60) INSERT INTO decision(key, time, task, model, went,
    reason, p_error, agreement) SELECT randomblob(16), i, (SELECT id FROM task),
    1, iif(i % 3, 'shadow', 'slm'), 'shadow', i / 60.0, i < 40 FROM n;
    INSERT INTO calibration(model, time, version, data, detail) SELECT id, 1, 1,
    x'00', '{\"items\":300,\"share\":0.5,\"quality\":0.9,\"aiq\":0.8,\"curve\":[
    {\"llm_share\":0,\"cost\":0,\"quality\":0.7},
    {\"llm_share\":1,\"cost\":1,\"quality\":1}]}' FROM model"
slmctl serve --curve
slmctl serve --curve --json --task say-odd-even |
    jq -c '[.schema, (.tasks[] | .task, .calls, .compared, .validation.aiq,
        .log.cpt50, .log.apgr < 1, (.log.curve | length))]'
slmctl serve --curve --task nobody
echo "exit $?"
slmctl serve --curve --explain x
echo "exit $?"
