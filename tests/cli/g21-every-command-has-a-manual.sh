# ... that the program's help names.
. "$TREE/tests/cli/lib/common.subr"
for c in $(slmctl --list-commands); do
    [ -f "$TREE/man/slmctl-$c.1" ] || echo "no manual: $c"
done
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c -h | grep -q "slmctl-${c%% *}(1)" || echo "$c -h names no manual"
done
