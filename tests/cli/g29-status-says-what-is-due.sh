# status is the doctor: it names what each stage has done and what is due, for
# people and as JSON, and reads an empty place without failing.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
make_logs 20 >logs
slmctl collect --import logs -q >/dev/null
slmctl status >table
echo "exit $?"
grep -c curate table
slmctl status --json | jq -r '.schema'
