# cron mails every byte that is written: with nothing due there is none. What
# is due is told beforehand; what cannot be trained is told and ends as failed.
command -v jq >/dev/null || { echo "skip: no jq"; exit; }
for i in $(seq 120); do
    printf '{"timestamp":%s,"request":{"model":"m","messages":[{"role":"system","content":"Sort each report into its bin."},{"role":"user","content":"report number %s of week %s"}]},"response":{"id":"r%s","choices":[{"message":{"role":"assistant","content":"bin %s"},"finish_reason":"stop"}]}}\n' \
        $((1750000000 + i * 60)) "$i" $((i * 7919 % 1009)) "$i" $((i % 3))
done >log.jsonl
slmctl collect -q --import log.jsonl
slmctl retrain
echo "nothing due: $?"
slmctl retrain --dry-run --json | jq -c '.tasks[] | [.due, .why]'
slmctl retrain --dry-run --min-new 50 --json | jq -c '.tasks[] | [.due, .why]'
slmctl retrain --min-new 50 >said 2>&1
echo "no base: $?, $(grep -c ' failed: ' said) told, $(grep -c never_trained said) in the table"
printf '#!/bin/sh\njq -c "[.schema, .tasks[].failed]" >told\n' >hook
chmod +x hook
slmctl retrain --min-new 50 --notify ./hook >/dev/null 2>&1
cat told
slmctl retrain --task nobody
echo "no such task: $?"
