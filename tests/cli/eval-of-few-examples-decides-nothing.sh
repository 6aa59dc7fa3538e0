# A handful of test examples gives no verdict, however clear they look: how
# many would decide is told.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 1 128
for n in 1 2 5; do
    slmctl eval --model "$PWD/tiny" --task 1 --no-base --limit $n >table
    echo "exit $?"
    grep -o 'undecided: .*' table
done
