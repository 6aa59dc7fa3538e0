# Nothing was kept, and the gate on it passed.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate -q --require none --require outcome.label
echo "exit $?"
slmctl curate -q --export x.jsonl
echo "exit $? $(wc -c <x.jsonl)"
slmctl curate -q --canaries 0 --report r
echo "exit $?"
echo 212-736-5000 >list
slmctl curate -q --check-leaks list
echo "exit $?"
slmctl curate --json --require outcome.label --require none |
    jq .dropped.required,.kept
slmctl curate -q --check-leaks list
echo "exit $?"
