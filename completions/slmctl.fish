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
complete -c slmctl -n '__slmctl_at' -a select -d 'pick candidate small models for each task'
complete -c slmctl -n '__slmctl_on select' -l task -s t -x -a '(slmctl --complete tasks 2>/dev/null)' -d 'this task only'
complete -c slmctl -n '__slmctl_on select' -l max-memory -x -d 'memory for training (default: 85 % of this machine\'s)'
complete -c slmctl -n '__slmctl_on select' -l min-context -x -d 'context length (default: the longest of the task\'s calls)'
complete -c slmctl -n '__slmctl_on select' -l license -x -a 'any commercial' -d 'licences that are acceptable'
complete -c slmctl -n '__slmctl_on select' -l offline -d 'only models whose weights are registered here'
complete -c slmctl -n '__slmctl_on select' -l models -r -F -d 'another catalogue instead of the shipped one'
complete -c slmctl -n '__slmctl_on select' -l top -x -d 'candidates shown a task'
complete -c slmctl -n '__slmctl_on select' -l all -d 'show excluded models too, with their reasons'
complete -c slmctl -n '__slmctl_on select' -l rank -x -d 'LoRA rank for the training estimate'
complete -c slmctl -n '__slmctl_on select' -l batch-tokens -x -d 'tokens of a training step for the estimate'
complete -c slmctl -n '__slmctl_on select' -l store -x -a '(__fish_complete_directories)' -d 'directory of the store'
complete -c slmctl -n '__slmctl_on select' -l json -d 'print one JSON document'
complete -c slmctl -n '__slmctl_on select' -l quiet -s q -d 'no notes and no progress on standard error'
complete -c slmctl -n '__slmctl_at' -a completion -d 'print the completion for bash, zsh or fish'
complete -c slmctl -n '__slmctl_on completion' -a 'bash zsh fish'
