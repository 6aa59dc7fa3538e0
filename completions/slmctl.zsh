#compdef slmctl
# completion of slmctl(1) for zsh; `slmctl completion zsh` prints it
_slmctl_names()
{
    local -a names
    names=(${(f)"$(slmctl --complete $1 2>/dev/null)"})
    compadd -a names
}
_slmctl_collect()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*--import=[add the calls of a file, of a directory'\''s files or of stdin]:FILE|DIR|-:_files' \
        '*--outcomes=[join rewards, labels or corrected answers to logged calls]:FILE|-:_files' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--progress=[draw progress\: auto is on a terminal only]:WHEN:(auto always never)' \
        '--threads=[threads to use; 0\: one per CPU]:N: '
}
_slmctl_select()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*'{-t+,--task=}'[this task only]:TASK:_slmctl_names tasks' \
        '--max-memory=[memory for training (default\: 85 % of this machine'\''s)]:BYTES: ' \
        '--min-context=[context length (default\: the longest of the task'\''s calls)]:TOKENS: ' \
        '--license=[licences that are acceptable]:KIND:(any commercial)' \
        '--offline[only models whose weights are registered here]' \
        '--models=[another catalogue instead of the shipped one]:FILE:_files' \
        '--top=[candidates shown a task]:N: ' \
        '--all[show excluded models too, with their reasons]' \
        '--rank=[LoRA rank for the training estimate]:N: ' \
        '--batch-tokens=[tokens of a training step for the estimate]:N: ' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]'
}
_slmctl_generate()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        ''{-m+,--model=}'[model directory, or a model of the store]:DIR|NAME:_slmctl_names models' \
        '--adapter=[PEFT adapter to apply]:DIR:_files -/' \
        ''{-t+,--task=}'[the model trained for this task, and the frame of its calls]:TASK:_slmctl_names tasks' \
        '--raw[continue the prompt as it is, without a chat template]' \
        '--system=[system prompt (with --task instead of the task'\''s)]:TEXT: ' \
        '--temperature=[0 takes the likeliest token each time]:T: ' \
        '--top-p=[sample among the likeliest tokens of this total probability]:P: ' \
        '--top-k=[sample among so many tokens; 0 is all]:K: ' \
        ''{-n+,--max-tokens=}'[end after so many tokens]:N: ' \
        '--logprobs[print a JSON line for each token instead of the text]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--json[print one JSON document]' \
        ''{-q,--quiet}'[no notes and no progress on standard error]' \
        '--threads=[threads to use; 0\: one per CPU]:N: ' \
        '--seed=[seed of random choices]:N: '
}
_slmctl_status()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '--store=[directory of the store]:DIR:_files -/' \
        '--json[print one JSON document]'
}
_slmctl_completion()
{
    _arguments -s -S '(- *)'{-h,--help}'[print help]' \
        '*:operand:(bash zsh fish)'
}
_slmctl()
{
    local state line
    _arguments -C '(- *)--help[print help]' \
        '1:command:->command' '*::operand:->rest'
    case $state in
    command)
        local -a list=(
            'collect:log calls of a large model\: import files, join outcomes'
            'select:pick candidate small models for each task'
            'generate:run a model from the shell'
            'status:show what is in the store and what is due'
            'completion:print the completion for bash, zsh or fish'
        )
        _describe command list ;;
    rest)
        case $line[1] in
        collect) _slmctl_collect ;;
        select) _slmctl_select ;;
        generate) _slmctl_generate ;;
        status) _slmctl_status ;;
        completion) _slmctl_completion ;;
        esac ;;
    esac
}
if [[ $funcstack[1] == _slmctl ]]; then
    _slmctl "$@"
else
    compdef _slmctl slmctl
fi
