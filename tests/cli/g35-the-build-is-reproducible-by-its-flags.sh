# No path of the builder is in the program; that two builds in two places are
# equal to the byte is tests/slow/reproducible.sh's to show.
[ -f "$TREE/tests/slow/reproducible.sh" ] || echo "reproducible.sh is gone"
command -v strings >/dev/null || { echo "skip: strings is missing"; exit; }
strings -a "$(readlink -f "$(command -v slmctl)")" | grep -F "$TREE/lib/" | head -3
exit 0
