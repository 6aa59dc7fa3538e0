# Blocks that generate makes are those that a converted file has; of a file
# they stay what they are.
m=$TREE/data/base
ask() {
    slmctl generate -n 12 --logprobs "$@" 'Columns: a, b. Question: which b?' |
        jq -c '[.id, .logprob]'
}
ask -m "$m" >stored
ask -m "$m" --weights auto | cmp - stored && echo auto
ask -m "$m" --weights f32 | cmp - stored && echo f32
for way in q8_0 q4_0; do
    type=$(echo $way | tr q Q)
    slmctl model convert "$m" --to gguf --type "$type" -o "$way.gguf" >/dev/null
    ask -m "$m" --weights $way >$way
    ask -m "$way.gguf" | cmp - $way && echo "$way of a file"
    ask -m "$way.gguf" --weights f32 | cmp -s - $way || echo "$way widened is another"
    ask -m "$m" --weights $way --threads 1 | cmp - $way && echo "$way on one thread"
    cmp -s stored $way || echo "$way rounds"
done
ask -m q4_0.gguf --weights q8_0 | cmp - q4_0 && echo 'four bits stay four'
slmctl generate -m "$m" --weights int8 hello
