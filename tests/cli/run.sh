#!/bin/sh
# run.sh SLMCTL [NAME...] - run tests of the program as a whole.
#
# NAME.sh runs in an empty directory of its own, with a home, a configuration
# and a store of its own, the program in PATH, and stdin closed. With NAME.out,
# NAME.err or NAME.exit beside it (an absent one: empty, 0), its output must
# equal them. UPDATE=1 rewrites them. A test that cannot run here prints
# `skip: why` as its only line.
set -u
here=$(cd "$(dirname "$0")" && pwd)
TREE=$(cd "$here/../.." && pwd)
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/bin"
ln -s "$program" "$scratch/bin/slmctl"
PATH=$scratch/bin:$PATH
for v in $(env | sed -n 's/^\(SLMCTL_[A-Z_]*\)=.*/\1/p'); do
    case $v in SLMCTL_REFERENCE | SLMCTL_CPU) ;; *) unset "$v" ;; esac
done
SLMCTL_DEVICE=cpu # outputs are the CPU's, also where there is a GPU
unset NO_COLOR STATE_DIRECTORY CONFIGURATION_DIRECTORY CACHE_DIRECTORY COLUMNS
export PATH TREE SLMCTL_DEVICE LC_ALL=C.UTF-8 TERM=xterm

update() { # KIND WANT
    case $1:$(cat "$scratch/got.$1") in
    out: | err: | exit:0) rm -f "$2" ;;
    *) cp "$scratch/got.$1" "$2" ;;
    esac
}

run_one() { # NAME
    dir=$scratch/$1
    mkdir -p "$dir/home" "$dir/work"
    (
        cd "$dir/work" || exit 1
        export HOME="$dir/home" XDG_CONFIG_HOME="$dir/home/.config"
        export XDG_DATA_HOME="$dir/home/.local/share" TMPDIR="$dir"
        export XDG_CACHE_HOME="$dir/home/.cache"
        exec sh "$here/$1.sh"
    ) >"$scratch/got.out" 2>"$scratch/got.err" </dev/null
    echo $? >"$scratch/got.exit"
    if grep -q '^skip:' "$scratch/got.out"; then
        cat "$scratch/got.out"
        skipped=$((skipped + 1))
        return
    fi
    ok=1
    for kind in out err exit; do
        want=$here/$1.$kind
        [ "${UPDATE:-0}" = 1 ] && update $kind "$want"
        if [ ! -f "$want" ]; then
            want=$scratch/empty
            if [ $kind = exit ]; then echo 0; fi >"$want"
        fi
        diff -u "$want" "$scratch/got.$kind" || ok=0
    done
    if [ $ok = 1 ]; then
        passed=$((passed + 1))
    else
        echo "FAIL $1"
        failed=$((failed + 1))
    fi
    rm -rf "$dir"
}

passed=0 failed=0 skipped=0
if [ $# -eq 0 ]; then
    for t in "$here"/*.sh; do
        set -- "$@" "$(basename "$t" .sh)"
    done
fi
for name in "$@"; do
    [ "$name" = run ] || run_one "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
