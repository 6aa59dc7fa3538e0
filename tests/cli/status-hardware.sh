# A machine is shown without a store; a forced set of kernels is had or refused
# in one line.
slmctl status --hardware --json >out || echo "exit $?"
jq -r '.schema, .sets[-1].name, [.kernels] == [.sets[] | select(.chosen).name],
    .one_thread.threads, (.one_thread.gflop_s > 0 and
    .one_thread.int8_gop_s > 0 and .all_threads.read_gb_s > 0)' out
SLMCTL_CPU=generic slmctl status --hardware | grep -c 'generic  *chosen'
SLMCTL_CPU=sse1 slmctl status --hardware || echo "exit $?"
ls
