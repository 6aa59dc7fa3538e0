# Two collectors: one port, or one store, is the first one's; a store that
# cannot be one is told at once. Ctrl-C ends with 0, twice without waiting.
. "$TREE/tests/cli/lib/wait.subr"
if ! command -v python3 >/dev/null || ! command -v curl >/dev/null; then
    echo "skip: python3 or curl is not installed"
    exit 0
fi
cat >silent.py <<'END'
import signal, socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
open("silent", "w").write("%d\n" % s.getsockname()[1])
signal.pause()
END
python3 silent.py &
silent=$!
await silent .
up=http://127.0.0.1:$(cat silent)
slmctl collect --store one --listen 127.0.0.1:0 --listen unix:socket \
    --upstream $up 2>said &
first=$!
await said socket
port=$(address said)
try() {
    timeout 5 slmctl collect "$@" >got 2>&1
    echo "exit $?"
    sed "s/:$port/:PORT/" got
}
try --store two --listen "127.0.0.1:$port" --upstream $up
try --store two --listen unix:socket --upstream $up
try --store one --listen 127.0.0.1:0 --upstream $up
echo text >file
try --store file --listen 127.0.0.1:0 --upstream $up
[ ! -e two ] || echo "a store was made"
curl -s "http://127.0.0.1:$port/" >answer &
client=$!
await /proc/$client/net/tcp .
sleep 0.5
kill -INT $first
await said stopping
begin=$(date +%s)
kill -INT $first
wait $first
echo "exit $?"
[ $(($(date +%s) - begin)) -le 5 ] || echo "waited"
wait $client
[ ! -e socket ] || echo "the socket is left"
sed "s/127.0.0.1:$port/ADDRESS/" said
slmctl collect -q --store one --listen 127.0.0.1:0 --upstream $up &
first=$!
n=0
until find "/proc/$first/fd" -lname '*lock.proxy' 2>/dev/null | grep -q . ||
    [ $n -ge 100 ]; do
    n=$((n + 1))
    sleep 0.1
done
sleep 0.2
kill -TERM $first
wait $first
echo "exit $?"
slmctl status --store one --json | jq .calls
kill $silent
