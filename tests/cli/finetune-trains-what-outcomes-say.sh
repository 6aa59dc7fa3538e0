# Answers that an outcome calls bad are not trained on; where it names a better
# one, that one is, scrubbed, and not before curate has seen it.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
tune() {
    slmctl finetune --task 1 --model tiny --tokens 4000 --batch-tokens 64 "$@"
}
counts() {
    tune -q --json | jq -c '.models[0] | [.examples + .validation_examples,
        .corrected, .left_out.rejected, .left_out.unscrubbed]'
}
usable=$(tune -q --json | jq '.models[0] | .examples + .validation_examples')
# Everything that was trained on is called bad but for two.
sqlite3 s/store.db "SELECT e.call FROM example e JOIN dataset_example d
    ON d.example = e.id ORDER BY 1" >trained
sed '1,2d; s,.*,{"call": &\, "reward": 0},' trained >bad
slmctl collect --outcomes bad -q
[ "$usable" = "$(wc -l <trained)" ] && echo "lineage has all examples"
counts
sed -n '3,9s,.*,{"call": &\, "reward": 0\, "answer": "ask me@home.lovelace.org"},p' \
    trained >better
slmctl collect --outcomes better -q
tune --force 2>&1 >/dev/null |
    grep -c 'outcome came after the last slmctl curate'
counts
slmctl curate | head -n 1
tune 2>&1 >/dev/null | grep 'answer of their outcome'
counts
printf 'home.lovelace.org\n' >leaks
slmctl curate --check-leaks leaks | sed 's/in [0-9]* ex/in N ex/'
