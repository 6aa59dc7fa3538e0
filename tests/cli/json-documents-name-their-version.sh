# Every --json document says first what it is and which slmctl wrote it; so
# does a run's record, which has all that decides its bits.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 280 2 256 2>/dev/null
begins() {
    jq -c '[keys_unsorted[0:2], .schema, (.slmctl_version | test("^[0-9.]+"))]'
}
slmctl status --json | begins
slmctl cluster --json | begins
slmctl curate --json | begins
slmctl select --json 2>/dev/null | begins
slmctl model list --json | begins
slmctl model show tiny --json | begins
slmctl finetune --task 1 --model tiny --dry-run --json 2>/dev/null | begins
slmctl finetune --task 1 --model tiny --method rslora+dora -q --as one \
    --tokens 600 --json 2>/dev/null | begins
cat s/runs/*/run.json | begins
jq -c '[.kernels, .base, .options, .train.hash, .validation.hash,
    .configuration.targets] | map(type)' s/runs/*/run.json
jq -c '[.seed, .configuration.rslora, .configuration.dora]' s/runs/*/run.json
jq -c '[.use_rslora, .use_dora]' s/models/one/adapter_config.json
slmctl generate -m tiny --raw -n 2 --json a | begins
