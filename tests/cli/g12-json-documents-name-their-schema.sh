# One document, of a schema with a version.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
document() { # SCHEMA COMMAND...
    schema=$1
    shift
    slmctl "$@" --json >doc 2>err
    case $? in 0 | 10 | 11) ;; *) cat err ;; esac
    [ "$(jq -s length doc)" = 1 ] || echo "$*: not one document"
    jq -re .schema doc | grep -qx "slmctl\.$schema/[0-9]*" ||
        echo "$*: $(jq -r .schema doc)"
}
odd_even_store 120
tiny_model 270 1 128
slmctl finetune --task 1 --model tiny --tokens 200 --as tuned -q >/dev/null
document collect collect --import log.jsonl
document status status
document curate curate
echo nothing-like-it >values
document curate-leaks curate --check-leaks values
document cluster cluster
document select select
document finetune finetune --task 1 --model tiny --tokens 200
document finetune-init finetune --init config.json --tokenizer base \
    -d chats.jsonl --tokens 500 -o other
document eval eval --task 1 --no-base --split validation
document generate generate --model tuned --max-tokens 3 hello
document model-list model list
document model-show model show tuned
document model-add model add tiny --as another
