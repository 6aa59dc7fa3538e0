# A second run of a stage ends with 75; the lock of a killed run is no lock.
. "$TREE/tests/cli/lib/common.subr"
make_logs 10 >logs
slmctl collect -q --store s --import logs
for stage in collect curate cluster; do
    slmctl --list-commands | grep -qx $stage || continue
    words=
    [ $stage = collect ] && words='--import logs'
    # shellcheck disable=SC2086
    flock -n s/lock.$stage slmctl $stage --store s $words >out 2>err
    echo "$stage: $?"
    [ "$(wc -l <err)" = 1 ] || cat out err
done
sh -c 'flock 9; exec sleep 100' 9>>s/lock.collect &
pid=$!
while flock -n s/lock.collect true; do sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null
slmctl collect -q --store s --import logs
echo $?
