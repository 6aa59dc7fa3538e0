# A stop text would cut an answer that has a form; the tokens of a stop are no
# part of the log probabilities; --top-p 0 leaves one token; an answer with a
# form comes to its end within the tokens that it may have.
b=$TREE/data/base
slmctl generate --model "$b" --raw --labels abc,def --stop b x 2>&1
echo "exit $?"
slmctl generate --model "$b" --raw -n 12 --stop ns SELECT >text
slmctl generate --model "$b" --raw -n 12 --stop ns --logprobs SELECT |
    sed 's/.*"text":"\([^"]*\)".*/\1/' | tr -d '\n' | cmp - text && echo equal
slmctl generate --model "$b" --raw -n 12 SELECT >greedy
for seed in 1 2 3; do
    slmctl generate --model "$b" --raw -n 12 --temperature 1.5 --top-p 0 \
        --seed $seed SELECT | cmp - greedy && echo greedy
done
cat >schema.json <<'END'
{"type": "array", "items": {"type": "object", "required": ["name"],
 "properties": {"name": {"type": "string"}}}}
END
for n in 20 40 60; do
    slmctl generate --model "$b" --raw -n $n --schema schema.json x |
        grep -c '}]$'
done
