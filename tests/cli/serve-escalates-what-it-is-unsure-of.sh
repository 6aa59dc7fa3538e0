# A calibrated champion's answer that is likely wrong goes to the upstream, with
# reason low_confidence; others are kept. Both sides are the shipped base, so
# that what is compared is who answered.
for tool in curl jq sqlite3; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed"; exit 0; }
done
. "$TREE/tests/cli/lib/train.subr"
. "$TREE/tests/cli/lib/wait.subr"
export SLMCTL_STORE="$PWD/store"
form='"response_format":{"type":"json_schema","json_schema":{"name":"parity","schema":{"type":"object","properties":{"parity":{"enum":["odd","even"]}},"required":["parity"],"additionalProperties":false}}}'
printf '%064d\n' 7 >key
chmod 600 key
export SLMCTL_KEY_FILE="$PWD/key"
i=0
while [ $i -lt 400 ]; do
    i=$((i + 1))
    [ $((i % 2)) = 0 ] && a=even || a=odd
    printf '{"conversation_id":"c%d","request":{"model":"gpt-4o","messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number %d"}],%s},"response":{"id":"r%d","choices":[{"message":{"role":"assistant","content":"{\\"parity\\":\\"%s\\"}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":1}}}\n' $i $i "$form" $i $a
done >log.jsonl
slmctl collect --import log.jsonl -q >/dev/null
slmctl curate -q >/dev/null
slmctl cluster -q >/dev/null
slmctl model add "$TREE/data/base" --as shipped >/dev/null
sqlite3 store/store.db "UPDATE example SET split = 'validation' WHERE id % 7;
    INSERT INTO champion(task, model, since, event)
    SELECT t.id, m.id, 1, 0 FROM task t, model m"
slmctl eval --task 1 --model shipped --split validation --no-base --calibrate \
    --floor 25 --json >eval.json
jq -c '.tasks[0].calibration | [.learnt, .items + .unusable > 300, .errors > 20,
    .ece_after < .ece_before, .threshold > 0, .share > 0, .share < 1]' eval.json
slmctl serve --store up --listen 127.0.0.1:0 --model "gpt-4o=$TREE/data/base" \
    2>up.said &
up=$!
await up.said 'listening on'
slmctl serve --listen 127.0.0.1:0 --upstream "http://127.0.0.1:$(address up.said)" \
    --mode on --audit 0 2>said &
server=$!
await said 'listening on'
i=400
while [ $i -lt 460 ]; do
    i=$((i + 1))
    curl -sS -m 20 "http://127.0.0.1:$(address said)/v1/chat/completions" \
        -d '{"model":"gpt-4o","messages":[{"role":"system","content":"Say odd or even."},{"role":"user","content":"number '$i'"}],'"$form}" |
        jq -r .model
done | sort >answered
kill "$server" "$up"
wait "$server" "$up"
sqlite3 store/store.db "SELECT 'escalated ' || (count(*) = $(grep -c gpt-4o answered)
        AND count(*) > 0), min(p_error) > (SELECT detail ->> '\$.threshold' FROM calibration),
        sum(error), min(p_error > threshold) FROM decision WHERE reason = 'low_confidence';
    SELECT 'kept ' || (count(*) = $(grep -c shipped answered) AND count(*) > 0),
        max(p_error) <= (SELECT detail ->> '\$.threshold' FROM calibration)
        FROM decision WHERE went = 'slm';
    SELECT DISTINCT went, reason FROM decision ORDER BY 1, 2;
    SELECT count(*) FROM route"
# What was learnt of answers by matrices kept in one way is told of another.
sqlite3 store/store.db "UPDATE calibration SET detail = json_set(detail, '\$.weights', 'q8_0')"
slmctl serve --listen 127.0.0.1:0 --upstream http://127.0.0.1:9 --mode on 2>said &
server=$!
await said 'listening on'
kill "$server"
wait "$server"
grep -o 'model shipped was.*' said
