# Without the private key of a sealed store, erase and prune refuse before they
# have written a plan, a key or a byte; with it they do their work, and what is
# there is whole.
. "$TREE/tests/cli/lib/common.subr"
command -v sqlite3 >/dev/null || { echo "skip: no sqlite3"; exit; }
export SLMCTL_STORE=s
ids() { sed 's/key [0-9a-f]\{8\}/key ID/g; s/[0-9]* bytes/N bytes/; s/, [0-9]* now/, N now/'; }
make_logs 40 >log.jsonl
slmctl store keygen -q --sealed pair
slmctl collect -q --import log.jsonl --seal-to pair.pub --private-key pair
sha256sum <s/store.db >before
for try in 'erase --client c1' 'erase --client c1 --dry-run' \
    'prune --older-than 1d' 'prune --max-size 1K --dry-run' 'verify'; do
    slmctl store $try 2>&1 | ids
done
sha256sum <s/store.db | cmp - before && echo 'as it was'
[ ! -e "$XDG_CONFIG_HOME/slmctl/key" ] && echo 'no key file was made'
sqlite3 s/store.db "SELECT name FROM setting WHERE name GLOB 'erase:*'"
slmctl store erase --client c1 --dry-run --private-key pair
slmctl store erase --client c1 --private-key pair
slmctl store verify --private-key pair | grep -o '[0-9]* damages'
slmctl store backup -q copy && mkdir t && mv copy t/store.db
slmctl store verify --store t --private-key pair | grep -o '[0-9]* damages'
slmctl store prune --older-than 1d --private-key pair | ids
slmctl store verify --private-key pair | grep -o '[0-9]* damages'
