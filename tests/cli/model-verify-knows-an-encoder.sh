# An encoder is shown and verified; it is no model that could be added.
[ -n "${SLMCTL_REFERENCE:-}" ] || {
    echo 'skip: SLMCTL_REFERENCE is not set'
    exit 0
}
cp -r "$SLMCTL_REFERENCE/fixtures/formats/bert-embed" m
chmod -R u+w m
slmctl model show m | grep -e family -e shape
slmctl model verify m | sed -n 's/  */ /g;/configuration\|values/p'
slmctl model add m --store s 2>&1 | sed "s,[^ ]*/m is,m is,"
sed -i 's/"absolute"/"relative_key"/;s/^{/{ "position_embedding_type": "relative_key",/' m/config.json
slmctl model verify m | sed -n 's/  */ /g;/configuration/p'
