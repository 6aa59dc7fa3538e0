# A second run is told so by exit 75 and leaves the store alone.
printf '{"request":{},"response":{}}\n' | slmctl collect -q --store store --import -
mkfifo pipe
slmctl collect -q --store store --import pipe &
exec 3>pipe
n=0
while flock -n store/lock.collect true && [ $n -lt 200 ]; do
    n=$((n + 1))
    sleep 0.05
done
slmctl collect --store store --import pipe
echo "exit $?"
slmctl status --store store --json | jq .calls
exec 3>&-
wait
echo "exit $?"
