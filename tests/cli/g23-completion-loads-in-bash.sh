command -v bash >/dev/null || { echo 'skip: no bash'; exit 0; }
bash -c '
    . "$TREE/completions/slmctl.bash"
    try() {
        COMP_WORDS=(slmctl "$@")
        COMP_CWORD=$#
        COMP_LINE="slmctl $*"
        COMP_POINT=${#COMP_LINE}
        _slmctl
        printf "%s\n" "${COMPREPLY[*]}"
    }
    try comp
    try completion z
    try completion --h
    try --v
'
