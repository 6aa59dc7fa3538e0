# Lines that are made to hurt: one clear line each, the line left out, the ones
# around it go on, status 3; and rules that would take for ever are refused.
bad=$TREE/tests/malformed/scrub
for f in "$bad"/*; do
    { echo '{"n":1}'; cat "$f"; echo '{"n":2}'; } |
        slmctl curate --filter --threads 2 >out 2>err
    echo "$(basename "$f" .jsonl) [$?] $(tr '\n' ' ' <out)$(cat err)"
done

echo '# strange, and fine'
printf '%s\n' '{"a":"\ud800 \u0000 ada@love.org \udc00"}' >in
slmctl curate --filter <in | grep -c '^{"a":"\\ud800 \\u0000 [a-z.@]* \\udc00"}$'
printf '\377\376 ada@love.org \303\n' |
    slmctl curate --filter --text | grep -ac love.org

echo '# a long string'
awk 'BEGIN { printf "{\"a\":\""; for (i = 0; i < 300000; i++) printf "word and more ";
    print "ada@love.org\"}" }' >in
slmctl curate --filter <in >out
echo "$? $(grep -c love.org out)"

echo '# rules that take for ever'
mkdir rules
for pattern in '^(a+)+$' '(?:[a-z]+[.]?)+@' '^(?:\w+\s?)*$'; do
    printf '[bomb]\ntype = X\ngate = all\npattern = %s\nexample = <<q>>\ncounter = 1\n' \
        "$pattern" >rules/bomb.rules
    echo '{"n":1}' | slmctl curate --filter --rules rules
    echo "exit $?"
done
