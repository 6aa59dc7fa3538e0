. "$TREE/tests/cli/lib/common.subr"
command -v bash >/dev/null || { echo 'skip: no bash'; exit 0; }
command -v sqlite3 >/dev/null || { echo 'skip: no sqlite3'; exit 0; }
slmctl --complete tasks
make_logs 2 | slmctl collect -q --store s --import -
sqlite3 s/store.db "
    INSERT INTO task(name, label, kind, created) VALUES
        ('table-extractor', 'x', 'text', 0), ('tone', 'x', 'label', 0);
    INSERT INTO model(name, kind, path, created) VALUES
        ('tiny', 'base', '/x', 0);"
slmctl --complete tasks --store s
slmctl --complete models --store s
slmctl --complete nothing --store s
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
    try select --store s --task ta
    try generate --store s --model t
'
