. "$TREE/tests/cli/lib/common.subr"
make_logs 40 | slmctl collect -q --import -
slmctl curate -q
slmctl curate -q --export - | jq -r '.messages | length' | sort -u
slmctl curate -q --decisions - | cut -f 4 | sort | uniq -c |
    awk '{ print $1, $2 }'
