# The script for a borrowed GPU, with programs that only pretend: what is wrong,
# ends or hangs in one stage is told, takes no other stage with it, and makes
# the end not 0; time and files keep to their limits.
command -v xz >/dev/null || { echo "skip: xz is not installed"; exit 0; }
mkdir -p bundle fake/base fake/bin models/llama/adapter models/qwen3.5
for m in llama llama/adapter qwen3.5; do
    : >models/$m/adapter_config.json
done
cat >fake/slmctl <<'END'
#!/bin/sh
case "$1 $2 $*" in
--version*) echo "slmctl 0" ;;
generate*) echo text ;;
model*)
    case $FAKE in crash) kill -SEGV $$ ;; hang) exec sleep 60 ;; esac
    while [ $# -gt 1 ]; do
        [ "$1" != --values ] || echo $$ $FAKE | sed '/ twice/!s/.*//' >"$2"
        shift
    done
    echo "array  error  limit"
    echo "logits 1.0e-3 1e-2 ok"
    [ "$FAKE" != wrong ] || { echo "grads 5.0e-1 1e-2 over"; exit 1; } ;;
finetune*)
    while [ "$1" != --output ]; do shift; done
    mkdir -p "$2"
    [ "$FAKE" = twice ] && echo $$ >"$2/model.safetensors" ||
        echo weights >"$2/model.safetensors"
    echo "{\"train_loss\":2.5,\"tokens_per_s\":10}" ;;
esac
END
cat >fake/gpu_parity <<'END'
#!/bin/sh
case "$*" in
*--list*) echo add-1; echo add-2; exit ;;
*--after*) exit ;;
esac
[ "$FAKE" != none ] || { echo "skip: no driver"; exit; }
[ "$FAKE" != other ] || { echo "FAIL device: of another build"; exit 2; }
echo "# a GPU, mma kernels, bf16"
case "$*" in *none) exit ;; esac
case $FAKE in
crash) echo "ok add-1 y 0 0"; kill -SEGV $$ ;;
hang) exec sleep 60 ;;
wrong) echo "ok add-1 y 0 0"; echo "FAIL add-2 y 9 1"; exit 1 ;;
empty) exit 0 ;;
esac
echo "ok add-1 y 0 0"; echo "ok add-2 y 0 0"
END
cat >fake/gpu_steps <<'END'
#!/bin/sh
case $FAKE in
crash) kill -SEGV $$ ;;
hang) exec sleep 60 ;;
wrong) echo "FAIL alone: 4 steps replayed"; exit 1 ;;
esac
echo "ok alone: 5 steps replayed"
END
cat >fake/gpu_bench <<'END'
#!/bin/sh
echo "# a GPU"
case $FAKE in
crash) kill -SEGV $$ ;;
hang) echo "mma linear 64 1 ms"; exec sleep 60 ;;
wrong) echo "FAIL loss nan"; exit 0 ;;
empty) exit 0 ;;
long) yes "mma linear 64 1 ms" | head -n 300000 ;;
esac
echo "mma linear 64 1 ms"
END
cat >fake/gpu_wgmma <<'END'
#!/bin/sh
case $FAKE in
crash) kill -SEGV $$ ;;
hang) exec sleep 60 ;;
wrong) echo "FAIL 64x64"; echo "1 of 2 products are right"; exit 1 ;;
esac
echo "2 of 2 products are right"
END
cat >fake/gpu_memory <<'END'
#!/bin/sh
case $FAKE in
crash) kill -SEGV $$ ;;
hang) exec sleep 60 ;;
wrong) echo "FAIL step: told 1, held 2 (+100.0 %)"; exit 1 ;;
esac
echo "ok step: told 1, held 1 (+0.0 %)"
echo "1 passed, 0 failed, 0 skipped"
END
# Its sums as they were seen of the real one.
cat >fake/bin/compute-sanitizer <<'END'
#!/bin/sh
echo "========= COMPUTE-SANITIZER"
sum="ERROR SUMMARY: 0 errors"
[ "$2" != racecheck ] ||
    sum="RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
case $FAKE in
crash) echo "========= Error: Device not supported"; exit 1 ;;
hang) echo "ok add-1"; exec sleep 60 ;;
wrong) echo "========= Invalid __global__ read of size 4 bytes"
    [ "$2" = racecheck ] || sum="ERROR SUMMARY: 3 errors"
    [ "$2" != racecheck ] ||
        sum="RACECHECK SUMMARY: 2 hazards displayed (2 errors, 0 warnings)"
    code=9 ;;
esac
echo "ok add-1 y 0 0"
echo "# stopped by --seconds, 1 cases are left"
echo "========= $sum"
exit ${code:-0}
END
cat >fake/bin/python3 <<'END'
#!/bin/sh
[ "$1" != -c ] || exit 0
case $FAKE in
crash) kill -SEGV $$ ;;
hang) echo "torch linear 64 1 ms"; exec sleep 60 ;;
empty) exit 0 ;;
esac
echo "torch linear 64 1 ms"
END
printf '#!/bin/sh\n' >fake/bin/nvidia-smi
chmod +x fake/slmctl fake/gpu_* fake/bin/*
echo 'bf16 qwen3.5 -' >fake/tolerances.txt
cp "$TREE/tests/gpu/gpu_parity.sh" fake/
cp "$TREE/tests/gpu/gpu_run.sh" bundle/run.sh
tar -cJf bundle/models.tar.xz models
tar -C fake -cJf bundle/programs.tar.xz .
PATH=$PWD/fake/bin:$PATH
export FAKE TRAIN_MODELS=llama MEMORY_MODELS=llama STEPS_MODELS=llama

run() { # FAKE STAGE...
    FAKE=$1
    shift
    echo "---- $FAKE $*"
    rm -rf out
    OUT=out sh bundle/run.sh "$@" >said 2>&1
    echo "exit $?"
    sed '1d; s/, [0-9]* s$//; s/[0-9]*}* tok/N tok/; s/, [0-9]* s /, /
        s/ in [0-9]* s/ in N s/; s/Segmentation.*//; s/process [0-9]*//; s/byte [0-9]*/byte N/
        /^$/d; /^== all/,$d; s/^/  /' said | sed 's/[[:space:]]*$//' | LC_ALL=C sort
}
run none
run other
run right
run wrong
# A shell may say of a crash what it likes.
run crash | grep -v '^/\|[Ss]egm\|bundle/run.sh:'
run empty parity bench peers
run twice train
# How far each stage comes is chance.
LIMITS='fixtures=1 parity=1 steps=1 train=1 memory=1 wgmma=1 bench=1 peers=1 sanitizer=1' \
    run hang | sed -n '/^[-e]/p; s/^\(  [a-z]*: FAIL\) [0-9]*$/\1/p'
FAKE=long
run long bench | head -n 2
[ "$(wc -c <out/bench.txt)" -lt 5000000 ] && grep -c '^\.\.\. cut' out/bench.txt
run right weather
WHOLE=0 run right wgmma
# Archives that are cut short: one line of the unpacker's own.
PATH=${PATH#*:}
mkdir kept
mv bundle/*.xz kept/
head -c 100 kept/models.tar.xz >bundle/models.tar.xz
cp kept/programs.tar.xz bundle/
run right fixtures steps | grep unpack
head -c 1000 kept/programs.tar.xz >bundle/programs.tar.xz
OUT=out sh bundle/run.sh 2>&1
echo "exit $?"
