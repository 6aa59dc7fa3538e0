# A file that is named through a symbolic link is replaced, not the link.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate -q
slmctl cluster -q
mkdir real
for what in 'curate --export' 'curate --decisions' 'cluster --assignments'; do
    name=${what##*-}
    echo old >"real/$name"
    ln -s "real/$name" "$name"
    # shellcheck disable=SC2086
    slmctl $what "$name" -q
    echo "$what: $?"
    [ -h "$name" ] || echo "$name is no link any more"
    ! grep -q old "real/$name" || echo "real/$name is as it was"
done
ls real
