# A registered model's task is tried after quantising, any model's where a task
# is named; and after merging an adapter that was trained over blocks.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128 2>/dev/null
slmctl finetune --task 1 --model tiny --method full --tokens 2000 --as full -q >/dev/null
check() {
    slmctl model convert "$@" --max-kl 10 -o out.gguf 2>err |
        sed -n 's/.*read back.* of [0-9]*\(, task\)/\1/p'
    cat err
}
echo 'quantised:'
check full --type Q8_0 | sed 's/[0-9.]* -> [0-9.]* %/A -> B %/'
check full --type Q8_0 --examples 5 | sed 's/.*of/of/'
check full --type Q8_0 --examples 0
echo 'not quantised:'
check full --type F16
check full --type F16 -t 1 | sed 's/.*of/of/'
echo 'a directory:'
check s/models/full --type Q8_0
slmctl model convert s/models/full --type Q8_0 --max-kl 10 -t 1 -o x.gguf --json |
    jq -c '[.task, .examples > 5, .score_after <= 1, .verdict]'
slmctl model convert s/models/full -t nothing -o y.gguf
ls y.gguf 2>/dev/null
echo 'merged:'
slmctl finetune --task 1 --model tiny --quantize nf4 --merge --tokens 2000 2>&1 >/dev/null |
    sed -n 's/.*-merged: read back/read back/p' | sed 's/[0-9.]* -> [0-9.]* %/A -> B %/'
