# A weight that is no number, in the base or in an adapter, ends every command
# that runs the model with one line that names it, and exit status 1.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE="$PWD/s"
odd_even_store 120
tiny_model 270 1 128
slmctl finetune --task 1 --model tiny --epochs 2 --as tuned -q >/dev/null
put() { # FILE OFFSET OCTAL...
    file=$1 at=$2
    shift 2
    # shellcheck disable=SC2059 # octal bytes
    printf "$(printf '\\%s' "$@")" |
        dd of="$file" bs=1 seek="$at" conv=notrunc 2>/dev/null
}
cp -r tiny norm
f=norm/model.safetensors
put $f $(($(stat -c %s $f) - 2)) 300 177 # bf16 NaN, of the last norm
cp -r tiny head
f=head/model.safetensors
put $f $((8 + $(od -An -t u8 -N 8 $f))) 300 177 # token 0 of a tied head
say() {
    echo "$*"
    "$@" </dev/null >out 2>err
    rc=$?
    sed "s,$PWD/,," err
    set -- $rc
    echo "exit $1, $(wc -c <out) bytes"
}
for m in norm head; do
    say slmctl generate --model $m --raw -n 4 number
    say slmctl generate --model $m --raw -n 4 --temperature 1 number
    say slmctl generate --model $m --raw --labels odd,even number
    say slmctl generate --model $m --raw -n 4 --repetition-penalty 1.2 number
done
say slmctl model convert norm -o x.gguf
say slmctl model convert head -o x.gguf
say slmctl model convert norm --to safetensors -o x
say slmctl finetune --task 1 --model norm --tokens 400 --as of-norm -q
say slmctl finetune --init norm --tokenizer norm -d chats.jsonl -o y -q
cp -r s/models/tuned broken
f=broken/adapter_model.safetensors
put $f $(($(stat -c %s $f) - 4)) 0 0 200 177 # f32 infinity
say slmctl generate --model tiny --adapter broken --raw -n 4 number
say slmctl generate --model tiny --adapter broken --raw --labels odd,even number
say slmctl model merge tiny --adapter broken -o x
say slmctl model convert broken --base tiny -o x.gguf
say slmctl finetune --task 1 --model tiny --adapter broken --tokens 400 --as b -q
cp $f s/models/tuned/adapter_model.safetensors
slmctl eval --no-base >out 2>err
echo "eval: exit $?"
sed "s,$PWD/,," err
ls -d x* y 2>/dev/null
slmctl generate --model tiny --raw -n 4 -q number >out
echo "the base: exit $?"
# What 16 bits cannot hold is no small difference.
cp -r tiny large
f=large/model.safetensors
put $f $(($(stat -c %s $f) - 2)) 164 111 # bf16 1e6
slmctl model convert large --to safetensors --type F16 -o half
echo "too large for F16: exit $?"
ls -d half*
