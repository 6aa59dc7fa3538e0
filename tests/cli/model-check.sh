# Reference values agree; a wrong one is found, and so is a missing one.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
cp -R "$SLMCTL_REFERENCE/fixtures/models/llama" m
slmctl model check m --values v.safetensors >out; echo "exit $?"
awk 'NR > 1 { n[$3]++ } END { for (k in n) print k, n[k] }' out
slmctl model check m --adapter m/adapter >out; echo "exit $?"
awk 'NR > 1 { n[$3]++ } END { for (k in n) print k, n[k] }' out
sed -i 's/"loss": 7/"loss": 8/; s/"greedy_prompt": \[/"greedy_prompt": [1000000, /' m/expected.json
slmctl model check m; echo "exit $?"
sed -i 's/"greedy_prompt"/"no"/' m/expected.json
slmctl model check m --json |
    jq -c '.schema, (.quantities[] | select(.verdict != "ok") | del(.error))'
slmctl model check m --adapter m/adapter-dora >out; echo "exit $?"
