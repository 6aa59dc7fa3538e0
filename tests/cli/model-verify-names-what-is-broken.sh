# One line for each part that is broken, and exit status 1.
cp -r "$TREE/data/base" m
chmod -R u+w m
cp m/config.json whole.json
verify() {
    slmctl model verify m >out
    echo "exit $?"
    grep -w failed out | sed 's/  */ /g'
}
generation() {
    echo "$1" >m/generation_config.json
    verify
}
config() {
    sed "s/^{/{ $1,/" whole.json >m/config.json
    verify
}
generation '{"eos_token_id": 1'
generation '{"eos_token_id": "end"}'
generation '{"eos_token_id": [1, 5000]}'
generation '{"do_sample": true, "top_p": 1.5}'
generation '{"temperature": "warm"}'
generation '{"top_k": 2.5}'
generation '{"repetition_penalty": 0}'
generation '{"do_sample": true, "temperature": 0}'
generation '{"do_sample": false, "temperature": 0}'
generation '{"eos_token_id": 1, "temperature": null, "top_k": 50}'
grep -v -e rope_ -e tie_word whole.json >bare.json
mv bare.json whole.json
config '"rope_parameters": 5'
config '"rope_scaling": {"rope_type": "llama3", "factor": 8}'
config '"tie_word_embeddings": "yes"'
