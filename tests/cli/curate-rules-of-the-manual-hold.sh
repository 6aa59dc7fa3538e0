# The rules that slmctl-rules(5) shows pass beside the built-in ones.
mkdir rules
awk '/^\.Sh EXAMPLES/ { on = 1 } /^\.Sh SEE/ { on = 0 }
     on && /^\.Bd/ { text = 1; next } /^\.Ed/ { text = 0 } on && text' \
    "$TREE/man/slmctl-rules.5" | sed 's/\\e/\\/g' >rules/manual.rules
grep -c '^\[' rules/manual.rules
slmctl curate --check-rules --rules rules 2>&1 | sed -n '$s/.*, //p'
