command -v zsh >/dev/null || { echo 'skip: zsh is not installed'; exit 0; }
# A shell on a pseudo terminal; the words are completed by TAB, then run.
cat >session <<'END'
zmodload zsh/zpty || exit 1
zpty shell zsh -f -i
wait_for() {
    local text='' more
    for try in {1..100}; do
        while zpty -r -t shell more; do text+=$more; done
        case $text in *$1*) print -r -- "$1"; return ;; esac
        sleep 0.1
    done
    print -r -- "no '$1' in: ${(V)text}"
}
zpty -w shell 'PROMPT=; unsetopt zle_bracketed_paste; autoload -U compinit'
zpty -w shell "compinit -u -D; source $TREE/completions/slmctl.zsh"
zpty -w shell 'echo READY-$((40 + 2))'
wait_for READY-42
zpty -w shell $'slmctl completi\tzs\t | sed 1q'
wait_for '#compdef slmctl'
zpty -d shell
END
zsh -f session
