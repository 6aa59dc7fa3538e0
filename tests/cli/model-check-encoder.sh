# An encoder's states and vectors agree; a wrong mask is found, and so is what
# an encoder has not.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
cp -R "$SLMCTL_REFERENCE/fixtures/formats/bert-embed" m
chmod -R u+w m
slmctl model check m --values v.safetensors >out; echo "exit $?"
awk 'NR > 1 { n[$3]++ } END { for (k in n) print k, n[k] }' out
slmctl model check m --tolerance 1e-12 >out; echo "exit $?"
slmctl model check m --adapter m; echo "exit $?"
sed -i 's/"gelu"/"silu"/' m/config.json
slmctl model check m; echo "exit $?"
