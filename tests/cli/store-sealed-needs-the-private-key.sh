# What is collected into a sealed store is read with the private key only, what
# is curated with the key file.
. "$TREE/tests/cli/lib/common.subr"
export SLMCTL_STORE=s SLMCTL_KEY_FILE="$PWD/key"
printf '%064d\n' 7 >key
chmod 600 key
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s/of [0-9a-f]\{8\}$/of ID/
    s/not to [0-9a-f]*$/not to ID/; s,[^ ]*/home/,HOME/,; s/blob [0-9]*/blob N/'; }
make_logs 60 >log.jsonl
slmctl store keygen --sealed pair 2>&1 | ids
stat -c '%a %n' pair pair.pub
slmctl store keygen --sealed 2>&1
slmctl collect --seal-to pair.pub --import log.jsonl 2>&1 | ids
slmctl collect --seal-to pair.pub --private-key pair --import log.jsonl --json |
    jq -c '[.added, .known]'
slmctl collect --private-key pair --import log.jsonl --json |
    jq -c '[.added, .known]'
slmctl status --json | jq -c '[.encrypted, (.sealed_to | length), .key_id]'
for w in 'Extract the' 'Classify the' 'The weather'; do
    grep -aqF "$w" s/store.db* && echo "found: $w"
done
slmctl store export 2>&1 | ids
slmctl store export --private-key pair | wc -l
slmctl store keygen --sealed other -q
slmctl store export --private-key other 2>&1 | ids
slmctl collect --seal-to other.pub --private-key pair --import log.jsonl 2>&1 |
    ids
slmctl curate -q 2>&1 | ids
slmctl curate -q --private-key pair
echo 'curated'
# From here on without the private key.
mv pair away
slmctl cluster -q
slmctl curate --export - --quiet 2>/dev/null | wc -l
slmctl store verify --private-key away | grep -o '[0-9]* damages'
slmctl store rotate --data 2>&1
slmctl store rotate --new-key new -q && slmctl cluster --key-file new -q
slmctl store export --private-key away | wc -l
slmctl collect --store t --import log.jsonl -q
slmctl collect --store t --seal-to other.pub --private-key other --import log.jsonl
