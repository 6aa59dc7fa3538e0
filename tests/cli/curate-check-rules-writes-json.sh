# With --json the check of the rules is a document, also when a rule fails.
export SLMCTL_KEY_FILE="$PWD/key"
slmctl curate --check-rules --json >doc
echo "exit $?"
jq -c '[.schema, .failed, .failures, .rules > 10, .examples > 10]' doc
mkdir rules
cat >rules/own.rules <<'R'
[colour]
type = COLOUR
gate = literal
literal = red, blue
pattern = \b(?:red|blue)\b
example = a <<green>> rose
counter = reddish
R
slmctl curate --check-rules --rules rules --json >doc
echo "exit $?"
jq -c '[.failed, .failures[]]' doc
