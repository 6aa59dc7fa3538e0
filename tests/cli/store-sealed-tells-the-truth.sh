# What cannot seal a new store leaves nothing behind; rotate names the option
# that a sealed store takes; errors name the store once.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s/of [0-9a-f]\{8\}$/of ID/'; }
try() {
    slmctl "$@" >said 2>&1
    status=$?
    ids <said
    echo "exit $status"
}
make_logs 20 >log.jsonl
slmctl store keygen -q --sealed pair
slmctl store keygen -q --sealed other
try collect --import log.jsonl --seal-to pair.pub
try collect --follow log.jsonl --seal-to pair.pub
try collect --import log.jsonl --seal-to pair.pub --private-key other
[ -e s ] || echo "no store was made"
slmctl collect -q --import log.jsonl --seal-to pair.pub --private-key pair
try store verify
try store export
try store rotate
try store rotate --data
try store rotate --new-key new -q
slmctl store verify --private-key pair --key-file new | grep -o '[0-9]* damages'
