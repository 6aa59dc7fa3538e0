# finetune --dry-run says what would be trained and leaves no model, data set or file.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
state() {
    find . -type f ! -name '*.db*' ! -name 'lock.*' ! -name before ! -name after | sort
    sqlite3 s/store.db 'SELECT (SELECT count(*) FROM model WHERE task > 0), (SELECT count(*)
        FROM dataset), (SELECT count(*) FROM seal)'
}
state >before
slmctl finetune --task 1 --model tiny --tokens 500 --dry-run -q >/dev/null
echo "exit $?"
state >after
diff before after
