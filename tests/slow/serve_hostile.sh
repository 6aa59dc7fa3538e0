#!/bin/sh
# serve_hostile.sh SLMCTL - clients that want too much, say nonsense, read
# slowly or leave: each is refused in one answer of the right status or served,
# nobody else waits for it, and afterwards no slot, descriptor or memory is
# missing.
set -u
slmctl=$1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
command -v python3 >/dev/null || { echo 'skip: python3 is not installed'; exit 0; }
[ -f data/base/model.safetensors ] || { echo 'skip: no base model'; exit 0; }
export SLMCTL_STORE="$scratch/store" XDG_CONFIG_HOME="$scratch/config"
python3 tests/slow/lib/serve_hostile.py "$slmctl" data/base "$scratch"
