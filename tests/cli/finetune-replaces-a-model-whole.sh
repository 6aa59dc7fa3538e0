# Another method under the same name, or into the same directory, leaves no file
# of the model that was there; a failure leaves that one as it was.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE="$PWD/s"
odd_even_store 60
tiny_model 270 1 128
tune() {
    slmctl finetune --task 1 --model tiny --tokens 400 --force -q "$@" >/dev/null
    echo "$*: $?"
}
rows() {
    sqlite3 s/store.db "SELECT name || ' ' || kind || ' ' ||
        replace(path, '$PWD/', '') FROM model WHERE kind <> 'base'"
}
tune --as m --merge
ls s/models s/models/m
cp s/models/m-merged/model.safetensors merged
tune --as m --merge --seed 2
cmp -s merged s/models/m-merged/model.safetensors || echo 'merged anew'
tune --as m --method full
ls s/models s/models/m
slmctl model verify s/models/m >/dev/null && echo whole
tune --as m --method dora
ls s/models s/models/m
rows
echo '--output:'
tune --output out
tune --output out --method full
ls out
rows
tune --output out --as other
echo mine >out/notes.txt
tune --output out
rm out/notes.txt
mkdir inner
tune --output inner --run inner/run
# The disk is full: nothing changes.
cp out/model.safetensors before
(
    ulimit -f 300
    trap '' XFSZ
    slmctl finetune --task 1 --model tiny --tokens 400 --force -q --seed 5 \
        --method full --output out --run big.run >/dev/null 2>&1
    echo "full disk: $?"
)
cmp before out/model.safetensors
rows
ls -d out*
