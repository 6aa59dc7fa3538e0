#!/bin/sh
# completions.sh SLMCTL - the files in completions/ are what the program
# prints, and the shells that are here accept them.
set -u
slmctl=$1
bad=0
for shell in bash zsh fish; do
    "$slmctl" completion $shell | diff -u completions/slmctl.$shell - ||
        { echo "completions: slmctl.$shell is stale: make completions"; bad=1; }
    command -v $shell >/dev/null || continue
    $shell -n completions/slmctl.$shell || bad=1
done
if command -v shellcheck >/dev/null; then
    shellcheck -s bash completions/slmctl.bash || bad=1
fi
exit $bad
