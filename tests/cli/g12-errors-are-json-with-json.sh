# With --json the last line on standard error is an object with the code.
. "$TREE/tests/cli/lib/common.subr"
command -v jq >/dev/null || { echo 'skip: jq is not installed'; exit 0; }
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c --list-options | grep -qx -- --json || continue
    # shellcheck disable=SC2086
    slmctl $c --no-such-option --json >out 2>err
    [ ! -s out ] || echo "slmctl $c: writes on standard output"
    tail -n 1 err | jq -e '.type == "error" and .code == 2 and
        (.message | length > 0)' >/dev/null || echo "slmctl $c: $(cat err)"
done
