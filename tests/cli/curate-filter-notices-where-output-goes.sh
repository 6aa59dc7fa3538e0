# A reader that goes away and a full disk end the filter; what a silent pipe
# gave comes out before more does; what came before a broken end is written.
i=0
while [ $i -lt 20000 ]; do
    echo "{\"n\":$i,\"x\":\"u$i@love.org and so on and on\"}"
    i=$((i + 1))
done >in.jsonl
{
    slmctl curate --filter <in.jsonl
    echo "exit $?" >&2
} | head -1 | cut -c1-7
(
    trap '' PIPE
    slmctl curate --filter <in.jsonl
    echo "exit $?" >&2
) 2>err | head -1 | cut -c1-7
cat err
slmctl curate --filter <in.jsonl >/dev/full
echo "exit $?"
mkfifo pipe
timeout 30 slmctl curate --filter <pipe >out &
exec 3>pipe
head -1 in.jsonl >&3
i=0
while [ ! -s out ] && [ $i -lt 200 ]; do
    sleep 0.05
    i=$((i + 1))
done
cut -c1-7 out
exec 3>&-
wait $!
echo "exit $?"
zstd -q -c in.jsonl | head -c 12000 >cut.zst
slmctl curate --filter --summary <cut.zst >out
echo "exit $?"
[ "$(wc -l <out)" -gt 0 ] && echo 'lines before the end'
