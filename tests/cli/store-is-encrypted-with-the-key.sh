# A new store is encrypted, by import and as a proxy's; other keys and none are
# told by name; what needs no key goes without one.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s
make_logs 40 >log.jsonl
slmctl collect --import log.jsonl -q
slmctl collect --store p --no-encryption --import log.jsonl -q
[ "$(stat -c %a "$XDG_CONFIG_HOME/slmctl/key")" = 600 ] && echo 'key: mode 600'
for d in s p; do
    for w in 'How many rows' 'Classify the tone' 'The weather'; do
        grep -aqF "$w" $d/store.db* && echo "$d: $w"
    done
done
# Packed texts are not found by their words; codecs tell as well.
for d in s p; do sqlite3 $d/store.db 'SELECT DISTINCT codec >= 16 FROM blob'; done
slmctl store export >a
slmctl store export --store p >b
cmp a b && wc -l <a
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s,[^ ]*/home/,HOME/,'; }
slmctl status --json | jq -c '[.encrypted, (.key_id | length)]'
slmctl status --store p --json | jq -c '[.encrypted, .key_id]'
slmctl curate -q --key-file other 2>&1 | ids
mv "$XDG_CONFIG_HOME/slmctl/key" kept
slmctl store export 2>&1 | ids
[ -e "$XDG_CONFIG_HOME/slmctl/key" ] && echo 'a key was made'
slmctl status | sed -n 2p
slmctl store export --key-file kept | cmp - a && echo 'by its name'
mkdir credentials && cp kept credentials/slmctl.key
CREDENTIALS_DIRECTORY="$PWD/credentials" slmctl store export | cmp - a &&
    echo 'as a credential'
echo 'key-file = kept' >"$XDG_CONFIG_HOME/slmctl/config"
slmctl store export | cmp - a && echo 'by the configuration'
chmod 644 kept
slmctl store export 2>&1
chmod 600 kept
slmctl collect --no-encryption --import log.jsonl --json | jq -c '[.added, .known]'
# A key file that is none, and a private key that is not there.
echo nonsense >none
chmod 600 none
slmctl store verify --key-file none 2>&1
echo "exit $?"
slmctl store verify --private-key missing 2>&1
echo "exit $?"
slmctl collect --import log.jsonl --store other --seal-to none 2>&1
echo "exit $?"
