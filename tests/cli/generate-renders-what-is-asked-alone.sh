# A template that refuses the prompt that stands for any other, when what
# prompts share is looked for, still renders the one that was asked.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 2 512
printf '%s' "{% if messages[-1].content == 'A' %}{{ raise_exception('no A') }}{% endif %}" |
    cat - tiny/chat_template.jinja >t
mv t tiny/chat_template.jinja
slmctl generate -m tiny -n 2 --json A >out || echo "exit $?"
slmctl generate -m tiny -n 2 --json 'number 7' | jq .completion_tokens
