# Reference values agree; a wrong one is found, and so is a missing one.
command -v python3 >/dev/null || { echo 'skip: python3 is not installed'; exit 0; }
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
cp -R "$SLMCTL_REFERENCE/fixtures/models/llama" m
chmod -R u+w m
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
python3 - <<'PY'
import json, struct
data = open("m/expected.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
head, body = json.loads(data[8:8 + n]), data[8 + n:]
begin, end = head["logits"]["data_offsets"]
for x in head.values():
    if "data_offsets" in x and x["data_offsets"][0] >= end:
        x["data_offsets"] = [at - (end - begin) + 12 for at in x["data_offsets"]]
head["logits"].update(shape=[1, 1, 3], data_offsets=[begin, begin + 12])
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
open("m/expected.safetensors", "wb").write(
    struct.pack("<Q", len(text)) + text + body[:begin + 12] + body[end:])
PY
slmctl model check m | sed -n 's/  */ /g;/^logits/p'
