# The next plain run, an export or cron, scrubbed all again with less.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
mkdir rules
cat >rules/own.rules <<'EOD'
[own-colour]
type = COLOUR
gate = literal
literal = red, blue
pattern = \b(?:red|blue)\b
example = a <<red>> rose
counter = reddish
EOD
echo ada@analytical.org >brands
run() {
    slmctl curate "$@" 2>&1 | grep -e again, -e slmctl | sed "s,$PWD/,,g"
}
run --strict --names paranoid --scope client --action EMAIL=tag \
    --action PHONE=mask --keep brands --rules rules
slmctl curate -q --export a.jsonl --split all
mkdir elsewhere
(cd elsewhere && slmctl curate -q --export ../b.jsonl --split all)
cmp a.jsonl b.jsonl && grep -c 'ada@analytical.org' b.jsonl
slmctl curate --json | jq -c '[.new, .changed_options]'
echo red >>brands
run
run --no-strict
run --action none --action EMAIL=mask
run --strict --no-strict
run --keep none --rules none --scope conversation --names tagger --action none
slmctl curate --json | jq -c '[.new, .changed_options]'
run --rules rules --keep brands
rm brands
run
run --keep none
run --action NOTHING=tag
slmctl curate --filter --action none --keep none --rules none <<'EOD'
{"x":"red ada@analytical.org"}
EOD
