#!/bin/sh
# table.sh BUILD [NAME...] - one table of all benchmarks that know their peers
#
# NAME.sh (without arguments, BUILD in its environment) or bench_NAME prints
# lines `row<TAB>path<TAB>shape<TAB>unit<TAB>ours<TAB>peer-name<TAB>peer<TAB>
# goal<TAB>limit` among others, and `skip: what`; "-" stands for what is absent,
# a row may come again: the median counts. Without names: all that have rows.
# Writes $OUT.json and $OUT.txt (BUILD/../bench/bench).
# LIMIT: seconds that each may take (900).
set -u
build=$1
shift
here=$(dirname "$0")
out=${OUT:-build/bench/bench}
mkdir -p "$(dirname "$out")" || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
BUILD=$build
export BUILD LC_ALL=C

names() { # those whose sources print rows; a script stands for its program
    for source in "$here"/bench_*.c "$here"/*.sh; do
        case $source in */table.sh) continue ;; esac
        grep -q 'limits_row(\|row\\t' "$source" || continue
        name=$(basename "${source%.*}")
        echo "${name#bench_}"
    done | sort -u | sed '/^limits$/d'
}

moment() { # CPU seconds of children; load; steal and all ticks of the machine
    cut -d' ' -f1 /proc/loadavg
    awk '/^cpu / { for (i = 2; i <= 9; i++) all += $i; print $9, all }' /proc/stat
}

cpu_seconds() { # of children, from what `times` wrote
    awk 'NR == 2 { for (i = 1; i <= 2; i++) {
        split($i, t, "[ms]"); s += 60 * t[1] + t[2] } printf "%.1f\n", s }'
}

run_one() { # NAME
    if [ -f "$here/$1.sh" ] && grep -q 'row\\t\|bench_' "$here/$1.sh"; then
        set -- "$1" sh "$here/$1.sh"
    elif [ -x "$build/bench_$1" ]; then
        set -- "$1" "$build/bench_$1"
    else
        echo "failed: $1: there is no bench_$1 in $build, nor $here/$1.sh"
        return
    fi
    name=$1
    shift
    moment >"$tmp/before"
    times >"$tmp/times"
    begin=$(cpu_seconds <"$tmp/times")
    timeout "${LIMIT:-900}" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    status=$?
    times >"$tmp/times"
    moment >"$tmp/after"
    cat "$tmp/err" >&2
    grep '^skip' "$tmp/out" "$tmp/err" -h | sed "s/^skip:* */skip: $name: /"
    [ $status -eq 0 ] ||
        echo "failed: $name ended with $status: $(tail -n 1 "$tmp/err")"
    cat "$tmp/before" "$tmp/after" | paste -s -d" " - | awk -v name="$name" \
        -v cpu="$(cpu_seconds <"$tmp/times") $begin" '{ split(cpu, c, " ")
        all = ($6 > $3) ? $6 - $3 : 1
        printf "run\t%s\t%.1f\t%s\t%s\t%.1f\n", name, c[1] - c[2], $1, $4,
            100 * ($5 - $2) / all }'
    sed -n "s/^row	/row	$name	/p" "$tmp/out"
}

[ $# -gt 0 ] || {
    # shellcheck disable=SC2046 # names have no spaces
    set -- $(names)
}
: >"$tmp/all"
for name in limits "$@"; do
    echo "bench: $name" >&2
    run_one "$name" >>"$tmp/all"
done
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
awk -F'\t' -v machine="${cpu:-$(uname -m)}, $(nproc) CPUs" \
    -v json="$out.json" -f "$here/table.awk" "$tmp/all" >"$out.txt"
cat "$out.txt"
! grep -q '^failed: ' "$tmp/all"
