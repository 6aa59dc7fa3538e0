# A model goes to GGUF and back; each result is read again and compared, and
# what is too far off is marked bad. A file that is not whole is found.
m=$TREE/data/base
slmctl model convert "$m" --type F32 -o f32.gguf | sed 's/difference.*//'
slmctl model convert f32.gguf --to safetensors --type F32 -o back --json |
    jq -c '[.schema, .verdict, .kl == 0, .top1]'
slmctl model convert "$m" --to safetensors --type F32 -o wide -q
cmp wide/model.safetensors back/model.safetensors && echo 'the same weights'
echo '{"text":"SELECT a, 12 FROM b"}' >text
slmctl model tokenize "$m" <text >one
slmctl model tokenize f32.gguf <text >two
cmp one two && echo 'the same tokens'
slmctl generate --model "$m" --raw --max-tokens 8 'SELECT' >one
slmctl generate --model f32.gguf --raw --max-tokens 8 'SELECT' >two
cmp one two && echo 'the same answer'
for t in Q8_0 Q4_K Q6_K; do
    slmctl model convert "$m" --type $t -o $t.gguf >line || echo "$t: $?"
    sed 's/, read back.*//' line
done
slmctl model show Q8_0.gguf | sed -n 's/^weights.*(\(.*\)).*/\1/p'
slmctl model convert "$m" --type Q4_0 --max-kl 0 -o low.gguf -q 2>err; echo "exit $?"
sed 's/.*: warning: //' err
ls low*
slmctl model convert "$m" --to safetensors --shard-size 1M -o shards -q
find shards -name 'model-*-of-*.safetensors' | wc -l
slmctl model verify shards --json | jq -c '[.schema, .whole]'
slmctl model convert "$m" --to safetensors -o shards
slmctl model convert "$m" --type Q2_K -o x
mkdir cut && head -c 5000 f32.gguf >cut/m.gguf
slmctl model verify cut | awk '$2 == "failed"' | sed 's/^\([a-z]*\) .*\(tensor\|the file\)/\1: \2/'
