# Killed in its last step: status and --dry-run say where the run stands, and a
# call that asks for something else is told that the old run goes on instead.
command -v jq >/dev/null || { echo "skip: no jq"; exit; }
for i in $(seq 120); do
    printf '{"timestamp":%s,"request":{"model":"m","messages":[{"role":"system","content":"Sort each report into its bin."},{"role":"user","content":"report number %s of week %s"}]},"response":{"id":"r%s","choices":[{"message":{"role":"assistant","content":"bin %s"},"finish_reason":"stop"}]}}\n' \
        $((1750000000 + i * 60)) "$i" $((i * 7919 % 1009)) "$i" $((i % 3))
done >log.jsonl
slmctl collect -q --import log.jsonl
slmctl curate -q
slmctl cluster -q
slmctl retrain --dry-run --json | jq -c .resumes
printf '#!/bin/sh\nkill -9 $PPID\n' >hook
chmod +x hook
{ slmctl retrain --min-new 50 --task sort-report-bin --notify ./hook >said; } \
    2>/dev/null
echo "killed: $?"
slmctl status | grep '^retrain'
slmctl status --json | jq -c '.resumes | [.run, .step, .task, .tasks]'
slmctl retrain --dry-run | head -1 | sed 's/of 20[^ ]* /of TIME /'
slmctl retrain --dry-run --json | jq -c '.resumes | [.run, .step, .task, .tasks]'
slmctl retrain --psi 1 --json 2>said |
    jq -c '.run, (.tasks[] | [.failed, .before, .champion_before])'
grep 'run 1' said
slmctl status | grep '^retrain' | sed 's/20[0-9T:-]*Z/TIME/'
slmctl retrain --dry-run --json | jq -c .resumes
