# Scores within the best one's interval are not told apart: the smaller model
# leads. What is clearly worse comes behind, what was not tried last.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s SLMCTL_NO_ENCRYPTION=true
odd_even_store 60
tiny_model 270 1 128
size() { # NAME FFN
    mkdir "$1"
    jq ".intermediate_size = $2" tiny/config.json >"$1/config.json"
    cp tiny/*.safetensors tiny/tokenizer.json tiny/chat_template.jinja "$1"
    sqlite3 s/store.db "INSERT INTO model(name, path, kind, created)
        VALUES('$1', '$PWD/$1', 'base', 0)"
}
size small 64
size middle 128
size large 256
size worse 32
size untried 16
slmctl select -q >/dev/null
found() { # NAME SCORE LOW HIGH
    sqlite3 s/store.db "UPDATE candidate SET detail = json_set(detail,
        '\$.trial_time', 1, '\$.trial', json_object('schema',
        'slmctl.finetune-try/1', 'validation', json_object('metric', 'accuracy',
        'score', $2, 'interval', json_array($3, $4)), 'answer_tokens_per_s',
        NULL, 'peak_bytes', 1)) WHERE model = '$1'"
}
found large 0.9 0.8 0.96
found middle 0.85 0.75 0.92
found small 0.78 0.7 0.85
found worse 0.5 0.4 0.6
slmctl select --json |
    jq -r '.tasks[0].candidates[] | select(.present) | "\(.rank) \(.model): \(.reason)"'
