#!/bin/sh
# estimate_truth.sh SLMCTL STORE [KEY_FILE] - what `slmctl estimate` says of the
# shipped agent log beside what a finished demonstration's store (make demo)
# found: the share of calls in tasks that passed must lie within the range.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$1
store=${2:-$tree/build/demo/store}
key=${3:-$tree/build/demo/config/slmctl/key}
command -v python3 >/dev/null || {
    echo "skip: python3 is not installed"
    exit 0
}
[ -f "$store/store.db" ] || {
    echo "skip: no store of a demonstration; make demo makes one"
    exit 0
}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
"$slmctl" estimate --json "$tree/data/agent/logs.jsonl.zst" >"$tmp/estimate" &&
    "$slmctl" report --json --store "$store" --key-file "$key" >"$tmp/report" ||
    exit 1
python3 - "$tmp/estimate" "$tmp/report" <<'EOF'
import json
import sys

said, found = (json.load(open(path)) for path in sys.argv[1:])
share = found["saved_if_passed_move"]["calls"] / found["calls"]
low, high = said["share_calls"]
print(f"range {low:.3f} to {high:.3f}, passed {share:.3f}")
sys.exit(not low <= share <= high)
EOF
