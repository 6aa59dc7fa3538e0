# The reader is gone before the first byte is written.
. "$TREE/tests/cli/lib/common.subr"
for words in --help --version 'completion bash' 'completion -h'; do
    # shellcheck disable=SC2086
    { sleep 0.1; slmctl $words 2>err; echo "$words: $?" >status; } | :
    cat status err
done
# Also where the parent left SIGPIPE ignored, as some supervisors do.
(trap '' PIPE; { sleep 0.1; slmctl --help 2>err; echo "$?" >status; } | :)
cat status err
