# "-" is standard output for each report, and no file of that name.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 240
tiny_model 270 1 128
e() {
    slmctl eval --model "$PWD/tiny" --task 1 --no-base "$@"
    echo "exit $?"
}
e --junit - | grep -c '<testsuite\|^exit 10\|^Intervals'
e --markdown - | grep -c '^## slmctl\|^exit 10'
e --junit x.xml --markdown - | grep -c '^## slmctl\|^exit 10'
grep -c '<testsuite' x.xml
[ -e ./- ] && echo "a file named -"
e --junit - --markdown -
e --junit - --json
