#!/bin/sh
# report_browser.sh SLMCTL [DIR [STORE [KEY_FILE]]] - the report's page in a
# headless Chromium: both schemes, paper, 400 pixels, the keyboard, contrast,
# labels, without scripts, and with nothing refused by its own policy; and the
# policy refuses a script and a style that are put in. DIR gets the pictures,
# for somebody to look at. Without a STORE the shipped log is brought in.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
for program in chromium python3; do
    command -v "$program" >/dev/null || {
        echo "skip: $program is not installed"
        exit 0
    }
done
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
pictures=${2:-$tmp}
store=${3:-$tmp/store}
HOME=$tmp
export HOME
[ -n "${3:-}" ] ||
    { "$slmctl" collect --quiet --store "$store" \
        --import "$tree/data/agent/logs.jsonl.zst" >/dev/null &&
        "$slmctl" curate --quiet --store "$store" >/dev/null &&
        "$slmctl" cluster --quiet --store "$store" >/dev/null; } || exit 1
set -- "$slmctl" report --quiet --store "$store" ${4:+--key-file "$4"}
"$@" -o "$tmp/report.html" || exit 1
# A name that would break out, or out of the window, where a person may put one;
# then markup that somehow did.
word=$(printf '%0300d' 0)
"$@" --title '</title><script>document.title="ran"</script>'"$word" \
    -o "$tmp/hostile.html" || exit 1
sed 's|</main>|<script>document.title="ran"</script>\
<p style="color:#ff0000" id="inked">x</p></main>|' "$tmp/hostile.html" \
    >"$tmp/broken.html"
echo "$(wc -c <"$tmp/report.html") bytes"
timeout 300 python3 "$tree/tests/slow/report_browser.py" "$tmp/report.html" \
    "$tmp/broken.html" "$pictures" "$tmp/profile"
