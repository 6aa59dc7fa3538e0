# Rules of a directory are added, checked by their examples, and named when
# they are wrong; other rules mean that all is done again.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate --quiet
mkdir rules
cat >rules/colour.rules <<'R'
[colour]
type = COLOUR
gate = literal
literal = red, blue
pattern = \b(?:red|blue)\b
example = a <<red>> rose
counter = reddish
R
slmctl curate --rules rules --check-rules 2>&1 | sed 's/^slmctl.*: //; s/[0-9][0-9]*/N/g'
slmctl curate --rules rules 2>&1 | grep -c 'all calls are done again'
slmctl curate --rules rules --export - --split all --quiet | grep -c -e red -e blue
sed -i 's/<<red>>/<<green>>/' rules/colour.rules
slmctl curate --rules rules --check-rules --quiet
echo "exit $?"
echo 'nonsense' >>rules/colour.rules
slmctl curate --rules rules
echo "exit $?"
slmctl curate --rules nowhere
echo "exit $?"
