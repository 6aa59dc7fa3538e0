# finetune --dry-run and --show-mask say what would be trained and leave no
# model (not even the base), data set or file.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 120
tiny_model 270 1 128
state() {
    find . -type f ! -name '*.db-*' ! -name before ! -name after | sort
    sqlite3 s/store.db 'SELECT (SELECT count(*) FROM model), (SELECT count(*)
        FROM dataset), (SELECT count(*) FROM seal)'
    sqlite3 s/store.db .dump | sha256sum
}
rm -f s/lock.*
state >before
sed -n '/|/p' before
slmctl finetune --task 1 --model tiny --tokens 500 --dry-run -q >/dev/null
echo "exit $?"
slmctl finetune --task 1 --model tiny --show-mask 2 -q >/dev/null
echo "exit $?"
state >after
diff before after
