# generation_config.json with members that mean nothing, and prompts that are no
# text, get one line.
. "$TREE/tests/cli/lib/train.subr"
export SLMCTL_STORE=s
odd_even_store 20
tiny_model 270 1 128
for config in '[]' '{"eos_token_id":"x"}' '{"eos_token_id":-1}' \
    '{"eos_token_id":99999}' '{"eos_token_id":[1,1.5]}' '{"temperature":"hot"}' \
    '{"do_sample":"yes"}' '{"top_p":-1}' '{"top_k":[1]}' \
    '{"eos_token_id":null,"temperature":null}' \
    '{"eos_token_id":[0,269],"do_sample":true,"temperature":0.7,"top_p":0.9}'; do
    echo "$config" >tiny/generation_config.json
    slmctl generate --model tiny --raw -n 2 number >out
    echo "$config: $?"
done
rm tiny/generation_config.json
printf 'a\377b' | slmctl generate --model tiny --raw -n 2
echo "invalid UTF-8: $?"
printf 'ab\000c' | slmctl generate --model tiny --raw -n 2
echo "a NUL: $?"
printf 'a\355\240\200' | slmctl generate --model tiny -n 2
echo "a surrogate, with a template: $?"
