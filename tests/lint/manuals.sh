#!/bin/sh
# manuals.sh SLMCTL - each command's option table against its manual page, the
# summary against .Nd, and mandoc's own lint on every page.
#
# In a page an option stands as `.It Fl q , Fl -quiet` or
# `.It Fl -store Ar DIR`, in any order; where values are a fixed set, the set
# may stand for the placeholder: `Ar auto|always|never`.
set -u
slmctl=$1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bad=0
complain() { echo "manuals: $1"; bad=1; }

for c in $("$slmctl" --list-commands); do
    page=man/slmctl-$c.1
    [ -f "$page" ] || { complain "$page is missing"; continue; }
    "$slmctl" "$c" --list-options | sort -u >"$tmp/options"
    awk '$1 == ".It" && $2 == "Fl" {
             line = ""
             for (i = 3; i <= NF; i++) {
                 if ($i == "Fl" || $i == ",") continue
                 if ($i == "Ar") { line = line " "; fresh = 1; continue }
                 line = line (line == "" || fresh ? "" : " ") \
                        (fresh ? "" : "-") $i
                 fresh = 0
             }
             print line }' "$page" | sort -u | grep -vx -e '-h --help' \
        >"$tmp/page"
    awk -F '\t' 'NR == FNR { page[$0]; next }
                 { set = $1; sub(/ [^ ]*$/, " " $2, set)
                   print (NF > 1 && (set in page) ? set : $1) }' \
        "$tmp/page" "$tmp/options" | sort >"$tmp/table"
    diff -u "$tmp/table" "$tmp/page" >"$tmp/diff" || {
        sed -n '3,$p' "$tmp/diff"
        complain "$page (+) differs from the option table of '$c' (-)"
    }
    grep -qx "\.It Cm $c" man/slmctl.1 || complain "slmctl.1 omits $c"
    grep -qE "^\.Xr slmctl-$c 1( ,)?\$" man/slmctl.1 ||
        complain "slmctl.1 does not refer to $c"
    summary=$("$slmctl" "$c" -h | sed -n 3p)
    grep -qxF ".Nd $summary" "$page" ||
        complain "$page: .Nd is not '$summary'"
done
for page in man/*.[1-9]; do
    for section in NAME DESCRIPTION; do
        grep -qx "\.Sh $section" "$page" ||
            complain "$page has no section $section"
    done
done
for page in man/slmctl*.1; do
    for section in SYNOPSIS "EXIT STATUS" EXAMPLES; do
        grep -qx "\.Sh $section" "$page" ||
            complain "$page has no section $section"
    done
done
if command -v mandoc >/dev/null; then
    # Pages refer to each other whether or not they are installed.
    mandoc -T lint -W warning man/*.[1-9] >"$tmp/lint" ||
        { cat "$tmp/lint"; complain "mandoc has complaints"; }
else
    echo "skip: mandoc is not installed"
fi
exit $bad
