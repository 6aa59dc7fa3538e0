# Each call has one reason; equal values have equal surrogates; a second run
# finds nothing and says nothing.
. "$TREE/tests/cli/lib/curate.subr"
curate_store
slmctl curate | sed 's/in [0-9.]* s;/in N s;/'
slmctl curate
slmctl curate --decisions - | cut -f1,3-
slmctl curate --export - --split all | grep analytical
slmctl curate --export - --split all | jq -r '.messages[].content' | grep @ |
    grep -o '[a-z]*@[a-z.]*[a-z]' | sort -u | wc -l
slmctl curate --json | jq -c 'del(.seconds, .version, .slmctl_version)'
slmctl curate --split 50,25,25 --json | jq -c '.new, .divided'
slmctl curate --json | jq .new
