# --quiet takes notes away, never errors.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c --list-options | grep -qx -- '-q --quiet' || continue
    # shellcheck disable=SC2086
    slmctl $c -q --no-such-option 2>err
    [ -s err ] || echo "slmctl $c: silent"
done
