# No command leaves a carriage return or an escape in what a log would hold.
. "$TREE/tests/cli/lib/common.subr"
each_command | while read -r c; do
    # shellcheck disable=SC2086
    slmctl $c -h >>log 2>&1
    # shellcheck disable=SC2086
    slmctl $c --no-such-option >>log 2>&1
done
slmctl status >>log 2>&1
grep -c "$(printf '[\r\033]')" log || :
