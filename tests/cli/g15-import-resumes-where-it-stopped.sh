# What an interrupted import has stored is not taken in again, and the rest is.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
make_logs 3000 >logs
{
    head -n 1500 logs
    sleep 5
    tail -n 1500 logs
} | slmctl collect --import - -q >/dev/null 2>&1 &
pid=$!
sleep 2
kill -INT $pid 2>/dev/null
wait $pid
slmctl collect --import logs -q >/dev/null
echo "exit $?"
sqlite3 s/store.db 'SELECT count(*) FROM call'
