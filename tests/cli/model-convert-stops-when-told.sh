# A signal ends a conversion and a generation, and no file is left that looks
# whole; the number is the signal's.
mkfifo pipe
stop() {
    "$@" <pipe >out 2>err &
    pid=$!
    exec 3>pipe
    sleep 0.5
    kill -TERM $pid
    echo 'SELECT name FROM customers' >&3
    exec 3>&-
    wait $pid 2>/dev/null
    echo "exit $?, $(wc -c <out) bytes"
    sed 's/.*: //' err
}
stop slmctl model convert "$TREE/data/base" --prompts - --type Q8_0 -o x.gguf
stop slmctl model convert "$TREE/data/base" --prompts - --to safetensors -o x
stop slmctl generate --model "$TREE/data/base" --raw
ls -d x* 2>/dev/null
