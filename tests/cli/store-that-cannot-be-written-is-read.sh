# A store that may not be written is still shown, also as the owner; a change to
# it is refused with the reason, and one that may not be entered is not "none".
. "$TREE/tests/cli/lib/common.subr"
[ "$(id -u)" -ne 0 ] || command -v setpriv >/dev/null || {
    echo "skip: as root this needs setpriv"
    exit 0
}
as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}
# Root's own directories may be closed to others: work where all may look.
place=$(mktemp -d /tmp/slmctl-test.XXXXXX) || exit 1
trap 'chmod -R u+rwx "$place"; rm -rf "$place"' EXIT
make_logs 20 >"$place/logs"
cp "$(command -v slmctl)" "$place/slmctl"
cd "$place" || exit 1
chmod 755 .
./slmctl collect -q --import logs --store 'a#b%41?c' >/dev/null
mv 'a#b%41?c' s
mkdir 'a#b%41?c'
cp s/store.db 'a#b%41?c'
[ "$(id -u)" -ne 0 ] || chown -R 65534:65534 s 'a#b%41?c'
chmod 400 s/store.db 'a#b%41?c/store.db'
chmod 500 s 'a#b%41?c'
export HOME="$place" XDG_CONFIG_HOME="$place" XDG_DATA_HOME="$place"
for dir in s 'a#b%41?c'; do
    as_user ./slmctl status --json --store "$dir" | jq .calls
done
as_user ./slmctl collect -q --import logs --store s
echo "collect: $?"
as_user ./slmctl cluster --store s
echo "cluster: $?"
[ -z "$(find s -name 'store.db-*')" ] || echo "files were left in the store"
chmod 000 s
as_user ./slmctl status --store s
echo "status: $?"
