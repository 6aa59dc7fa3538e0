# A log is read as it grows, through its rotations, and the next run goes on
# where the last one stopped: each line is one call, also of equal lines.
calls() { # WANT
    n=0
    until
        [ "$(slmctl status --store store --json 2>/dev/null | jq .calls)" = "$1" ] ||
        [ $n -ge 100 ]; do
        n=$((n + 1))
        sleep 0.1
    done
    slmctl status --store store --json | jq .calls
}
line() {
    printf '{"request":{"q":"%s"},"response":{"a":1}}\n' "$1"
}
line old >app.log.7
line 1 >app.log
slmctl collect -q --store store --follow app.log &
calls 1
line 2 >>app.log
printf '{"request":{"q":' >>app.log
calls 2
printf '3},"response":{}}\n' >>app.log
mv app.log app.log.1
line 4 >>app.log.1
line 5 >app.log
calls 5
cp app.log app.log.2
: >app.log
line 4 >>app.log
calls 6
rm app.log
line 6 >app.log
calls 7
kill -9 $!
wait
line 7 >>app.log
mv app.log app.log.3
line 5 >app.log
echo nonsense >>app.log
printf '[{"request":{"q":8},"response":{}},' >>app.log
printf '{"request":{"q":9},"response":{}}]\n' >>app.log
slmctl collect --store store --follow app.log </dev/null >said 2>&1 &
calls 11
kill -HUP $! # as a postrotate of logrotate may
line 8 >>app.log
calls 12
kill $!
wait $!
echo "exit $?"
sed 's|/.*/app|app|; s/;.*//; s/-[0-9a-f]*\.jsonl$//' said
