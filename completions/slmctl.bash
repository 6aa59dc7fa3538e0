# completion of slmctl(1) for bash; `slmctl completion bash` prints it
_slmctl()
{
    local cur prev words cword at name='' store=()
    local options='' kind='' reply=''
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n =: cur prev words cword
    else
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
        cur=${words[cword]} prev=${words[cword - 1]}
    fi
    if [[ $cur == --*=* ]]; then
        prev=${cur%%=*} cur=${cur#*=}
    fi
    for ((at = 1; at < cword; at++)); do
        [[ ${words[at]} == -* ]] && break
        case "${name:+$name }${words[at]}" in
        'estimate' | 'collect' | 'curate' | 'cluster' | 'select' | 'finetune' | 'eval' | 'serve' | 'retrain' | 'generate' | 'model' | 'model add' | 'model list' | 'model show' | 'model remove' | 'model check' | 'model tokenize' | 'model template' | 'model train-tokenizer' | 'model verify' | 'model convert' | 'model merge' | 'model promote' | 'model rollback' | 'model retire' | 'model terms' | 'status' | 'report' | 'store' | 'store backup' | 'store erase' | 'store export' | 'store keygen' | 'store prune' | 'store rotate' | 'store verify' | 'completion')
            name="${name:+$name }${words[at]}" ;;
        *) break ;;
        esac
    done
    for ((at = 1; at < cword; at++)); do
        case ${words[at]} in
        --store) store=(--store "${words[at + 1]}") ;;
        --store=*) store=("${words[at]}") ;;
        esac
    done
    case $name in
    '')
        reply='estimate collect curate cluster select finetune eval serve retrain generate model status report store completion help'
        options='--help --version' ;;
    'estimate')
        options='--format --prices --machine-cost --watts --kwh-price --sample --markdown --json --quiet --progress --threads --seed --help'
        kind='file'
        ;;
    'collect')
        options='--import --format --outcomes --follow --listen --upstream --private --admin --durability --on-overload --on-abort --queue --spool --commit-after --max-body --max-capture --connections --connect-timeout --first-byte-timeout --idle-timeout --grace --trust --proxy-protocol --client-tokens --keep-header --allow-no-log --egress-proxy --ca-file --http2 --no-encryption --seal-to --store --key-file --private-key --json --quiet --progress --threads --help'
        ;;
    'curate')
        options='--rules --action --keep --names --strict --no-strict --vault --scope --drop --require --contradictory --similarity --group-by --split-by --split --decisions --export --task --check-leaks --report --canaries --check-rules --filter --reveal --text --spans --shard --summary --store --key-file --private-key --json --quiet --progress --threads --help'
        ;;
    'cluster')
        options='--refit --embedder --assignments --rename --merge --pin --unpin --store --key-file --json --quiet --progress --threads --seed --help'
        ;;
    'select')
        options='--task --max-memory --device --min-context --license --offline --models --top --all --rank --batch-tokens --trial --trial-top --trial-examples --save --store --key-file --json --quiet --help'
        ;;
    'finetune')
        options='--task --all --force --force-masked --override-terms --model --method --adapter --quantize --teacher --logprobs --temperature --mix --preference --beta --rank --alpha --targets --lr --epochs --tokens --minutes --batch-tokens --pass-tokens --max-length --over-long --checkpoint-activations --dry-run --try --examples --replay --decay --clip --warmup --patience --validate-every --checkpoint-every --output --run --as --merge --init --tokenizer --data --validation --loss --show-mask --dtype --cpu --device --precision --max-memory --store --key-file --json --quiet --progress --threads --seed --help'
        ;;
    'eval')
        options='--task --model --adapter --split --margin --valid-margin --max-p95 --limit --batch --no-base --constrain --weights --again --endpoint --endpoint-model --endpoint-key-file --no-cache --kv-cache --draft --judge --judge-model --judge-key-file --judge-items --judge-gate --calibrate --floor --gold --prices --machine-cost --show --junit --markdown --device --precision --max-memory --kv --store --key-file --json --quiet --progress --threads --seed --help'
        ;;
    'serve')
        options='--model --task --embedder --default-model --slots --queue-requests --prefix-cache --kv-cache --draft --max-tokens --constrain --weights --allow-host --look-up --resume --explain --generate --curve --mode --canary --route --audit --step-back-agreement --step-back-errors --step-back-window --device --precision --max-memory --kv --listen --upstream --private --admin --durability --on-overload --on-abort --queue --spool --commit-after --max-body --max-capture --connections --connect-timeout --first-byte-timeout --idle-timeout --grace --trust --proxy-protocol --client-tokens --keep-header --allow-no-log --egress-proxy --ca-file --http2 --store --key-file --private-key --json --quiet --threads --help'
        ;;
    'retrain')
        options='--task --dry-run --force --min-new --psi --novel --age --agreement --minutes --replay --margin --champion-margin --keep --override-terms --notify --no-promote --lock-wait --store --key-file --private-key --json --quiet --help'
        ;;
    'generate')
        options='--model --adapter --task --raw --system --temperature --top-p --top-k --min-p --repetition-penalty --sample --stop --schema --labels --regex --constrain --max-tokens --kv-cache --draft --weights --logprobs --top-logprobs --device --precision --max-memory --kv --store --key-file --json --quiet --threads --seed --help'
        ;;
    'model')
        reply='add list show remove check tokenize template train-tokenizer verify convert merge promote rollback retire terms' ;;
    'model add')
        options='--as --license --store --key-file --json --quiet --help'
        kind='dir'
        ;;
    'model list')
        options='--task --store --key-file --json --help'
        ;;
    'model show')
        options='--store --key-file --json --help'
        kind='models'
        ;;
    'model remove')
        options='--store --key-file --quiet --help'
        kind='models'
        ;;
    'model check')
        options='--adapter --tolerance --values --device --precision --max-memory --store --key-file --json --threads --help'
        kind='models'
        ;;
    'model tokenize')
        options='--special --offsets --decode --skip-special --help'
        kind='file'
        ;;
    'model template')
        options='--builtin --spans --help'
        kind='file'
        ;;
    'model train-tokenizer')
        options='--vocab --special --max-bytes --output --quiet --help'
        kind='file'
        ;;
    'model verify')
        options='--store --key-file --json --help'
        kind='models'
        ;;
    'model convert')
        options='--to --type --base --output --shard-size --prompts --task --examples --max-drop --max-kl --device --precision --max-memory --store --key-file --json --quiet --threads --help'
        kind='models'
        ;;
    'model merge')
        options='--adapter --type --output --shard-size --prompts --task --examples --max-drop --max-kl --device --precision --max-memory --store --key-file --json --quiet --threads --help'
        kind='models'
        ;;
    'model promote')
        options='--force --override-terms --weights --store --key-file --json --quiet --help'
        kind='models'
        ;;
    'model rollback')
        options='--reason --store --key-file --json --quiet --help'
        kind='tasks'
        ;;
    'model retire')
        options='--reason --store --key-file --quiet --help'
        kind='models'
        ;;
    'model terms')
        options='--set --note --store --key-file --json --help'
        ;;
    'status')
        options='--hardware --store --key-file --json --help'
        ;;
    'report')
        options='--output --format --task --include-samples --show --title --ascii --store --key-file --json --quiet --help'
        ;;
    'store')
        reply='backup erase export keygen prune rotate verify' ;;
    'store backup')
        options='--store --key-file --quiet --help'
        kind='file'
        ;;
    'store erase')
        options='--client --conversation --dry-run --retire --store --key-file --private-key --json --quiet --progress --help'
        ;;
    'store export')
        options='--format --store --key-file --private-key --quiet --help'
        kind='file'
        ;;
    'store keygen')
        options='--sealed --quiet --help'
        kind='file'
        ;;
    'store prune')
        options='--older-than --max-size --keep-examples --dry-run --store --key-file --private-key --json --quiet --progress --help'
        ;;
    'store rotate')
        options='--new-key --data --store --key-file --quiet --progress --help'
        ;;
    'store verify')
        options='--head --store --key-file --private-key --json --progress --help'
        ;;
    'completion')
        options='--help'
        reply='bash zsh fish'
        ;;
    esac
    case $name:$prev in
    'estimate:--format')
        reply='auto exchange chat litellm otlp har langfuse pairs' kind='none' options= ;;
    'estimate:--prices')
        reply='' kind='file' options= ;;
    'estimate:--machine-cost')
        reply='' kind='none' options= ;;
    'estimate:--watts')
        reply='' kind='none' options= ;;
    'estimate:--kwh-price')
        reply='' kind='none' options= ;;
    'estimate:--sample')
        reply='' kind='none' options= ;;
    'estimate:--markdown')
        reply='' kind='file' options= ;;
    'estimate:--progress')
        reply='auto always never' kind='none' options= ;;
    'estimate:--threads')
        reply='' kind='none' options= ;;
    'estimate:--seed')
        reply='' kind='none' options= ;;
    'collect:--import')
        reply='' kind='file' options= ;;
    'collect:--format')
        reply='auto exchange chat litellm otlp har langfuse pairs' kind='none' options= ;;
    'collect:--outcomes')
        reply='' kind='file' options= ;;
    'collect:--follow')
        reply='' kind='file' options= ;;
    'collect:--listen')
        reply='' kind='none' options= ;;
    'collect:--upstream')
        reply='' kind='none' options= ;;
    'collect:--private')
        reply='' kind='none' options= ;;
    'collect:--admin')
        reply='' kind='none' options= ;;
    'collect:--durability')
        reply='sync batch spool' kind='none' options= ;;
    'collect:--on-overload')
        reply='spill drop reject block' kind='none' options= ;;
    'collect:--on-abort')
        reply='cancel drain' kind='none' options= ;;
    'collect:--queue')
        reply='' kind='none' options= ;;
    'collect:--spool')
        reply='' kind='none' options= ;;
    'collect:--commit-after')
        reply='' kind='none' options= ;;
    'collect:--max-body')
        reply='' kind='none' options= ;;
    'collect:--max-capture')
        reply='' kind='none' options= ;;
    'collect:--connections')
        reply='' kind='none' options= ;;
    'collect:--connect-timeout')
        reply='' kind='none' options= ;;
    'collect:--first-byte-timeout')
        reply='' kind='none' options= ;;
    'collect:--idle-timeout')
        reply='' kind='none' options= ;;
    'collect:--grace')
        reply='' kind='none' options= ;;
    'collect:--trust')
        reply='' kind='none' options= ;;
    'collect:--client-tokens')
        reply='' kind='file' options= ;;
    'collect:--keep-header')
        reply='' kind='none' options= ;;
    'collect:--egress-proxy')
        reply='' kind='none' options= ;;
    'collect:--ca-file')
        reply='' kind='file' options= ;;
    'collect:--seal-to')
        reply='' kind='file' options= ;;
    'collect:--store')
        reply='' kind='dir' options= ;;
    'collect:--key-file')
        reply='' kind='file' options= ;;
    'collect:--private-key')
        reply='' kind='file' options= ;;
    'collect:--progress')
        reply='auto always never' kind='none' options= ;;
    'collect:--threads')
        reply='' kind='none' options= ;;
    'curate:--rules')
        reply='' kind='dir' options= ;;
    'curate:--action')
        reply='' kind='none' options= ;;
    'curate:--keep')
        reply='' kind='file' options= ;;
    'curate:--names')
        reply='off rules tagger paranoid' kind='none' options= ;;
    'curate:--vault')
        reply='' kind='file' options= ;;
    'curate:--scope')
        reply='conversation client dataset' kind='none' options= ;;
    'curate:--drop')
        reply='' kind='none' options= ;;
    'curate:--require')
        reply='' kind='none' options= ;;
    'curate:--contradictory')
        reply='keep majority latest drop' kind='none' options= ;;
    'curate:--similarity')
        reply='' kind='none' options= ;;
    'curate:--group-by')
        reply='conversation client' kind='none' options= ;;
    'curate:--split-by')
        reply='task time' kind='none' options= ;;
    'curate:--split')
        reply='' kind='none' options= ;;
    'curate:--decisions')
        reply='' kind='file' options= ;;
    'curate:--export')
        reply='' kind='file' options= ;;
    'curate:-t' | 'curate:--task')
        reply='' kind='tasks' options= ;;
    'curate:--check-leaks')
        reply='' kind='file' options= ;;
    'curate:--report')
        reply='' kind='file' options= ;;
    'curate:--canaries')
        reply='' kind='none' options= ;;
    'curate:--shard')
        reply='' kind='none' options= ;;
    'curate:--store')
        reply='' kind='dir' options= ;;
    'curate:--key-file')
        reply='' kind='file' options= ;;
    'curate:--private-key')
        reply='' kind='file' options= ;;
    'curate:--progress')
        reply='auto always never' kind='none' options= ;;
    'curate:--threads')
        reply='' kind='none' options= ;;
    'cluster:--embedder')
        reply='' kind='dir' options= ;;
    'cluster:--assignments')
        reply='' kind='file' options= ;;
    'cluster:--rename')
        reply='' kind='tasks' options= ;;
    'cluster:--merge')
        reply='' kind='tasks' options= ;;
    'cluster:--pin')
        reply='' kind='tasks' options= ;;
    'cluster:--unpin')
        reply='' kind='tasks' options= ;;
    'cluster:--store')
        reply='' kind='dir' options= ;;
    'cluster:--key-file')
        reply='' kind='file' options= ;;
    'cluster:--progress')
        reply='auto always never' kind='none' options= ;;
    'cluster:--threads')
        reply='' kind='none' options= ;;
    'cluster:--seed')
        reply='' kind='none' options= ;;
    'select:-t' | 'select:--task')
        reply='' kind='tasks' options= ;;
    'select:--max-memory')
        reply='' kind='none' options= ;;
    'select:--device')
        reply='' kind='none' options= ;;
    'select:--min-context')
        reply='' kind='none' options= ;;
    'select:--license')
        reply='any commercial' kind='none' options= ;;
    'select:--models')
        reply='' kind='file' options= ;;
    'select:--top')
        reply='' kind='none' options= ;;
    'select:--rank')
        reply='' kind='none' options= ;;
    'select:--batch-tokens')
        reply='' kind='none' options= ;;
    'select:--trial')
        reply='' kind='none' options= ;;
    'select:--trial-top')
        reply='' kind='none' options= ;;
    'select:--trial-examples')
        reply='' kind='none' options= ;;
    'select:--store')
        reply='' kind='dir' options= ;;
    'select:--key-file')
        reply='' kind='file' options= ;;
    'finetune:-t' | 'finetune:--task')
        reply='' kind='tasks' options= ;;
    'finetune:--override-terms')
        reply='' kind='none' options= ;;
    'finetune:-m' | 'finetune:--model')
        reply='' kind='models' options= ;;
    'finetune:--method')
        reply='lora rslora dora rslora+dora full' kind='none' options= ;;
    'finetune:--adapter')
        reply='' kind='dir' options= ;;
    'finetune:--quantize')
        reply='nf4 int8' kind='none' options= ;;
    'finetune:--teacher')
        reply='' kind='models' options= ;;
    'finetune:--temperature')
        reply='' kind='none' options= ;;
    'finetune:--mix')
        reply='' kind='none' options= ;;
    'finetune:--beta')
        reply='' kind='none' options= ;;
    'finetune:-r' | 'finetune:--rank')
        reply='' kind='none' options= ;;
    'finetune:--alpha')
        reply='' kind='none' options= ;;
    'finetune:--targets')
        reply='' kind='none' options= ;;
    'finetune:--lr')
        reply='' kind='none' options= ;;
    'finetune:--epochs')
        reply='' kind='none' options= ;;
    'finetune:--tokens')
        reply='' kind='none' options= ;;
    'finetune:--minutes')
        reply='' kind='none' options= ;;
    'finetune:--batch-tokens')
        reply='' kind='none' options= ;;
    'finetune:--pass-tokens')
        reply='' kind='none' options= ;;
    'finetune:--max-length')
        reply='' kind='none' options= ;;
    'finetune:--over-long')
        reply='refuse cut' kind='none' options= ;;
    'finetune:--checkpoint-activations')
        reply='auto on off' kind='none' options= ;;
    'finetune:--examples')
        reply='' kind='none' options= ;;
    'finetune:--replay')
        reply='' kind='none' options= ;;
    'finetune:--decay')
        reply='' kind='none' options= ;;
    'finetune:--clip')
        reply='' kind='none' options= ;;
    'finetune:--warmup')
        reply='' kind='none' options= ;;
    'finetune:--patience')
        reply='' kind='none' options= ;;
    'finetune:--validate-every')
        reply='' kind='none' options= ;;
    'finetune:--checkpoint-every')
        reply='' kind='none' options= ;;
    'finetune:-o' | 'finetune:--output')
        reply='' kind='dir' options= ;;
    'finetune:--run')
        reply='' kind='dir' options= ;;
    'finetune:--as')
        reply='' kind='none' options= ;;
    'finetune:--init')
        reply='' kind='file' options= ;;
    'finetune:--tokenizer')
        reply='' kind='dir' options= ;;
    'finetune:-d' | 'finetune:--data')
        reply='' kind='file' options= ;;
    'finetune:--validation')
        reply='' kind='file' options= ;;
    'finetune:--loss')
        reply='all answer' kind='none' options= ;;
    'finetune:--show-mask')
        reply='' kind='none' options= ;;
    'finetune:--dtype')
        reply='f32 bf16 f16' kind='none' options= ;;
    'finetune:--cpu')
        reply='generic avx2 avxvnni avx512 avx512vnni neon' kind='none' options= ;;
    'finetune:--device')
        reply='' kind='none' options= ;;
    'finetune:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'finetune:--max-memory')
        reply='' kind='none' options= ;;
    'finetune:--store')
        reply='' kind='dir' options= ;;
    'finetune:--key-file')
        reply='' kind='file' options= ;;
    'finetune:--progress')
        reply='auto always never' kind='none' options= ;;
    'finetune:--threads')
        reply='' kind='none' options= ;;
    'finetune:--seed')
        reply='' kind='none' options= ;;
    'eval:-t' | 'eval:--task')
        reply='' kind='tasks' options= ;;
    'eval:-m' | 'eval:--model')
        reply='' kind='models' options= ;;
    'eval:--adapter')
        reply='' kind='dir' options= ;;
    'eval:--split')
        reply='validation test' kind='none' options= ;;
    'eval:--margin')
        reply='' kind='none' options= ;;
    'eval:--valid-margin')
        reply='' kind='none' options= ;;
    'eval:--max-p95')
        reply='' kind='none' options= ;;
    'eval:--limit')
        reply='' kind='none' options= ;;
    'eval:--batch')
        reply='' kind='none' options= ;;
    'eval:--constrain')
        reply='auto off' kind='none' options= ;;
    'eval:--weights')
        reply='auto stored f32 q8_0 q4_0' kind='none' options= ;;
    'eval:--endpoint')
        reply='' kind='none' options= ;;
    'eval:--endpoint-model')
        reply='' kind='none' options= ;;
    'eval:--endpoint-key-file')
        reply='' kind='file' options= ;;
    'eval:--kv-cache')
        reply='' kind='none' options= ;;
    'eval:--draft')
        reply='auto off' kind='none' options= ;;
    'eval:--judge')
        reply='' kind='none' options= ;;
    'eval:--judge-model')
        reply='' kind='none' options= ;;
    'eval:--judge-key-file')
        reply='' kind='file' options= ;;
    'eval:--judge-items')
        reply='' kind='none' options= ;;
    'eval:--floor')
        reply='' kind='none' options= ;;
    'eval:--gold')
        reply='' kind='file' options= ;;
    'eval:--prices')
        reply='' kind='file' options= ;;
    'eval:--machine-cost')
        reply='' kind='none' options= ;;
    'eval:--show')
        reply='' kind='none' options= ;;
    'eval:--junit')
        reply='' kind='file' options= ;;
    'eval:--markdown')
        reply='' kind='file' options= ;;
    'eval:--device')
        reply='' kind='none' options= ;;
    'eval:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'eval:--max-memory')
        reply='' kind='none' options= ;;
    'eval:--kv')
        reply='f32 f16 int8' kind='none' options= ;;
    'eval:--store')
        reply='' kind='dir' options= ;;
    'eval:--key-file')
        reply='' kind='file' options= ;;
    'eval:--progress')
        reply='auto always never' kind='none' options= ;;
    'eval:--threads')
        reply='' kind='none' options= ;;
    'eval:--seed')
        reply='' kind='none' options= ;;
    'serve:--model')
        reply='' kind='models' options= ;;
    'serve:--task')
        reply='' kind='tasks' options= ;;
    'serve:--embedder')
        reply='' kind='file' options= ;;
    'serve:--default-model')
        reply='' kind='none' options= ;;
    'serve:--slots')
        reply='' kind='none' options= ;;
    'serve:--queue-requests')
        reply='' kind='none' options= ;;
    'serve:--prefix-cache')
        reply='' kind='none' options= ;;
    'serve:--kv-cache')
        reply='' kind='none' options= ;;
    'serve:--draft')
        reply='auto off' kind='none' options= ;;
    'serve:--max-tokens')
        reply='' kind='none' options= ;;
    'serve:--constrain')
        reply='auto off' kind='none' options= ;;
    'serve:--weights')
        reply='auto stored f32 q8_0 q4_0' kind='none' options= ;;
    'serve:--allow-host')
        reply='' kind='none' options= ;;
    'serve:--look-up')
        reply='' kind='none' options= ;;
    'serve:--resume')
        reply='' kind='tasks' options= ;;
    'serve:--explain')
        reply='' kind='file' options= ;;
    'serve:--mode')
        reply='off shadow canary on' kind='none' options= ;;
    'serve:--canary')
        reply='' kind='none' options= ;;
    'serve:--route')
        reply='' kind='tasks' options= ;;
    'serve:--audit')
        reply='' kind='none' options= ;;
    'serve:--step-back-agreement')
        reply='' kind='none' options= ;;
    'serve:--step-back-errors')
        reply='' kind='none' options= ;;
    'serve:--step-back-window')
        reply='' kind='none' options= ;;
    'serve:--device')
        reply='' kind='none' options= ;;
    'serve:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'serve:--max-memory')
        reply='' kind='none' options= ;;
    'serve:--kv')
        reply='f32 f16 int8' kind='none' options= ;;
    'serve:--listen')
        reply='' kind='none' options= ;;
    'serve:--upstream')
        reply='' kind='none' options= ;;
    'serve:--private')
        reply='' kind='none' options= ;;
    'serve:--admin')
        reply='' kind='none' options= ;;
    'serve:--durability')
        reply='sync batch spool' kind='none' options= ;;
    'serve:--on-overload')
        reply='spill drop reject block' kind='none' options= ;;
    'serve:--on-abort')
        reply='cancel drain' kind='none' options= ;;
    'serve:--queue')
        reply='' kind='none' options= ;;
    'serve:--spool')
        reply='' kind='none' options= ;;
    'serve:--commit-after')
        reply='' kind='none' options= ;;
    'serve:--max-body')
        reply='' kind='none' options= ;;
    'serve:--max-capture')
        reply='' kind='none' options= ;;
    'serve:--connections')
        reply='' kind='none' options= ;;
    'serve:--connect-timeout')
        reply='' kind='none' options= ;;
    'serve:--first-byte-timeout')
        reply='' kind='none' options= ;;
    'serve:--idle-timeout')
        reply='' kind='none' options= ;;
    'serve:--grace')
        reply='' kind='none' options= ;;
    'serve:--trust')
        reply='' kind='none' options= ;;
    'serve:--client-tokens')
        reply='' kind='file' options= ;;
    'serve:--keep-header')
        reply='' kind='none' options= ;;
    'serve:--egress-proxy')
        reply='' kind='none' options= ;;
    'serve:--ca-file')
        reply='' kind='file' options= ;;
    'serve:--store')
        reply='' kind='dir' options= ;;
    'serve:--key-file')
        reply='' kind='file' options= ;;
    'serve:--private-key')
        reply='' kind='file' options= ;;
    'serve:--threads')
        reply='' kind='none' options= ;;
    'retrain:-t' | 'retrain:--task')
        reply='' kind='tasks' options= ;;
    'retrain:--min-new')
        reply='' kind='none' options= ;;
    'retrain:--psi')
        reply='' kind='none' options= ;;
    'retrain:--novel')
        reply='' kind='none' options= ;;
    'retrain:--age')
        reply='' kind='none' options= ;;
    'retrain:--agreement')
        reply='' kind='none' options= ;;
    'retrain:--minutes')
        reply='' kind='none' options= ;;
    'retrain:--replay')
        reply='' kind='none' options= ;;
    'retrain:--margin')
        reply='' kind='none' options= ;;
    'retrain:--champion-margin')
        reply='' kind='none' options= ;;
    'retrain:--keep')
        reply='' kind='none' options= ;;
    'retrain:--override-terms')
        reply='' kind='none' options= ;;
    'retrain:--notify')
        reply='' kind='file' options= ;;
    'retrain:--lock-wait')
        reply='' kind='none' options= ;;
    'retrain:--store')
        reply='' kind='dir' options= ;;
    'retrain:--key-file')
        reply='' kind='file' options= ;;
    'retrain:--private-key')
        reply='' kind='file' options= ;;
    'generate:-m' | 'generate:--model')
        reply='' kind='models' options= ;;
    'generate:--adapter')
        reply='' kind='dir' options= ;;
    'generate:-t' | 'generate:--task')
        reply='' kind='tasks' options= ;;
    'generate:--system')
        reply='' kind='none' options= ;;
    'generate:--temperature')
        reply='' kind='none' options= ;;
    'generate:--top-p')
        reply='' kind='none' options= ;;
    'generate:--top-k')
        reply='' kind='none' options= ;;
    'generate:--min-p')
        reply='' kind='none' options= ;;
    'generate:--repetition-penalty')
        reply='' kind='none' options= ;;
    'generate:--stop')
        reply='' kind='none' options= ;;
    'generate:--schema')
        reply='' kind='file' options= ;;
    'generate:--labels')
        reply='' kind='none' options= ;;
    'generate:--regex')
        reply='' kind='none' options= ;;
    'generate:--constrain')
        reply='auto off' kind='none' options= ;;
    'generate:-n' | 'generate:--max-tokens')
        reply='' kind='none' options= ;;
    'generate:--kv-cache')
        reply='' kind='none' options= ;;
    'generate:--draft')
        reply='auto off' kind='none' options= ;;
    'generate:--weights')
        reply='auto stored f32 q8_0 q4_0' kind='none' options= ;;
    'generate:--top-logprobs')
        reply='' kind='none' options= ;;
    'generate:--device')
        reply='' kind='none' options= ;;
    'generate:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'generate:--max-memory')
        reply='' kind='none' options= ;;
    'generate:--kv')
        reply='f32 f16 int8' kind='none' options= ;;
    'generate:--store')
        reply='' kind='dir' options= ;;
    'generate:--key-file')
        reply='' kind='file' options= ;;
    'generate:--threads')
        reply='' kind='none' options= ;;
    'generate:--seed')
        reply='' kind='none' options= ;;
    'model add:--as')
        reply='' kind='none' options= ;;
    'model add:--license')
        reply='' kind='none' options= ;;
    'model add:--store')
        reply='' kind='dir' options= ;;
    'model add:--key-file')
        reply='' kind='file' options= ;;
    'model list:-t' | 'model list:--task')
        reply='' kind='tasks' options= ;;
    'model list:--store')
        reply='' kind='dir' options= ;;
    'model list:--key-file')
        reply='' kind='file' options= ;;
    'model show:--store')
        reply='' kind='dir' options= ;;
    'model show:--key-file')
        reply='' kind='file' options= ;;
    'model remove:--store')
        reply='' kind='dir' options= ;;
    'model remove:--key-file')
        reply='' kind='file' options= ;;
    'model check:--adapter')
        reply='' kind='dir' options= ;;
    'model check:--tolerance')
        reply='' kind='none' options= ;;
    'model check:--values')
        reply='' kind='file' options= ;;
    'model check:--device')
        reply='' kind='none' options= ;;
    'model check:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'model check:--max-memory')
        reply='' kind='none' options= ;;
    'model check:--store')
        reply='' kind='dir' options= ;;
    'model check:--key-file')
        reply='' kind='file' options= ;;
    'model check:--threads')
        reply='' kind='none' options= ;;
    'model train-tokenizer:-n' | 'model train-tokenizer:--vocab')
        reply='' kind='none' options= ;;
    'model train-tokenizer:--special')
        reply='' kind='none' options= ;;
    'model train-tokenizer:--max-bytes')
        reply='' kind='none' options= ;;
    'model train-tokenizer:-o' | 'model train-tokenizer:--output')
        reply='' kind='file' options= ;;
    'model verify:--store')
        reply='' kind='dir' options= ;;
    'model verify:--key-file')
        reply='' kind='file' options= ;;
    'model convert:--to')
        reply='gguf safetensors' kind='none' options= ;;
    'model convert:--type')
        reply='' kind='none' options= ;;
    'model convert:--base')
        reply='' kind='dir' options= ;;
    'model convert:-o' | 'model convert:--output')
        reply='' kind='file' options= ;;
    'model convert:--shard-size')
        reply='' kind='none' options= ;;
    'model convert:--prompts')
        reply='' kind='file' options= ;;
    'model convert:-t' | 'model convert:--task')
        reply='' kind='tasks' options= ;;
    'model convert:--examples')
        reply='' kind='none' options= ;;
    'model convert:--max-drop')
        reply='' kind='none' options= ;;
    'model convert:--max-kl')
        reply='' kind='none' options= ;;
    'model convert:--device')
        reply='' kind='none' options= ;;
    'model convert:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'model convert:--max-memory')
        reply='' kind='none' options= ;;
    'model convert:--store')
        reply='' kind='dir' options= ;;
    'model convert:--key-file')
        reply='' kind='file' options= ;;
    'model convert:--threads')
        reply='' kind='none' options= ;;
    'model merge:--adapter')
        reply='' kind='dir' options= ;;
    'model merge:--type')
        reply='' kind='none' options= ;;
    'model merge:-o' | 'model merge:--output')
        reply='' kind='file' options= ;;
    'model merge:--shard-size')
        reply='' kind='none' options= ;;
    'model merge:--prompts')
        reply='' kind='file' options= ;;
    'model merge:-t' | 'model merge:--task')
        reply='' kind='tasks' options= ;;
    'model merge:--examples')
        reply='' kind='none' options= ;;
    'model merge:--max-drop')
        reply='' kind='none' options= ;;
    'model merge:--max-kl')
        reply='' kind='none' options= ;;
    'model merge:--device')
        reply='' kind='none' options= ;;
    'model merge:--precision')
        reply='auto f32 tf32 bf16' kind='none' options= ;;
    'model merge:--max-memory')
        reply='' kind='none' options= ;;
    'model merge:--store')
        reply='' kind='dir' options= ;;
    'model merge:--key-file')
        reply='' kind='file' options= ;;
    'model merge:--threads')
        reply='' kind='none' options= ;;
    'model promote:--force')
        reply='' kind='none' options= ;;
    'model promote:--override-terms')
        reply='' kind='none' options= ;;
    'model promote:--weights')
        reply='stored f32 q8_0 q4_0' kind='none' options= ;;
    'model promote:--store')
        reply='' kind='dir' options= ;;
    'model promote:--key-file')
        reply='' kind='file' options= ;;
    'model rollback:--reason')
        reply='' kind='none' options= ;;
    'model rollback:--store')
        reply='' kind='dir' options= ;;
    'model rollback:--key-file')
        reply='' kind='file' options= ;;
    'model retire:--reason')
        reply='' kind='none' options= ;;
    'model retire:--store')
        reply='' kind='dir' options= ;;
    'model retire:--key-file')
        reply='' kind='file' options= ;;
    'model terms:--set')
        reply='allow forbid unknown' kind='none' options= ;;
    'model terms:--note')
        reply='' kind='none' options= ;;
    'model terms:--store')
        reply='' kind='dir' options= ;;
    'model terms:--key-file')
        reply='' kind='file' options= ;;
    'status:--store')
        reply='' kind='dir' options= ;;
    'status:--key-file')
        reply='' kind='file' options= ;;
    'report:-o' | 'report:--output')
        reply='' kind='file' options= ;;
    'report:--format')
        reply='html markdown text json' kind='none' options= ;;
    'report:-t' | 'report:--task')
        reply='' kind='tasks' options= ;;
    'report:--show')
        reply='' kind='none' options= ;;
    'report:--title')
        reply='' kind='none' options= ;;
    'report:--store')
        reply='' kind='dir' options= ;;
    'report:--key-file')
        reply='' kind='file' options= ;;
    'store backup:--store')
        reply='' kind='dir' options= ;;
    'store backup:--key-file')
        reply='' kind='file' options= ;;
    'store erase:--client')
        reply='' kind='none' options= ;;
    'store erase:--conversation')
        reply='' kind='none' options= ;;
    'store erase:--store')
        reply='' kind='dir' options= ;;
    'store erase:--key-file')
        reply='' kind='file' options= ;;
    'store erase:--private-key')
        reply='' kind='file' options= ;;
    'store erase:--progress')
        reply='auto always never' kind='none' options= ;;
    'store export:--format')
        reply='exchange openai litellm otlp' kind='none' options= ;;
    'store export:--store')
        reply='' kind='dir' options= ;;
    'store export:--key-file')
        reply='' kind='file' options= ;;
    'store export:--private-key')
        reply='' kind='file' options= ;;
    'store prune:--older-than')
        reply='' kind='none' options= ;;
    'store prune:--max-size')
        reply='' kind='none' options= ;;
    'store prune:--store')
        reply='' kind='dir' options= ;;
    'store prune:--key-file')
        reply='' kind='file' options= ;;
    'store prune:--private-key')
        reply='' kind='file' options= ;;
    'store prune:--progress')
        reply='auto always never' kind='none' options= ;;
    'store rotate:--new-key')
        reply='' kind='file' options= ;;
    'store rotate:--store')
        reply='' kind='dir' options= ;;
    'store rotate:--key-file')
        reply='' kind='file' options= ;;
    'store rotate:--progress')
        reply='auto always never' kind='none' options= ;;
    'store verify:--head')
        reply='' kind='none' options= ;;
    'store verify:--store')
        reply='' kind='dir' options= ;;
    'store verify:--key-file')
        reply='' kind='file' options= ;;
    'store verify:--private-key')
        reply='' kind='file' options= ;;
    'store verify:--progress')
        reply='auto always never' kind='none' options= ;;
    esac
    [[ $cur == -* && -n $options ]] && reply=$options kind=none
    case $kind in
    tasks | models)
        reply=$(slmctl --complete "$kind" "${store[@]}" 2>/dev/null) ;;
    file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return ;;
    dir)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$reply" -- "$cur")
    if declare -F __ltrim_colon_completions >/dev/null; then
        __ltrim_colon_completions "$cur"
    fi
}
complete -F _slmctl slmctl
