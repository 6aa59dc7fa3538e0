# --output neither takes the files of a base or of another model, nor is it
# remembered by a path that depends on the working directory; a name that cannot
# be given is refused also where nothing is to be done.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE="$PWD/s"
odd_even_store 60
tiny_model 270 1 128
slmctl model add tiny -q
cp tiny/model.safetensors before
slmctl finetune --init config.json --tokenizer base -d chats.jsonl \
    --tokens 100 --run other.run -o tiny -q
echo "init over a model: $?"
slmctl finetune --init config.json --tokenizer base -d chats.jsonl \
    --tokens 2000 -o tiny -q
echo "the same run again: $?"
tune() {
    slmctl finetune --task 1 --model tiny --tokens 200 "$@"
}
tune --method full -o tiny -q
echo "full over its base: $?"
cmp before tiny/model.safetensors
tune -o mine --run mine.run -q >/dev/null
echo "own directory: $?"
sqlite3 s/store.db "SELECT path, run FROM model WHERE kind = 'adapter'" |
    sed "s|$PWD|PWD|g"
tune --as ../x -q
echo "bad name: $?"
tune --as other 2>&1 | sed 's/since .*/since T/'
