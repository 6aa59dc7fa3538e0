# A condition beside quality decides in every form and in the exit code; a
# result that is shown again says the same.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 240
tiny_model 270 1 128
# Everything is within 99.9 points but for the latency.
set -- --model "$PWD/tiny" --task 1 --no-base --margin 50 --valid-margin 50
slmctl eval "$@" --max-p95 0.001 --junit e.xml --markdown e.md >table
echo "exit $?"
grep -c 'latency: fail, 95th percentile' table
grep -c 'validity: [a-z]*, difference' table
grep -c '<failure type="fail"' e.xml
head -1 e.md
slmctl eval "$@" --max-p95 0.001 --json >e.json
echo "exit $?"
jq -c '.verdict, .tasks[0].reused, [.tasks[0].gate.conditions[].name],
    .tasks[0].gate.conditions[2].verdict, .tasks[0].gate.why' e.json
# Of fewer than 59 latencies none is known to be short enough.
slmctl eval "$@" --max-p95 1000000 --limit 30 --json |
    jq -c '.tasks[0].gate.conditions[2] | .verdict, .count, .needed'
