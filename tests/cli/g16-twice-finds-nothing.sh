# Under cron a second run says nothing, on either stream, and changes nothing.
. "$TREE/tests/cli/lib/common.subr"
make_logs 60 >logs
for words in 'collect --import logs' curate cluster select; do
    slmctl --list-commands | grep -qx "${words%% *}" || break
    # shellcheck disable=SC2086
    slmctl $words >out 2>err || echo "$words: $?"
done
slmctl status --json | jq 'del(.stages, .bytes, .read_bytes)' >before
for words in 'collect --import logs' curate cluster; do
    slmctl --list-commands | grep -qx "${words%% *}" || break
    # shellcheck disable=SC2086
    slmctl $words >out 2>err || echo "$words: $?"
    cat out err | sed "s/^/$words: /"
done
slmctl status --json | jq 'del(.stages, .bytes, .read_bytes)' | diff before -
# Nothing to do is also: nothing was collected yet.
: >empty
for words in 'collect --import empty' curate cluster; do
    # shellcheck disable=SC2086
    slmctl $words --store none >out 2>err || echo "$words: $?"
    cat out err | sed "s/^/$words, empty: /"
done
