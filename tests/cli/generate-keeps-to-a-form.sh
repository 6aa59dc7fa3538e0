# Labels, expressions, schemas and stops hold, for a model that knows of none.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
m=$SLMCTL_REFERENCE/fixtures/stories260k
slmctl generate -m "$m" --raw --labels 'cat,dog,a bird' 'Lily saw a'; echo "|$?"
slmctl generate -m "$m" --raw --regex '[A-Z][a-z]{2,5} was [0-9]{1,3}' 'Lily saw' | grep -Ex '[A-Z][a-z]{2,5} was [0-9]{1,3}' >/dev/null && echo matches
cat >s.json <<'S'
{"type":"object","properties":{"name":{"type":"string","maxLength":8},"pet":{"enum":["cat","dog"]}},"required":["name","pet"]}
S
for seed in 1 2 3; do
    slmctl generate -m "$m" --raw --schema s.json --temperature 1 --seed "$seed" 'Lily saw' |
        jq -c 'keys, (.name | length <= 8), (.pet | . == "cat" or . == "dog")'
done
slmctl generate -m "$m" --raw --schema s.json -n 3 'Lily saw' >/dev/null; echo "$?"
slmctl generate -m "$m" --raw -n 20 --stop 'girl' 'Once upon a time'; echo '|'
slmctl generate -m "$m" --raw -n 20 --json --stop 'ere w' 'Once upon a time' |
    jq -c 'del(.slmctl_version)'
echo '{"type":"string","not":{"const":"x"}}' >bad.json
slmctl generate -m "$m" --raw --schema bad.json Lily; echo "$?"
slmctl generate -m "$m" --raw --regex '(?=x)' Lily; echo "$?"
slmctl generate -m "$m" --raw --regex x --labels y Lily; echo "$?"
