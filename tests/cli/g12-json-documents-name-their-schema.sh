# One document, of a schema with a version.
. "$TREE/tests/cli/lib/common.subr"
make_logs 40 >logs
for words in 'collect --import logs' status curate cluster select; do
    slmctl --list-commands | grep -qx "${words%% *}" || break
    # shellcheck disable=SC2086
    slmctl $words --json >doc 2>err || cat err
    [ "$(jq -s length doc)" = 1 ] || echo "$words: not one document"
    jq -re .schema doc | grep -qx "slmctl\.${words%% *}/[0-9]*" ||
        echo "$words: $(jq -r .schema doc)"
done
