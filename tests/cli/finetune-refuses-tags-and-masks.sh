# Examples that hold tags are not trained on, unless somebody says so; those
# that could have held some and do not are as good as others.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_ACTION=EMAIL=tag
odd_even_store 40
tiny_model 270 1 128
plan() {
    slmctl finetune --all --model tiny --tokens 500 --dry-run "$@" \
        >out 2>err
    echo "exit $?: $(grep -c 'hold tags or masks' err)"
}
plan
sed 's/number/write to ada@love.org of number/' log.jsonl >mail.jsonl
rm -r s
slmctl collect --import mail.jsonl -q
slmctl curate -q
slmctl cluster -q
plan
sed -n 's/task [^:]*:/task T:/; s/: [0-9]* of/: N of/; /tags/p' err
plan --force-masked
SLMCTL_ACTION=EMAIL=mask slmctl curate -q
plan
# what was dropped is as unlike a prompt in use, and was once trained on
SLMCTL_ACTION=EMAIL=drop slmctl curate -q
plan
SLMCTL_ACTION=EMAIL=surrogate slmctl curate -q
plan
