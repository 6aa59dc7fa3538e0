#compdef slmctl
# completion of slmctl(1) for zsh; `slmctl completion zsh` prints it
_slmctl_names()
{
    local -a names
    names=(${(f)"$(slmctl --complete $1 2>/dev/null)"})
    compadd -a names
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
            'completion:print the completion for bash, zsh or fish'
        )
        _describe command list ;;
    rest)
        case $line[1] in
        completion) _slmctl_completion ;;
        esac ;;
    esac
}
if [[ $funcstack[1] == _slmctl ]]; then
    _slmctl "$@"
else
    compdef _slmctl slmctl
fi
