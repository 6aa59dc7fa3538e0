#!/bin/sh
# report_browser.sh SLMCTL [DIR] - the report's page in a headless Chromium:
# light, dark and on paper, with nothing refused by its own policy; and the
# policy refuses a script and a style that are put in. DIR gets the pictures,
# for somebody to look at.
set -u
tree=$(cd "$(dirname "$0")/../.." && pwd)
slmctl=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
command -v chromium >/dev/null || {
    echo "skip: chromium is not installed"
    exit 0
}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
pictures=${2:-$tmp}
HOME=$tmp
export HOME
failed=0

check() { # WHAT COMMAND...
    what=$1
    shift
    if "$@"; then
        echo "ok $what"
    else
        echo "not ok $what"
        failed=1
    fi
}
browse() {
    timeout 120 chromium --headless --no-sandbox --disable-gpu \
        --hide-scrollbars --window-size=1000,2400 --enable-logging=stderr \
        "$@" 2>"$tmp/log"
}
refused() { grep -qi 'content security policy' "$tmp/log"; }
nothing_refused() { ! refused; }
is_large() { [ "$(wc -c <"$1")" -gt 20000 ]; }
differ() { ! cmp -s "$1" "$2"; }
lacks() { ! grep -q "$1" "$2"; }

"$slmctl" collect --quiet --store "$tmp/store" \
    --import "$tree/data/agent/logs.jsonl.zst" >/dev/null &&
    "$slmctl" curate --quiet --store "$tmp/store" >/dev/null &&
    "$slmctl" cluster --quiet --store "$tmp/store" >/dev/null &&
    "$slmctl" report --quiet --store "$tmp/store" -o "$tmp/report.html" ||
    exit 1

browse --screenshot="$pictures/light.png" "file://$tmp/report.html"
check "light" is_large "$pictures/light.png"
check "the page's own style is not refused" nothing_refused
browse --force-dark-mode --screenshot="$pictures/dark.png" \
    "file://$tmp/report.html"
check "dark" is_large "$pictures/dark.png"
check "dark is not light" differ "$pictures/light.png" "$pictures/dark.png"
browse --print-to-pdf="$pictures/report.pdf" "file://$tmp/report.html"
check "paper" is_large "$pictures/report.pdf"

sed 's|</main>|<script>document.title="ran"</script>\
<p style="color:red" id="inked">x</p></main>|' "$tmp/report.html" \
    >"$tmp/broken.html"
browse --dump-dom "file://$tmp/broken.html" >"$tmp/dom"
check "the page was read" grep -q '</main>' "$tmp/dom"
check "a script that got in does not run" \
    lacks '<title>ran</title>' "$tmp/dom"
check "its attempt is refused by the policy" refused
exit $failed
