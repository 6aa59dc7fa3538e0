# Train a tokenizer, then texts to ids and back; bad lines are answered.
for _ in 1 2 3 4 5 6 7 8; do
    echo '{"messages":[{"role":"user","content":"select name from city"}]}'
    echo '{"text":"select the name 2024 \u00e9t\u00e9"}'
done >train.jsonl
slmctl model train-tokenizer --vocab 300 --special '<|im_start|>' \
    --special '<|im_end|>' --output tokenizer.json train.jsonl
slmctl model train-tokenizer --vocab 300 --special '<|im_start|>' \
    --special '<|im_end|>' --quiet --output again.json train.jsonl
cmp tokenizer.json again.json && echo 'the same again'
printf '%s\n' '{"text":"select 20 \u00e9!"}' '{"text":"<|im_start|>x"}' \
    '{"ids":[1]}' 'no json' '{"text":""}' '{"text":"a\ud800"}' |
    slmctl model tokenize --offsets tokenizer.json
echo "exit $?"
printf '%s\n' '{"ids":[0,101,9999,-5,1]}' '{"ids":"x"}' |
    slmctl model tokenize --decode .
printf '%s\n' '{"ids":[0,101,1]}' |
    slmctl model tokenize --decode --skip-special .
slmctl model tokenize --decode --special . </dev/null 2>&1
printf 'aaa\n' >plain.txt
slmctl model train-tokenizer -n 400 -o small.json plain.txt
slmctl model train-tokenizer -n 260 -o bad.json train.jsonl nofile.txt
echo "exit $?"
