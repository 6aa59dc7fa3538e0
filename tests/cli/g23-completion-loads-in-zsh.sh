command -v zsh >/dev/null || { echo 'skip: zsh is not installed'; exit 0; }
# A shell on a pseudo terminal, as zpty gives it, and a TAB.
zsh -f -c '
    zmodload zsh/zpty || exit 1
    zpty shell zsh -f -i
    zpty -w shell "PROMPT=; unsetopt zle_bracketed_paste; autoload -U compinit"
    zpty -w shell "compinit -u -D; source $TREE/completions/slmctl.zsh"
    zpty -w shell "echo READY-$((40 + 2))"
    zpty -r shell text "*READY-42*"
    zpty -w -n shell "echo slmctl; slmctl completi$(printf "\t")zs$(printf "\t")"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        sleep 0.3
        zpty -r -t shell more && text+=$more
        case $text in *"completion zsh"*) echo found; break ;; esac
    done
    zpty -d shell
'
