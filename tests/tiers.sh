#!/bin/sh
# tiers.sh BUILD TIER... - run tiers of tests and add up their counts.
# A tier is a function that writes its output and ends with a line
# "N passed, N failed, N skipped"; the last line here is the sum.
set -u
build=$1
shift
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
# check's limit of 4 seconds a test is too near on a busy machine.
export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-15}"

# Counts of one unit test program from its output and exit status.
unit_one() {
    name=$(basename "$1")
    begin=$(date +%s)
    "$1" >"$scratch/$name.out" 2>&1
    status=$?
    awk -v name="$name" -v status=$status -v s=$(($(date +%s) - begin)) '
        /^[0-9]+%: Checks: / {
            gsub(",", ""); checks += $3; bad += $5 + $7; seen = 1; next }
        /^skip:/ { skipped++; why = $0; sub(/.*: /, "", why)
                   if (!parts[why]++) whys[++n] = why
                   next }
        { text = text $0 "\n" }
        END {
            if (!seen || (status && !bad)) { bad++; checks++ }
            if (bad) printf "%s", text
            for (i = 1; i <= n; i++)
                printf "skip: %s: %d parts: %s\n", name, parts[whys[i]], whys[i]
            printf "%s %s: %d checks, %d s\n", (bad ? "FAIL" : "ok"), name,
                   checks, s
            # A test may skip several parts: count none of them as passed.
            passed = checks - bad - skipped
            printf "%d passed, %d failed, %d skipped\n",
                   (passed > 0 ? passed : 0), bad, skipped }
    ' "$scratch/$name.out" >"$scratch/$name.sum" ||
        echo "0 passed, 1 failed, 0 skipped" >>"$scratch/$name.sum"
    cat "$scratch/$name.sum"
}

add_up() {
    awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ {
             p += $1; f += $3; s += $5; next }
         { print; fflush() }
         END { if (p + f + s == 0) { print "FAIL: nothing ran"; f = 1 }
               printf "%d passed, %d failed, %d skipped\n", p, f, s }'
}

# Scripts that pass by exit status 0 and skip by a line "skip: why".
scripts() {
    for script in "$@"; do
        [ -f "$script" ] || continue
        name=$(basename "$script" .sh)
        if ! sh "$script" "$build/slmctl" >"$scratch/$name.out" 2>&1; then
            cat "$scratch/$name.out"
            echo "FAIL $name"
            echo "0 passed, 1 failed, 0 skipped"
        elif grep -q '^skip:' "$scratch/$name.out"; then
            cat "$scratch/$name.out"
            echo "0 passed, 0 failed, 1 skipped"
        else
            sed -n 's/^note: /      /p' "$scratch/$name.out"
            echo "ok $name"
            echo "1 passed, 0 failed, 0 skipped"
        fi
    done
}

tier_lint() {
    scripts tests/lint/*.sh
}

tier_unit() {
    for source in tests/unit/test_*.c; do
        echo "$build/$(basename "$source" .c)"
    done | xargs -n 1 -P 2 sh tests/tiers.sh "$build" one
    # Models once more with the kernels that any CPU has: seconds.
    echo "with generic kernels:"
    for name in model model_hybrid generate; do
        SLMCTL_CPU=generic sh tests/tiers.sh "$build" one "$build/test_$name"
    done
}

tier_fuzz() {
    for source in tests/fuzz/fuzz_*.c; do
        [ -f "$source" ] || continue
        name=$(basename "$source" .c)
        if "$build/$name" tests/fuzz/corpus/"${name#fuzz_}" \
            >"$scratch/$name.out" 2>&1; then
            echo "ok $name: $(tail -n 1 "$scratch/$name.out")"
            echo "1 passed, 0 failed, 0 skipped"
        else
            cat "$scratch/$name.out"
            echo "FAIL $name"
            echo "0 passed, 1 failed, 0 skipped"
        fi
    done
}

tier_cli() {
    sh tests/cli/run.sh "$build/slmctl"
}

tier_slow() {
    scripts tests/slow/*.sh
}

if [ "$1" = one ]; then
    unit_one "$2"
    exit 0
fi
for tier in "$@"; do
    echo "== $tier" >&2
    "tier_$tier" 2>&1 | add_up | tee "$scratch/tier"
    tail -n 1 "$scratch/tier" >>"$scratch/all"
done
[ $# -gt 1 ] && add_up <"$scratch/all"
add_up <"$scratch/all" | grep -q ' 0 failed,'
