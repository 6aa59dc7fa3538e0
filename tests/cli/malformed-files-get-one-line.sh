# Every file of tests/malformed is refused: the exit status and the one line
# that names it, the place, what is wrong, and where there is a choice what to
# do. (Of lists of what is known only the beginning is compared: they grow.)
bad=$TREE/tests/malformed

# NAME COMMAND...: what it answers, on either stream, must be one line.
try() {
    name=$1
    shift
    "$@" >got 2>&1
    status=$?
    lines=$(wc -l <got)
    [ "$lines" -eq 1 ] || echo "$name: $lines lines instead of one"
    printf '%s [%d] %s\n' "$name" "$status" "$(sed 's/; known:.*/; known: .../' got)"
}

read_model() {
    slmctl model convert --quiet --to safetensors --output out "$1"
}

model() { # CONFIG WEIGHTS
    rm -rf model && mkdir model
    cp "$1" model/config.json
    cp "$2" model/model.safetensors
    cp "$bad/base/tokenizer.json" model
}

echo '# safetensors'
for f in "$bad"/safetensors/*; do
    model "$bad/base/config.json" "$f"
    try "${f##*/}" read_model model
done

echo '# GGUF'
for f in "$bad"/gguf/*; do
    cp "$f" model.gguf
    try "$(basename "$f" .gguf)" read_model model.gguf
done

echo '# tokenizer.json'
for f in "$bad"/tokenizer/*; do
    cp "$f" tokenizer.json
    try "$(basename "$f" .json)" slmctl model tokenize tokenizer.json
done

echo '# config.json'
for f in "$bad"/config/*; do
    model "$f" "$bad/base/model.safetensors"
    try "$(basename "$f" .json)" read_model model
done

echo '# adapters'
for f in "$bad"/adapter/*; do
    case ${f##*/} in adapter_*) continue ;; esac
    rm -rf adapter merged && mkdir adapter
    cp "$bad"/adapter/adapter_* adapter
    case $f in
    *.json) cp "$f" adapter/adapter_config.json ;;
    *) cp "$f" adapter/adapter_model.safetensors ;;
    esac
    try "$(basename "${f%.*}")" slmctl model merge --quiet --adapter adapter \
        --output merged "$bad/base"
done

echo '# templates'
for f in "$bad"/template/*; do
    cp "$f" chat_template.jinja
    echo '{"context":{"messages":[{"role":"user","content":"u"}]}}' >context
    name=$(basename "$f" .jinja)
    try "$name" slmctl model template chat_template.jinja <context
done

echo '# what they were made from is fine'
rm -rf merged adapter/*
cp "$bad"/adapter/adapter_* adapter
read_model "$bad/base"
echo "read: $?"
slmctl model merge --quiet --adapter adapter --output merged "$bad/base"
echo "merged: $?"
