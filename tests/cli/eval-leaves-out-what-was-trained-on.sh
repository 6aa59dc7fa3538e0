# With other shares some training examples become test ones: a model that was
# trained on them is not judged by them.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 240
tiny_model 270 1 128
slmctl finetune --task 1 --model tiny --tokens 500 --as tuned -q >/dev/null
left_out() {
    slmctl eval --task 1 --no-base --split "$1" |
        sed -n 's,: [0-9]* examples of the \(.*\) are left out,: N of the \1 left out,p'
}
left_out test
left_out validation
slmctl curate --split 60,30,10 -q 2>/dev/null
left_out validation
slmctl curate --split 30,30,40 -q 2>/dev/null
left_out test
left_out validation
slmctl eval --task 1 --no-base --json | jq '.tasks[0].gate.items < 40'
slmctl curate --split 80,10,10 -q 2>/dev/null
slmctl finetune --task 1 --model tiny -q --as ../outside
echo "exit $?"
slmctl finetune --task 1 --model tiny -q --as tiny
echo "exit $?"
slmctl finetune --task 1 --model tiny -q --as tuned --tokens 300
echo "exit $?"
for tokens in 300 400; do
    slmctl finetune --task 1 --model tiny -q --as again --tokens $tokens >/dev/null
    echo "exit $?"
done
mkdir none
slmctl finetune --task 1 --model none -q 2>&1 | sed "s,/.*/,,"
slmctl model list --json | jq -r '.models[].name'
