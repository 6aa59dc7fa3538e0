# Tasks found by an encoder are assigned by the same one, wherever it is; by
# another, a changed or a missing one never, and each refusal says what to do.
. "$TREE/tests/cli/lib/encoder.subr"
told() { # a run's messages, without what differs from here to there
    "$@" 2>&1 >table | sed -e "s|$PWD/||g" -e 's/([0-9a-f]\{12\})/(HASH)/g'
}
by() {
    slmctl cluster --json | jq -r '[.embedder, .fitted, .fresh,
        (.tasks | length)] | @tsv' | sed "s|$PWD/||"
}
more() { # N FIRST
    make_free_logs "$1" "$2" >"more$2.jsonl"
    slmctl collect --quiet --import "more$2.jsonl"
    slmctl curate --quiet
}
printf '%064d\n' 7 >key
chmod 600 key
export SLMCTL_KEY_FILE="$PWD/key"
make_encoder one 3
make_encoder two 6
make_free_logs 120 1 >logs.jsonl
slmctl collect --quiet --import logs.jsonl
slmctl curate --quiet

echo '== found, and found with any number of threads'
for t in 1 3; do
    told slmctl cluster --embedder one --refit --threads $t
    slmctl cluster --assignments - | sed 's/.*\.jsonl//' >by$t.tsv
done
cmp by1.tsv by3.tsv
by
echo '== a second run, and one with the option, find nothing to do'
told slmctl cluster
told slmctl cluster --embedder one
echo '== new calls, as cron finds them'
more 10 201
told slmctl cluster
by
echo '== others are refused'
for e in two builtin key nowhere; do
    told slmctl cluster --embedder $e
    slmctl cluster --embedder $e 2>/dev/null
    echo "exit $?"
done
echo '== a tokenizer of another model, and a model that is no encoder'
cp -R one odd
jq -c '.model.vocab += {"more": 30}' one/tokenizer.json >odd/tokenizer.json
told slmctl cluster --embedder odd --refit
sed 's/BertModel/LlamaForCausalLM/' one/config.json >odd/config.json
told slmctl cluster --embedder odd --refit
echo '== gone, moved, changed'
mv one moved
told slmctl cluster
more 10 301
told slmctl cluster
told slmctl cluster --rename task=kept
told slmctl cluster --embedder moved
awk '$1 == "kept" { print $1 }' table
by
make_encoder moved 5
more 10 401
told slmctl cluster
told slmctl cluster --refit
by
echo '== back to the built-in one'
rm -r moved
told slmctl cluster --embedder builtin --refit
by
