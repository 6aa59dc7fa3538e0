. "$TREE/tests/cli/lib/common.subr"
script -qec true /dev/null >/dev/null 2>&1 </dev/null || {
    echo "skip: script(1) makes no terminal here"
    exit 0
}
make_logs 40 >logs
mark=$(printf '\r\033')
has() {
    grep -q "$mark" "$1" && echo drawn || echo plain
}
slmctl collect --store a --import logs >log 2>&1
has log
script -qec 'slmctl collect --store b --import logs' /dev/null >log </dev/null
has log
script -qec 'slmctl collect --store c --import logs --progress never' \
    /dev/null >log </dev/null
has log
script -qec 'slmctl collect --store d --import logs -q' /dev/null >log \
    </dev/null
has log
script -qec 'TERM=dumb slmctl collect --store e --import logs' /dev/null \
    >log </dev/null
has log
# Asked for: whole lines, which a log can hold.
slmctl collect --store f --import logs --progress always >log 2>&1
has log
grep -c '%' log | sed 's/[1-9][0-9]*/lines/'
