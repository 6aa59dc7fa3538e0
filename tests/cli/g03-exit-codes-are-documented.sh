# slmctl(1) names each code of cli.h; each page names only codes of that list.
sed -n '/^enum exit_code {/,/}/s/.*= \([0-9]*\),.*/\1/p' \
    "$TREE/lib/cli/cli.h" | sort >codes
statuses() {
    sed -n '/^\.Sh EXIT STATUS/,/^\.Sh [^E]/s/^\.It \([0-9][0-9]*\)$/\1/p' "$1"
}
statuses "$TREE/man/slmctl.1" | sort | diff codes -
for page in "$TREE"/man/slmctl-*.1; do
    statuses "$page" | sort | comm -13 codes - | sed "s,^,$page: ,"
    [ -n "$(statuses "$page")" ] || echo "$page names no code"
done
