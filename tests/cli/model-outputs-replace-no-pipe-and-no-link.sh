# What model convert, merge and check write goes through a link and into a pipe;
# neither becomes a file. What must be read back cannot go into a pipe.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 20
tiny_model 270 1 128
mkfifo pipe
mkdir real empty full
echo mine >full/notes.txt
ln -s real/tiny.gguf link
slmctl model convert tiny -o pipe -q
echo "convert into a pipe: $?"
[ -p pipe ] && echo 'a pipe still'
for i in 1 2; do
    slmctl model convert tiny -o link -q
    echo "convert through a link: $?"
done
[ -h link ] && ls real
slmctl model convert tiny --type Q4_0 --max-kl 0 -o link -q 2>/dev/null
echo "marked bad: $?"
ls real
slmctl model convert tiny --to safetensors -o empty -q
echo "into an empty directory: $?"
ls empty
slmctl model convert tiny --to safetensors -o full -q
echo "into a full one: $?"
slmctl finetune --task 1 --model tiny --tokens 200 --output adapter -q >/dev/null
(
    ulimit -f 20
    trap '' XFSZ
    slmctl model merge tiny --adapter adapter -o merged -q 2>/dev/null
    echo "merge on a full disk: $?"
)
ls -d merged* 2>/dev/null
slmctl model merge tiny --adapter adapter -o merged -q
echo "merge: $?"
slmctl model merge tiny --adapter adapter --type BF16 --max-kl 0 -o bad -q 2>/dev/null
slmctl model merge tiny --adapter adapter --type BF16 --max-kl 0 -o bad -q 2>/dev/null
echo "merge, marked bad: $?"
ls -d merged* bad*
