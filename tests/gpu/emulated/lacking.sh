#!/bin/sh
# lacking.sh FOLDER - what is said and done on a machine that lacks
# something: a driver, a new one, memory, a plugin of this version
#
# FOLDER is what make emulated leaves. With --device auto there is one line and
# the CPU goes on, with --device cuda one line and a failure. The last line is "N passed, N failed, N skipped".
set -u
folder=$(readlink -f "$1")
here=$(cd "$(dirname "$0")" && pwd)
TREE=$(cd "$here/../../.." && pwd)
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
mkdir bin home
ln -s "$folder/slmctl" bin/slmctl
PATH=$scratch/bin:$PATH
HOME=$scratch/home XDG_CONFIG_HOME=$HOME XDG_DATA_HOME=$HOME
XDG_CACHE_HOME=$HOME SLMCTL_STORE=store SLMCTL_KEY_FILE=$scratch/key
export PATH HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_CACHE_HOME SLMCTL_STORE \
    SLMCTL_KEY_FILE
unset SLMCTL_DEVICE SLMCTL_CUDA
base=$TREE/data/base
passed=0 failed=0

verdict() { # NAME PROBLEM
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL lacking $1: $2"
        head -n 5 err
    fi
}

# expect NAME STATUS PATTERN COMMAND...: so it ends, and of what it says on
# standard error one line has the pattern; "slmctl" begins no other.
expect() {
    name=$1 want=$2 pattern=$3
    shift 3
    timeout 300 "$@" >out 2>err
    status=$?
    problem=
    [ $status = "$want" ] || problem="exit $status, not $want; "
    [ "$(grep -cE "$pattern" err)" = 1 ] || problem="${problem}not said: $pattern"
    [ "$(grep -c '^slmctl ' err)" = "$((want != 0))" ] ||
        problem="$problem not one failure"
    verdict "$name" "$problem"
}

# both NAME PATTERN VARIABLE=VALUE... COMMAND...: with auto and with cuda.
both() {
    both=$1 said=$2
    shift 2
    expect "$both, auto" 0 "^on the CPU: .*$said" env "$@" --device auto
    expect "$both, cuda" 1 "^slmctl .*$said" env "$@" --device cuda
}

generate="slmctl generate -m $base -n 3 hi"
slmctl generate -m "$base" --device cpu -n 3 hi >answer 2>err
# shellcheck disable=SC2086 # words
{
    both 'no driver' 'no NVIDIA driver is installed' EMULATED_DRIVER=0 $generate
    both 'an old driver' 'driver is for CUDA 12.4; 13.0 is needed: install' \
        EMULATED_DRIVER=12040 $generate
    both 'little memory' 'only 1.0 MB of its memory may be used; 16.8 are' \
        EMULATED_MEMORY=1000000 $generate
    both 'little memory by --max-memory' '16.8 are .*; --max-memory allows 1.0 MB' \
        A=b $generate --max-memory 1000000
    both 'kernels that it has not' 'cannot run the mma kernels in full' \
        SLMCTL_CUDA=mma $generate --precision f32
    both 'memory that others have' 'only 2.5 MB of its memory may be used' \
        EMULATED_TAKEN=6440000000 $generate
    both 'room for a part of the weights' \
        'do not fit on .* all of its weights are 2.1 MB' \
        EMULATED_FAIL_AFTER=1000000 $generate
    env EMULATED_FAIL_AFTER=1000000 $generate --device auto >out 2>err
    verdict 'the CPU answers as it does' "$(cmp out answer 2>&1)"
    both 'room for the weights alone' 'activations: .* do not fit on' \
        EMULATED_FAIL_AFTER=4000000 $generate
    expect 'what takes less' 1 '; a shorter prompt, .* take less' \
        env EMULATED_FAIL_AFTER=1000000 $generate --device cuda
    both 'a conversion without room' 'do not fit on' \
        EMULATED_FAIL_AFTER=3000000 sh -c 'rm -f q.gguf; exec "$@"' - \
        slmctl model convert "$base" --type Q8_0 -o q.gguf
    # What bf16 was asked for cannot be had from the CPU.
    expect 'auto and a precision' 1 'do not fit on' \
        env EMULATED_FAIL_AFTER=1000000 $generate --device auto --precision bf16
}

# served NAME PATTERN OPTION...: until it listens or ends.
served() {
    name=$1 pattern=$2
    shift 2
    : >err
    env EMULATED_FAIL_AFTER=1000000 timeout 20 slmctl serve --model m="$base" \
        --listen 127.0.0.1:0 --allow-no-log "$@" >out 2>err &
    pid=$! i=0
    while [ $i -lt 100 ] && kill -0 $pid 2>/dev/null &&
        ! grep -q '^listening' err; do
        sleep .1
        i=$((i + 1))
    done
    listens=$(grep -c '^listening' err)
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ "$(grep -cE "$pattern" err)" = 1 ] && problem= || problem="not: $pattern"
    [ "$listens" = "$([ "$*" = '--device auto' ] && echo 1 || echo 0)" ] ||
        problem="$problem listening: $listens"
    verdict "$name" "$problem"
}
served 'a server without room, auto' '^on the CPU: .*do not fit' --device auto
served 'a server without room, cuda' 'do not fit .*; fewer --slots' --device cuda

# Training: a plan that is too much, and a base that does not fit.
SLMCTL_STORE=examples SLMCTL_DEVICE=cpu
export SLMCTL_STORE SLMCTL_DEVICE
. "$TREE/tests/cli/lib/train.subr"
{
    odd_even_store 60
    tiny_model 270 1 128
    sed 's/"hidden_size":32/"hidden_size":1024/
        s/"intermediate_size":64/"intermediate_size":2048/' config.json \
        >wide.json
    slmctl finetune --init wide.json --tokenizer base -d chats.jsonl -q \
        --tokens 60 --batch-tokens 64 --pass-tokens 64 -o wide
} >setup 2>&1
unset SLMCTL_DEVICE
train='slmctl finetune --task 1 --model wide --tokens 60 --force
    --batch-tokens 64 --pass-tokens 64'
# shellcheck disable=SC2086
{
    both 'a base without room' 'do not fit on .* all of its weights' \
        EMULATED_FAIL_AFTER=2000000 $train
    both 'a plan that is too much' \
        'needs about [0-9]* MiB even for passes of one document' \
        EMULATED_MEMORY=40000000 $train --method full
    both 'a new model that is too much' 'needs about [0-9]* MiB even' \
        EMULATED_MEMORY=40000000 sh -c 'rm -rf new new.run; exec "$@"' - \
        slmctl finetune --init wide.json --tokenizer base -d chats.jsonl \
        --tokens 60 --batch-tokens 64 --pass-tokens 64 -o new
}

# A plugin of another build is no missing GPU.
mkdir other bundle
cp "$folder/gpu_parity" "$folder/other/slmctl-cuda.so" other/
parity="sh $here/../gpu_parity.sh other/gpu_parity cases --device cuda --quick"
FAKE_OTHER_VERSION=1 $parity >out 2>err
[ $? = 1 ] && grep -q '^FAIL device: .* is of version' out &&
    verdict 'parity with another version' '' ||
    verdict 'parity with another version' "$(tail -n 2 out)"
FAKE_NO_DRIVER=1 $parity >out 2>err
[ $? = 0 ] && grep -q '^skip: .*the driver is asleep' out &&
    verdict 'parity without a driver' '' ||
    verdict 'parity without a driver' "$(tail -n 2 out)"
cp "$folder/slmctl" other/
tar -C other -cf - . | xz -0 >bundle/programs.tar.xz
cp "$here/../gpu_run.sh" bundle/run.sh
FAKE_OTHER_VERSION=1 OUT=results sh bundle/run.sh fixtures >out 2>err
[ $? = 1 ] && grep -q '^FAIL device: .* is of version' out &&
    verdict 'a bundle of two versions' '' ||
    verdict 'a bundle of two versions' "$(tail -n 2 out)"
FAKE_NO_DRIVER=1 OUT=results sh bundle/run.sh fixtures >out 2>err
[ $? = 3 ] && grep -q '^skip: .*the driver is asleep' out &&
    verdict 'a bundle without a driver' '' ||
    verdict 'a bundle without a driver' "$(tail -n 2 out)"

echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
