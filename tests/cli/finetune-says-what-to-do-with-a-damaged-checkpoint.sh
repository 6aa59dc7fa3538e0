# A checkpoint that is cut off or no checkpoint ends the run with one line that
# names the file and the way out; without it training begins anew.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 1 128
tune() {
    slmctl finetune --task 1 --model tiny --tokens 200 --run run --force -q
}
tune >/dev/null
echo "exit $?"
mv run/checkpoint.safetensors whole
head -c 2000 whole >run/checkpoint.safetensors
tune
echo "cut off: $?"
echo junk >run/checkpoint.safetensors
tune
echo "junk: $?"
rm run/checkpoint.safetensors
tune >/dev/null
echo "removed: $?"
