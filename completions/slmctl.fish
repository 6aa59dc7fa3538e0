# completion of slmctl(1) for fish; `slmctl completion fish` prints it
function __slmctl_words
    set -l words (commandline -opc)
    set -e words[1]
    string match -v -- '-*' $words
end
# the words so far are exactly these
function __slmctl_at
    set -l words (__slmctl_words)
    test "$words" = "$argv"
end
# the words so far begin with these
function __slmctl_on
    set -l words (__slmctl_words)
    test "$words[1..$(count $argv)]" = "$argv"
end
complete -c slmctl -f
complete -c slmctl -l help -s h -d 'print help'
complete -c slmctl -n __slmctl_at -l version -d 'print the version'
complete -c slmctl -n '__slmctl_at' -a completion -d 'print the completion for bash, zsh or fish'
complete -c slmctl -n '__slmctl_on completion' -a 'bash zsh fish'
