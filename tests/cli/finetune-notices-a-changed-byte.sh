# A byte of a checkpoint that a disk changed ends the run with one line and
# status 1, wherever it is.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 1 128
tune() {
    slmctl finetune --task 1 --model tiny --tokens 200 --run run --force -q
}
tune >/dev/null
cp run/checkpoint.safetensors whole
size=$(stat -c %s whole)
for at in $((size - 1)) $((size / 2)) 400 40; do
    cp whole run/checkpoint.safetensors
    byte=$(od -An -t u1 -j $at -N 1 whole)
    # shellcheck disable=SC2059 # an octal byte
    printf "\\$(printf %o $((byte ^ 1)))" |
        dd of=run/checkpoint.safetensors bs=1 seek=$at conv=notrunc 2>/dev/null
    tune >/dev/null 2>err
    echo "exit $?, $(grep -c 'cannot be used; remove it to begin anew' err)"
done
cp whole run/checkpoint.safetensors
tune >/dev/null
echo "whole again: exit $?"
