#!/bin/sh
# kernels.sh PLUGIN DRY-PLUGIN BUILD FOLDER - what the plugin is made of
#
# Checks the machine code of PLUGIN (targets, tensor instructions, registers
# and shared memory against what is launched, spills), its exports and what it
# needs, all without a GPU: launches are those of gpu_parity's cases and
# gpu_bench's models, run with DRY-PLUGIN (tests/gpu/dry_runtime.c).
# Writes FOLDER/kernels.md, a line for each kernel family and tile, and
# FOLDER/h200.md, what roofline.awk expects of an H200 with these launches. The
# last line printed is "N passed, N failed, N skipped".
set -u
plugin=$1 dry=$2 build=$3 out=$4
here=$(dirname "$0")
mkdir -p "$out/dry"
rm -f "$out/launches" "$out/kernels.md"
cp "$build/gpu_parity" "$build/gpu_bench" "$out/dry/" &&
    cp "$dry" "$out/dry/slmctl-cuda.so" || exit 1

# Nothing is computed: only launches count. The device is compared with itself.
launch() { # PROGRAM OPTION...
    program=$1
    shift
    timeout 200 "$out/dry/$program" --device cuda "$@" >"$out/said" 2>&1 ||
        [ $? -eq 1 ] || echo "FAIL $program $*: $(tail -n 1 "$out/said")"
}
for GPU_DRY in sm_90 sm_80; do
    export GPU_DRY
    GPU_DRY_REPORT=$out/launches
    export GPU_DRY_REPORT
    case $GPU_DRY in
    sm_90) all="bf16/cluster bf16/wgmma tf32/mma f32/simt" best=wgmma,cluster ;;
    *) all="bf16/mma bf16/simt tf32/mma f32/simt" best=mma ;;
    esac
    for what in $all; do
        launch gpu_parity --alone --quick --precision "${what%/*}" \
            --kernels "${what#*/}"
    done
    launch gpu_bench --blank --kernels $best
done >"$out/broken"

# What one more step asks for: the difference between two steps and one; of
# decoding, of one and of 64 sequences, of steps that come after what is
# recorded.
for model in 1B 8B; do
    for path in 'lora step' 'qlora step' 'decode 1' 'decode 64'; do
        for steps in 1 2; do
            GPU_DRY_REPORT=$out/steps.$steps batch=${path#decode }
            case $path in
            decode*) steps=$((steps + 3)) ;;
            *) batch=0 ;;
            esac
            rm -f "$GPU_DRY_REPORT"
            GPU_DRY=sm_90 timeout 200 "$out/dry/gpu_bench" --blank \
                --kernels wgmma --only "${path% [0-9]*}" --models $model \
                --steps $steps --batch "$batch" >"$out/said" 2>&1
        done
        peak=$(sed -n 's/.*peak \([0-9.]*\) GB.*/\1/p' "$out/said")
        awk -F '\t' -v OFS='\t' -v what="$model ${path% step}" \
            -v peak="${peak:--}" '
            $1 == "launch" { $2 = "launches"; $3 = $8; $4 = 0 }
            $1 == "launch" || $1 == "total" {
                sign = FILENAME == ARGV[1] ? -1 : 1
                n[$2] += sign * $3
                bytes[$2] += sign * $4
            }
            END {
                if (n["launches"] > 0 || n["graphs"] > 0)
                    print "step", what, n["launches"], n["copies in"],
                        bytes["copies in"], n["copies out"],
                        bytes["copies out"], n["waits"], n["allocations"],
                        peak, n["graphs"]
            }' "$out/steps.1" "$out/steps.2"
    done
done >"$out/steps"
awk -F '\t' -f "$here/roofline.awk" "$out/steps" >"$out/h200.md"
"$build/gpu_code" "$plugin" | c++filt >"$out/code" &&
    c++filt <"$out/launches" >"$out/launches.plain" || exit 1

{
    cat "$out/broken"
    awk -F '\t' -v out="$out/kernels.md" -f "$here/kernels.awk" \
        "$here/spills.txt" "$out/code" "$out/launches.plain" "$out/steps"
    exports=$(nm -D --defined-only "$plugin" | awk '{ print $3 }' |
        sort | tr '\n' ' ')
    if [ "$exports" = "slmctl_device_open slmctl_device_score " ]; then
        echo "ok exports: $exports"
    else
        echo "FAIL exports: $exports"
    fi
    needs=$(readelf -d "$plugin" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        tr '\n' ' ')
    case $needs in
    *cuda* | *nv* | *stdc++* | *gcc_s*) echo "FAIL needs: $needs" ;;
    *) echo "ok needs: $needs" ;;
    esac
} | tee "$out/kernels.txt"
echo "$(grep -c '^ok' "$out/kernels.txt") passed, $(grep -c '^FAIL' \
    "$out/kernels.txt") failed, 0 skipped"
! grep -q '^FAIL' "$out/kernels.txt"
