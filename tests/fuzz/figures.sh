#!/bin/sh
# figures.sh RUNS TARGET... - executions, findings and coverage of fuzz targets.
# A fifth of RUNS executions is done with the sanitizers, the rest without;
# RUNS 0: coverage alone, which is that of the committed corpus, whatever else
# was found. SEEDS=DIR: a folder for each target with more seeds. Run by
# `make fuzz-figures`, which builds the programs.
set -u
runs=$1
shift
top=$(pwd)
sanitized=$top/build/fuzz
plain=$top/build/fuzz-cover
found=$sanitized/found
mkdir -p "$found"

# Executions that libFuzzer counted. A finding ends a process: the next goes on.
campaign() {
    program=$1 name=$2 left=$3 total=0
    corpus=$sanitized/corpus/$name
    mkdir -p "$corpus"
    sh tests/fuzz/dictionary.sh "$name" >"$found/$name.dict"
    seeds=${SEEDS:-}/$name
    [ -d "$seeds" ] || seeds=
    while [ "$left" -gt 0 ]; do
        LLVM_PROFILE_FILE=/dev/null "$program" -runs="$left" -timeout=10 \
            -rss_limit_mb=4096 -max_len=16384 -print_final_stats=1 \
            -entropic_scale_per_exec_time=1 \
            -dict="$found/$name.dict" -artifact_prefix="$found/$name-" \
            "$corpus" "$top/tests/fuzz/corpus/$name" ${seeds:+"$seeds"} \
            >"$found/$name.log" 2>&1
        n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$name.log")
        n=${n:-1}
        total=$((total + n))
        left=$((left - n))
        [ "$(findings "$name")" -lt 100 ] || break
    done
    echo "$total"
}

findings() {
    find "$found" -name "$1-*" | wc -l
}

# Sums of branches, lines and regions over the parser's files.
coverage() {
    name=$1
    LLVM_PROFILE_FILE=$found/$name.profraw "$plain/fuzz_$name" -runs=0 \
        "$top/tests/fuzz/corpus/$name" >/dev/null 2>&1
    llvm-profdata merge -o "$found/$name.profdata" "$found/$name.profraw"
    llvm-cov report "$plain/fuzz_$name" -instr-profile="$found/$name.profdata" \
        >"$found/$name.report"
    sh tests/fuzz/parsers.sh "$name" | awk '
        NR == FNR { mine[$1]; next }
        $1 in mine { r += $2; rm += $3; l += $8; lm += $9; b += $11
                     bm += $12 }
        END { printf "%.1f%% %.1f%% %.1f%%", 100 * (b - bm) / b,
                     100 * (l - lm) / l, 100 * (r - rm) / r }
        ' - "$found/$name.report"
}

line() {
    printf '%-13s %9s %9s %8s %8s %8s %8s\n' "$@"
}

line target sanitized plain findings branches lines regions
for name in "$@"; do
    a=0 b=0
    if [ "$runs" -gt 0 ]; then
        a=$(campaign "$sanitized/fuzz_$name" "$name" $((runs / 5)))
        b=$(campaign "$plain/fuzz_$name" "$name" $((runs - runs / 5)))
    fi
    # shellcheck disable=SC2046 # three words
    line "$name" "$a" "$b" "$(findings "$name")" $(coverage "$name")
done
