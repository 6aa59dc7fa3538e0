# Calls from a pipe are in the store while the pipe is still open, and a
# signal ends the wait.
mkfifo pipe
slmctl collect -q --store store --import - <pipe &
pid=$!
exec 3>pipe
printf '{"request":{},"response":{"id":"a"}}\n' >&3
n=0
until [ "$(slmctl status --store store --json 2>/dev/null | jq .calls)" = 1 ]; do
    n=$((n + 1))
    [ $n -lt 200 ] || break
    sleep 0.05
done
printf '{"request":{},"response":{"id":"b"}}\n{"request":' >&3
until [ "$(slmctl status --store store --json | jq .calls)" = 2 ]; do
    n=$((n + 1))
    [ $n -lt 400 ] || break
    sleep 0.05
done
kill -TERM $pid
{ wait $pid; } 2>/dev/null
echo "exit $?"
slmctl status --store store --json | jq .calls
