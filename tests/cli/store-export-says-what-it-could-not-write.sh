# Outputs that fail are told in one line; an empty store is none of these.
. "$TREE/tests/cli/lib/common.subr"
make_logs 400 >logs
slmctl collect -q --import logs
for format in exchange openai litellm otlp; do
    slmctl store export --format $format >/dev/full
    echo "$format to a full disk: $?"
    { sleep 0.1; slmctl store export --format $format; echo $? >code; } | :
    echo "$format to a closed pipe: $(cat code)"
done
slmctl store export nowhere/calls.jsonl
echo "to a directory that is not there: $?"
mkdir taken
slmctl store export taken
echo "to a directory: $?"
echo before >file
slmctl store export file
echo "over a file: $? $(wc -l <file) $(stat -c %a file)"
mkfifo pipe
wc -l <pipe >count &
slmctl store export pipe
echo "to a named pipe: $?"
wait
cat count
find . -name '*.tmp*'
: | slmctl collect -q --store empty --import -
slmctl store export --store empty --format otlp empty.jsonl
echo "of an empty store: $? $(wc -c <empty.jsonl)"
slmctl store export --store empty -q
echo "and quietly: $?"
