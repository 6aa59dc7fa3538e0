# SIGTERM ends a command as the signal would, so that a caller can tell.
slmctl --list-commands | grep -qx collect || { echo 'skip: no collect'; exit 0; }
mkfifo pipe
slmctl collect --import - <pipe >out 2>err &
pid=$!
exec 3>pipe
sleep 0.5
kill -TERM $pid
sleep 0.3
kill -TERM $pid 2>/dev/null
exec 3>&-
wait $pid 2>/dev/null
echo $?
