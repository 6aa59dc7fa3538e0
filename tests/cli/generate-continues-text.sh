# The answer alone on stdout, from an operand and from stdin, streamed or not.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
m=$SLMCTL_REFERENCE/fixtures/stories260k
slmctl generate --model "$m" --raw --max-tokens 20 'Once upon a time'
echo '|'
printf 'Once upon a time' | slmctl generate -m "$m" --raw -n 20 --threads 1
echo '|'
printf 'Once upon a time' | slmctl generate -m "$m" --raw -n 20 --temperature 1 --seed 7 - >a
slmctl generate -m "$m" --raw -n 20 --temperature 1 --seed 7 --threads 2 'Once upon a time' >b
slmctl generate -m "$m" --raw -n 20 --temperature 1 --seed 8 'Once upon a time' >c
cmp a b && ! cmp -s a c && echo 'the seed decides'
slmctl generate -m "$m" --raw -n 3 --json Lily | jq -c 'del(.slmctl_version)'
slmctl generate -m "$m" --raw -n 3 --logprobs Lily | sed 's/\(logprob":-0.85\)[0-9]*/\1.../' | head -1
slmctl generate -m "$m" --raw -n 1 --logprobs --top-logprobs 2 Lily |
    jq -c '.top_logprobs[] | [.token, .text]'
