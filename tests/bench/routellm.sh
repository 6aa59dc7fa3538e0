#!/bin/sh
# routellm.sh [BENCH_ROUTELLM] - a learnt router on RouteLLM's published answers
#
# SLMCTL_ROUTELLM is a clone of its repository (lm-sys/RouteLLM, 0b64fda): its
# answers of Mixtral 8x7B and GPT-4 to GSM8K and MMLU. Nothing is downloaded.
set -eu
[ -n "${SLMCTL_ROUTELLM:-}" ] || { echo "skip: SLMCTL_ROUTELLM is not set"; exit 0; }
command -v python3 >/dev/null || { echo "skip: no python3"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
git -C "$SLMCTL_ROUTELLM" archive HEAD routellm/evals | tar -x -C "$dir"
python3 "${0%/*}/routellm.py" "$dir/routellm/evals" "$dir/gsm8k.jsonl" "$dir/mmlu.jsonl"
bench=${1:-build/release/bench_routellm}
"$bench" gsm8k "$dir/gsm8k.jsonl"
"$bench" mmlu "$dir/mmlu.jsonl"
