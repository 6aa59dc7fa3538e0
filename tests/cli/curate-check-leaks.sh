# Survivors are told by line, never by value.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
printf 'ada@analytical.org\n4111 1111 1111 1111\n' >gone
slmctl curate --quiet --check-leaks gone
echo "exit $?"
printf 'ada@analytical.org\n\nONCE Upon\nWhat is 3\n' >stays
slmctl curate --check-leaks stays
echo "exit $?"
slmctl curate --check-leaks stays --json | jq -c 'del(.slmctl_version)'
printf 'abc\n' >short
slmctl curate --check-leaks short
echo "exit $?"
zstd -q gone
slmctl curate --quiet --check-leaks gone.zst
echo "exit $?"
: >nothing
slmctl curate --check-leaks nothing
echo "exit $?"
printf '\n  \n' >blank
slmctl curate --check-leaks blank --json
echo "exit $?"
