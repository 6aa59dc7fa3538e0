# --filter works without a store: one that is named was once ignored.
echo '{"a":1}' | slmctl curate --filter --store s || echo "exit $?"
