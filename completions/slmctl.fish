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
complete -c slmctl -n '__slmctl_at' -a collect -d 'log calls of a large model: import files, join outcomes'
complete -c slmctl -n '__slmctl_on collect' -l import -r -F -d 'add the calls of a file, of a directory\'s files or of stdin'
complete -c slmctl -n '__slmctl_on collect' -l outcomes -r -F -d 'join rewards, labels or corrected answers to logged calls'
complete -c slmctl -n '__slmctl_on collect' -l store -x -a '(__fish_complete_directories)' -d 'directory of the store'
complete -c slmctl -n '__slmctl_on collect' -l json -d 'print one JSON document'
complete -c slmctl -n '__slmctl_on collect' -l quiet -s q -d 'no notes and no progress on standard error'
complete -c slmctl -n '__slmctl_on collect' -l progress -x -a 'auto always never' -d 'draw progress: auto is on a terminal only'
complete -c slmctl -n '__slmctl_on collect' -l threads -x -d 'threads to use; 0: one per CPU'
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
complete -c slmctl -n '__slmctl_at' -a generate -d 'run a model from the shell'
complete -c slmctl -n '__slmctl_on generate' -l model -s m -x -a '(slmctl --complete models 2>/dev/null)' -d 'model directory, or a model of the store'
complete -c slmctl -n '__slmctl_on generate' -l adapter -x -a '(__fish_complete_directories)' -d 'PEFT adapter to apply'
complete -c slmctl -n '__slmctl_on generate' -l task -s t -x -a '(slmctl --complete tasks 2>/dev/null)' -d 'the model trained for this task, and the frame of its calls'
complete -c slmctl -n '__slmctl_on generate' -l raw -d 'continue the prompt as it is, without a chat template'
complete -c slmctl -n '__slmctl_on generate' -l system -x -d 'system prompt (with --task instead of the task\'s)'
complete -c slmctl -n '__slmctl_on generate' -l temperature -x -d '0 takes the likeliest token each time'
complete -c slmctl -n '__slmctl_on generate' -l top-p -x -d 'sample among the likeliest tokens of this total probability'
complete -c slmctl -n '__slmctl_on generate' -l top-k -x -d 'sample among so many tokens; 0 is all'
complete -c slmctl -n '__slmctl_on generate' -l max-tokens -s n -x -d 'end after so many tokens'
complete -c slmctl -n '__slmctl_on generate' -l logprobs -d 'print a JSON line for each token instead of the text'
complete -c slmctl -n '__slmctl_on generate' -l store -x -a '(__fish_complete_directories)' -d 'directory of the store'
complete -c slmctl -n '__slmctl_on generate' -l json -d 'print one JSON document'
complete -c slmctl -n '__slmctl_on generate' -l quiet -s q -d 'no notes and no progress on standard error'
complete -c slmctl -n '__slmctl_on generate' -l threads -x -d 'threads to use; 0: one per CPU'
complete -c slmctl -n '__slmctl_on generate' -l seed -x -d 'seed of random choices'
complete -c slmctl -n '__slmctl_at' -a status -d 'show what is in the store and what is due'
complete -c slmctl -n '__slmctl_on status' -l store -x -a '(__fish_complete_directories)' -d 'directory of the store'
complete -c slmctl -n '__slmctl_on status' -l json -d 'print one JSON document'
complete -c slmctl -n '__slmctl_at' -a completion -d 'print the completion for bash, zsh or fish'
complete -c slmctl -n '__slmctl_on completion' -a 'bash zsh fish'
