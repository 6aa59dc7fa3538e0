# Whenever it is killed, the name is there whole or not at all; a file leaves
# nothing beside it either. An interrupt takes directories back as well.
cp -r "$TREE/data/base" base
whole=0 none=0
for delay in 01 02 04 06 08 10 13 16 20 25 30 40; do
    timeout -s KILL 0.$delay slmctl model convert base --type Q4_K \
        --max-kl 9 -q -o out.gguf >/dev/null 2>&1
    timeout -s KILL 0.$delay slmctl model convert base --to safetensors \
        --type F16 --max-kl 9 -q -o out >/dev/null 2>&1
    for made in out.gguf out; do
        if [ ! -e $made ]; then
            none=$((none + 1))
        elif slmctl model show $made >/dev/null; then
            whole=$((whole + 1))
        else
            echo "$made is there in part"
        fi
    done
    find . -name '*.gguf.tmp*'
    rm -rf out.gguf out out.new.*
done
echo "$((whole + none)) times"
slmctl model convert base --to safetensors --type F32 -q -o whole/deep/ || echo failed
ls whole whole/deep
slmctl model convert base --to safetensors --type F32 --shard-size 500k -q -o shards || echo failed
find shards -name 'model-0000?-of-0000?.safetensors' | wc -l
slmctl model convert base --type F16 -q -o nowhere/out.gguf
ls
