# What the key file alone would open is not written beside sealed texts.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 2 512
export SLMCTL_STORE=sealed
slmctl store keygen --sealed pair -q
slmctl collect --import log.jsonl --seal-to pair.pub --private-key pair -q >/dev/null
slmctl curate --private-key pair -q >/dev/null
say() {
    slmctl generate -m tiny -n 2 --threads 1 --json --system \
        'Say of a number whether it is odd or even, and nothing else: no word before, and no word after the one that is asked for.' \
        'number 7' | jq .cached_tokens
}
say
say
[ ! -e sealed/cache ] && echo 'no files'
SLMCTL_STORE=s
say
say | grep -c '^[1-9]' # the same without a seal
