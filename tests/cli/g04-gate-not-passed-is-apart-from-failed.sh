# A gate that is not passed is 10, nothing to decide with 11; neither is the 1
# of something that went wrong, nor the 2 of wrong usage.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 240
tiny_model 270 1 128
e() {
    slmctl eval --model "$PWD/tiny" --task 1 --no-base "$@" >out 2>err
    echo "exit $?"
}
e
e --limit 3
e --gold nowhere
e --margin x
