command -v fish >/dev/null || { echo 'skip: fish is not installed'; exit 0; }
fish --no-config -c '
    source $TREE/completions/slmctl.fish
    complete -C "slmctl comp"
    complete -C "slmctl completion z"
    complete -C "slmctl --vers"
' | cut -f 1
