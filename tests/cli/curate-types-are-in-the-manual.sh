# slmctl-rules(5) lists the types of all rules, and no other.
sed -n 's/^type *= *//p' "$TREE"/data/rules/*.rules | sort -u >types
sed -n '/^\.Ss Types/,/^\.Ed/p' "$TREE/man/slmctl-rules.5" | grep '^[A-Z]' |
    sed 1d | tr ' ' '\n' | sort -u >listed
diff types listed && echo equal
