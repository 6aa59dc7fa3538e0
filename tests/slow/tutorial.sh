#!/bin/sh
# tutorial.sh SLMCTL - run every command of slmctl-tutorial(7) as it stands
# there, in a directory that holds the source's data, and stop at the first
# that fails.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "$(dirname "$1")" && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

if [ ! -f "$tree/data/base/model.safetensors" ]; then
    echo "skip: the base model is not in data/base"
    exit 0
fi
ln -s "$tree/data" "$scratch/data"
export PATH="$bin:$PATH" HOME="$scratch" XDG_CONFIG_HOME="$scratch/config"
{
    echo 'set -eu'
    # shellcheck disable=SC2016 # for the commands' shell
    echo 'trap '\''kill ${llm-} ${proxy-} ${server-} 2>/dev/null || :'\'' EXIT'
    sed -n 's/^\.Dl \$ //p' "$tree/man/slmctl-tutorial.7" |
        while IFS= read -r command; do
            printf "echo '%s'\n" "$(printf %s "$command" | sed "s/'/'\\\\''/g")"
            printf '%s\n' "$command"
        done
} >"$scratch/commands"
[ "$(grep -c slmctl "$scratch/commands")" -ge 20 ] || {
    echo "the tutorial has lost its examples"
    exit 1
}
cd "$scratch" && sh commands >log 2>&1 </dev/null && exit 0
echo "failed after:"
tail -n 5 log
exit 1
