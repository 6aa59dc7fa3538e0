# A template that opens a thought in its prompt and shows answers without
# theirs (DeepSeek-R1's) can be trained: the thought's end is part of the
# answer, here and in what is generated.
. "$TREE/tests/cli/lib/common.subr"
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 60
tiny_model 280 2 256 2>/dev/null
cat >tiny/chat_template.jinja <<'END'
{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{{ m.content.split('</think>')[-1] }}<|im_end|>{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}
END
slmctl finetune --task 1 --model tiny --show-mask 1 2>/dev/null
slmctl finetune --task 1 --model tiny --method full -q --json --tokens 900 \
    2>/dev/null | jq -c '.models[0].left_out'
