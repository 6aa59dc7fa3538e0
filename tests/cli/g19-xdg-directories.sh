# Nothing but the XDG directories is touched, and they are private.
. "$TREE/tests/cli/lib/common.subr"
make_logs 5 | slmctl collect -q --import -
slmctl status >out
slmctl curate -q
(cd "$HOME" && find . | grep -v '^\./\.local/share/slmctl' | sort)
stat -c %a "$HOME/.local/share/slmctl"
XDG_DATA_HOME=$PWD/elsewhere slmctl status 2>&1 | grep -o 'elsewhere/slmctl'
STATE_DIRECTORY=$PWD/service slmctl status 2>&1 | grep -o 'service'
