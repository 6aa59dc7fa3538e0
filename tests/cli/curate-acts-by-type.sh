# By type a find is replaced, tagged, masked, dropped or kept; JSON stays JSON
# and numbers stay numbers; values of a list stay; the rules' version tells.
line='{"a":"mail ada@love.org, bob@love.org, ADA@love.org","t":"from 81.169.145.72","phone":4157362671,"card":"4111 1111 1111 1111"}'
scrub() {
    printf '%s\n' "$line" | slmctl curate --filter "$@"
    echo
}
scrub --action EMAIL=tag --action ip=mask --action PHONE=tag --action CARD=drop
scrub --action '*=mask'
scrub --action '*=drop' --action PHONE=keep
scrub --action '*=keep'
printf 'Ada@Love.org\n\n 81.169.145.72 \n' >keep
scrub --keep keep --action '*=tag' --action PHONE=keep
scrub --action EMAIL=hide
scrub --action NOTHING=tag 2>&1
scrub --action EMIAL=tag 2>&1 | sed 's/, SERIAL.*//'
scrub --action
printf '%s\n' "$line" >in
. "$TREE/tests/cli/lib/curate.subr"
curate_store
version() {
    slmctl curate -q "$@"
    sqlite3 store/store.db "SELECT DISTINCT rules FROM example" |
        sed 's/-[0-9a-f]*/-X/'
    sqlite3 store/store.db "SELECT DISTINCT rules FROM example" >>versions
}
version
version --action EMAIL=tag
version --action EMAIL=mask --action PHONE=tag
version --action EMAIL=drop
version --action none --strict
version --scope client
version --keep keep
sort -u versions | wc -l

echo '# names of members stay apart'
line='{"by":{"ada@love.org":1,"bob@love.org":2},"x":"ada@love.org"}'
scrub --action '*=mask'
scrub --action '*=drop'
