# The leak report: nothing survives, what was replaced is counted, splits hold;
# a survivor makes the exit code 1 and is named by place and type alone.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate --report - --canaries 3 >report
echo "exit $?"
sed -n '/^Known values/,/^$/p; /^Splits/,/^$/p; /^Limits/,$p' report |
    sed 's/^[0-9]* pieces with [0-9]*/N pieces with N/'
grep -c 'compliant' report
slmctl curate --report doc.json --json --quiet >/dev/null
echo "exit $?"
jq -c '[.schema, .survivors, .examples == .examples_as_today,
    (.types | map(select(.type == "CARD") | .replaced)),
    (.safe_harbor | length, (map(.category) | add)),
    (.canaries.type | map(.planted) | min), .splits.groups_in_two]' doc.json
grep -c 'ada@analytical' doc.json report
# A number that a rule of one's own sees only beside its word.
mkdir own
cat >own/own.rules <<'R'
[ticket]
type = TICKET
tier = 2
gate = digits 8
pattern = \b\d{8}\b
context = ticket
surrogate = shape
example = ticket <<48151623>>
counter = 48151623
R
curate_log t1 completed "my ticket 48151623" "yes" stop >more.jsonl
curate_log t2 completed "and 4815-1623?" "no" stop >>more.jsonl
slmctl collect --import more.jsonl --quiet
slmctl curate --rules own --report - --canaries 0 2>/dev/null >report
echo "exit $?"
grep -e 'survivor' -e 'of type TICKET' report |
    sed 's/^[0-9]* pieces with [0-9]*/N pieces with N/'
grep -c 48151623 report
slmctl curate --canaries 3
echo "exit $?"
slmctl curate --report - --decisions -
echo "exit $?"
slmctl curate --report - >/dev/full
echo "exit $?"
slmctl curate --filter --report -
echo "exit $?"
