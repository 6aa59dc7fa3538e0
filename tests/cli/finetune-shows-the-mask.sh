# The answer and the token that ends it are trained, nothing else; a template
# with generation blocks says what is trained itself.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 270 1 128
slmctl finetune --task 1 --model tiny --show-mask 2 2>/dev/null | sed 's/[0-9][0-9]*/N/g; s/odd]]/ANSWER]]/; s/even]]/ANSWER]]/; s/odd<|/ANSWER<|/; s/even<|/ANSWER<|/'
slmctl finetune --task 1 --model tiny --show-mask 1 --json |
    jq -c '.schema, (.examples[0].parts | map(.trained))'
cat >tiny/chat_template.jinja <<'EOF'
{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>
{% else %}{{ m.content }}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}
EOF
slmctl finetune --task 1 --model tiny --show-mask 1 --json |
    jq -c '.examples[0].parts | map(.trained)'
printf '%s' "{{ messages | map(attribute='content') | join(' ') }}" \
    >tiny/chat_template.jinja
slmctl finetune --task 1 --model tiny --show-mask 1; echo "exit $?"
slmctl finetune --all --show-mask 1 2>&1; echo "exit $?"
