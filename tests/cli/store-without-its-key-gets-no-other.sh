# Where the key of an encrypted store is missing, no command makes another one
# in its place, which would then be told to be the wrong one.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
make_logs 3 >log.jsonl
slmctl collect --import log.jsonl -q
key=$XDG_CONFIG_HOME/slmctl/key
mv "$key" kept
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s,[^ ]*/home/,HOME/,'; }
try() {
    timeout 20 slmctl "$@" 2>&1 | ids
    [ ! -e "$key" ] || { echo "$1 made a key"; rm "$key"; }
}
try curate
try cluster
try collect --import log.jsonl
try collect --listen unix:sock --upstream http://127.0.0.1:9
try finetune --all
try eval
try store export
try store verify
try store rotate
try store erase --client c
try store prune --older-than 1d
mv kept "$key"
slmctl curate -q && echo 'with the key'
