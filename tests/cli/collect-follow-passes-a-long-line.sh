# A line that is longer than a line may be is passed over, whole or not yet,
# without reading it again and again.
n=0
slmctl collect -q --store store --follow app.log 2>said &
pid=$!
printf '{"request":{},"response":{"a":1}}\n{"request":"' >app.log
head -c 17000000 /dev/zero | tr '\0' x >>app.log
until
    [ "$(slmctl status --store store --json 2>/dev/null | jq .calls)" = 1 ] ||
    [ $n -ge 100 ]; do
    n=$((n + 1))
    sleep 0.1
done
sleep 1
before=$(awk '{ print $14 + $15 }' /proc/$pid/stat)
sleep 1
after=$(awk '{ print $14 + $15 }' /proc/$pid/stat)
[ $((after - before)) -le 20 ] || echo "busy: $((after - before)) ticks"
printf '"}\n{"request":{},"response":{"a":2}}\n' >>app.log
until [ "$(slmctl status --store store --json | jq .calls)" = 2 ] ||
    [ $n -ge 200 ]; do
    n=$((n + 1))
    sleep 0.1
done
kill $pid
wait $pid
echo "exit $?"
slmctl status --store store --json | jq .calls
jq -c '[.line, .reason, .bytes, .cut]' store/rejected/*
