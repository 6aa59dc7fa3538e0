# The same calls again, from another name, packed, or through a pipe.
. "$TREE/tests/cli/lib/common.subr"
make_logs 50 >logs
cp logs other
zstd -q logs -o packed.zst
added() {
    slmctl collect --json "$@" | jq -c '[.added, .known]'
}
added --import logs
added --import logs
added --import other
added --import packed.zst
added --import - <logs
added --import - <packed.zst
slmctl status --json | jq .calls
