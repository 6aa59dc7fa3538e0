# A vault is made only where it is asked for, tells nothing without its key,
# and turns surrogates back, of a stream and of a store, in JSON and in text.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
printf '%064d\n' 8 >other
chmod 600 other
cat >in.jsonl <<'EOD'
{"conversation_id":"a","text":"Mail ada@love.org or \"call\" 212-736-5000","n":{"phone":4157362671,"x":"{\"to\":\"ada@love.org\"}"}}
{"conversation_id":"b","text":"Mail bob@love.org, not ADA@love.org"}
{"text":"no conversation: carol@love.org"}
EOD
slmctl curate --filter <in.jsonl >clean.jsonl
ls
SLMCTL_KEY_FILE='' slmctl curate --filter --vault v <in.jsonl
slmctl curate --filter --vault v --key-file key <in.jsonl >clean.jsonl
stat -c '%a' v
grep -c 'love.org' clean.jsonl v
grep -ac 'EMAIL\|PHONE\|conversation\|415736' v
slmctl curate --reveal --vault v --key-file key <clean.jsonl | cmp - in.jsonl &&
    echo same
jq -c 'del(.conversation_id)' clean.jsonl |
    slmctl curate --reveal --vault v | grep -c 'a@love.org\|bob@\|ADA@'
jq -r .text clean.jsonl | slmctl curate --reveal --text --vault v
for k in other missing; do
    slmctl curate --reveal --vault v --key-file $k <clean.jsonl
    echo "exit $?"
done
slmctl curate --filter --vault v --key-file other <in.jsonl
chmod 600 in.jsonl
slmctl curate --filter --vault in.jsonl --key-file key <in.jsonl
slmctl curate --reveal --vault none <clean.jsonl
slmctl curate --reveal <clean.jsonl
slmctl curate --filter --vault - --key-file key <in.jsonl
mkdir dir
slmctl curate --filter --vault dir --key-file key <in.jsonl
mkfifo pipe
slmctl curate --filter --vault pipe --key-file key <in.jsonl
flock v slmctl curate --filter --vault v --key-file key <in.jsonl
echo "exit $?"
# The same again adds nothing; a tail that was cut off is made again.
size=$(stat -c %s v)
slmctl curate --filter --vault v --key-file key <in.jsonl | cmp - clean.jsonl
[ "$(stat -c %s v)" = "$size" ] && echo nothing added
head -c $((size - 20)) v >shorter
chmod 600 shorter
mv shorter v
slmctl curate --filter --vault v --key-file key <in.jsonl | cmp - clean.jsonl
[ "$(stat -c %s v)" = "$size" ] && echo made again
slmctl curate --reveal --vault v --key-file key <clean.jsonl | cmp - in.jsonl &&
    echo same
# Of a store.
slmctl curate -q --vault w --export out.jsonl --split all
grep -c 'analytical\|736-5000\|4111' out.jsonl w
slmctl curate --reveal --vault w <out.jsonl | grep -o '[^ ]*@analytical.org[^ ]*\|212-736-5000\|4111 [0-9 ]*'
slmctl curate -q --vault w && slmctl curate -q --vault w --scope dataset
slmctl curate --reveal --vault w <out.jsonl | grep -c '@analytical.org'
