#!/bin/sh
# estimate_truth.sh SLMCTL [STORE [KEY_FILE]] - what `slmctl estimate` says
# beside what is true.
#
# Of the logs of $SLMCTL_REFERENCE: totals are counted again and must be equal;
# a sample of a fifth must find the shares of a large one within five points;
# and where a log has labels, each labelled task of a twentieth of the calls must
# be found with its number of calls, within a tenth.
# Of each chat model of $SLMCTL_PRICES, LiteLLM's table: a call of it must cost
# what the table says.
# Of the shipped agent log: the share of calls in tasks that passed, as a
# finished demonstration's store (make demo) found it, must lie in the range.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$1
store=${2:-$tree/build/demo/store}
key=${3:-$tree/build/demo/config/slmctl/key}
command -v python3 >/dev/null || {
    echo "skip: python3 is not installed"
    exit 0
}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
failed=0
# In LiteLLM's form, with fields and rows that are nothing to slmctl.
cat >"$tmp/prices" <<'EOF'
{"sample_spec": {"input_cost_per_token": "a number", "mode": "one of: chat"},
 "gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
   "cache_read_input_token_cost": 1.25e-06, "max_tokens": 16384,
   "search_context_cost_per_query": {"search_context_size_low": 0.03},
   "supported_modalities": ["text", "image"], "supports_vision": true},
 "no/price": {"output_cost_per_image": 0.04, "input_cost_per_token": null}}
EOF
cat >"$tmp/compare.py" <<'EOF'
import collections
import json
import sys

tmp = sys.argv[1]
said, part = (json.load(open(f"{tmp}/{name}")) for name in ("all", "part"))
calls = failed = tokens_in = tokens_out = 0
dollars = 0.0
answered = set()
for number, line in enumerate(open(f"{tmp}/log"), 1):
    call = json.loads(line)
    calls += 1
    response = call.get("response") or {}
    if call.get("status", "completed") != "completed":
        failed += 1
        continue
    answered.add(number)
    usage = response.get("usage")
    if not usage:
        continue
    tokens_in += usage["prompt_tokens"]
    tokens_out += usage["completion_tokens"]
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    if call["request"]["model"].startswith("gpt-4o"):
        dollars += ((usage["prompt_tokens"] - cached) * 2.5 + cached * 1.25
                    + usage["completion_tokens"] * 10) / 1e6
wrong = []


def same(what, a, b, tolerance=0):
    if abs(a - b) > tolerance:
        wrong.append(f"{what}: said {a}, counted {b}")


same("calls", said["calls"], calls)
same("failed", said["failed"], failed)
if not said["calls_with_guessed_tokens"]:
    same("tokens in", said["tokens_in"], tokens_in)
    same("tokens out", said["tokens_out"], tokens_out)
    same("dollars", said["dollars"], dollars, 1e-6)
for side in (0, 1):
    same("share of a sample", part["share_calls"][side],
         said["share_calls"][side], .05)
low, high = said["share_calls"]
if not 0 <= low <= high <= 1:
    wrong.append(f"no range: {low} to {high}")
rows = [row.rstrip("\n").split("\t") for row in open(f"{tmp}/labels")][1:]
true = collections.Counter(
    row[1] for row in rows if int(row[0]) in answered)
found = [task["calls"] for task in said["tasks"]]
large = [(n, task) for task, n in true.items() if n >= calls / 20]
for n, task in large:
    if not any(abs(n - f) <= n / 10 for f in found):
        wrong.append(f"no task of about {n} calls: {task}")
print(f"{calls} calls, {failed} failed, ${said['dollars']:.2f}; could move "
      f"{low:.3f} to {high:.3f}, by a sample of {part['sampled']:.2f} "
      f"{part['share_calls'][0]:.3f} to {part['share_calls'][1]:.3f}; "
      f"{len(large)} labelled tasks of a twentieth or more")
for line in wrong:
    print("not ok", line)
sys.exit(bool(wrong))
EOF

compare() { # LOG LABELS SAMPLE
    zstdcat "$1" >"$tmp/log"
    : >"$tmp/labels"
    [ ! -f "$2" ] || zstdcat "$2" >"$tmp/labels"
    "$slmctl" estimate --json --prices "$tmp/prices" "$tmp/log" >"$tmp/all" &&
        "$slmctl" estimate --json --prices "$tmp/prices" --sample "$3" \
            "$tmp/log" >"$tmp/part" &&
        python3 "$tmp/compare.py" "$tmp"
}

logs=${SLMCTL_REFERENCE:-}/data/agent-logs
if [ -d "$logs" ]; then
    for log in agentmix:2000 tau-bench-airline:500 metagpt:1000; do
        name=${log%:*}
        printf '%s: ' "$name"
        compare "$logs/$name.jsonl.zst" "$logs/$name.labels.tsv.zst" \
            "${log#*:}" || failed=1
    done
else
    echo "skip: SLMCTL_REFERENCE names no logs"
fi

cat >"$tmp/priced.py" <<'EOF'
import json
import sys

rows = {name: row for name, row in json.load(open(sys.argv[1])).items()
        if row.get("mode") == "chat"
        and isinstance(row.get("input_cost_per_token"), (int, float))
        and isinstance(row.get("output_cost_per_token"), (int, float))}
if sys.argv[3:]:
    said = json.load(open(sys.argv[3]))
    total = float(open(sys.argv[2] + ".total").read())
    print(f"prices: {len(rows)} models, said ${said['dollars']:.9f}, "
          f"counted ${total:.9f}")
    sys.exit(said["calls_without_price"] != 0
             or abs(said["dollars"] - total) > 1e-9)
total = 0
with open(sys.argv[2], "w") as log:
    for i, (name, row) in enumerate(rows.items()):
        usage = 1000 * (i % 7 + 1), 300 * (i % 3), 50 + i % 11
        kept = row.get("cache_read_input_token_cost")
        if kept is None:
            kept = row["input_cost_per_token"]
        total += ((usage[0] - usage[1]) * row["input_cost_per_token"]
                  + usage[1] * kept + usage[2] * row["output_cost_per_token"])
        log.write(json.dumps({
            "timestamp": 1700000000 + i,
            "request": {"model": name, "messages": [
                {"role": "user", "content": f"question {i}"}]},
            "response": {"choices": [{"message": {
                "role": "assistant", "content": "a"}}],
                "usage": {"prompt_tokens": usage[0],
                          "completion_tokens": usage[2],
                          "prompt_tokens_details": {
                              "cached_tokens": usage[1]}}}}) + "\n")
open(sys.argv[2] + ".total", "w").write(repr(total))
EOF
if [ -f "${SLMCTL_PRICES:-}" ]; then
    { python3 "$tmp/priced.py" "$SLMCTL_PRICES" "$tmp/log" &&
        "$slmctl" estimate --json --prices "$SLMCTL_PRICES" "$tmp/log" \
            >"$tmp/all" &&
        python3 "$tmp/priced.py" "$SLMCTL_PRICES" "$tmp/log" "$tmp/all"; } ||
        failed=1
else
    echo "skip: SLMCTL_PRICES names no table"
fi

[ -f "$store/store.db" ] || {
    echo "skip: no store of a demonstration; make demo makes one"
    exit $failed
}
"$slmctl" estimate --json "$tree/data/agent/logs.jsonl.zst" >"$tmp/estimate" &&
    "$slmctl" report --json --store "$store" --key-file "$key" >"$tmp/report" ||
    exit 1
python3 - "$tmp/estimate" "$tmp/report" <<'EOF' || failed=1
import json
import sys

said, found = (json.load(open(path)) for path in sys.argv[1:])
share = found["saved_if_passed_move"]["calls"] / found["calls"]
low, high = said["share_calls"]
print(f"demonstration: could move {low:.3f} to {high:.3f}, passed {share:.3f}")
sys.exit(not low <= share <= high)
EOF
exit $failed
