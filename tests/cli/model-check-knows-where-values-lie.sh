# Values without expected.json, beside a GGUF file, of packed rows, and one file
# for a 4-bit model and its adapter; a wrong weight or gradient is found.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
f=$SLMCTL_REFERENCE/fixtures
verdicts() {
    slmctl model check "$@" >out
    echo "exit $?: $(awk 'NR > 1 { n[$3]++ } END { for (k in n) print n[k], k }' out)"
}
verdicts "$f/formats/qwen2-f16"
verdicts "$f/formats/gguf/llama-Q8_0.gguf"
verdicts "$f/models/gemma2" && grep -c '^packed.logits .* ok$' out
verdicts "$f/formats/llama-nf4" && grep -o '^dequantised.*0.00e+00' out
verdicts "$f/formats/llama-nf4" --adapter "$f/formats/llama-nf4/adapter"
cp -R "$f/formats/llama-nf4-double" m
chmod -R u+w m
# The lowest bits of one weight.
from=$(($(od -An -tu8 -N8 m/expected.safetensors) + 8))
printf '\252' | dd of=m/expected.safetensors bs=1 seek=$from conv=notrunc 2>dd.log
slmctl model check m | awk '$3 == "over" { print $1, $3 }'
sed -i 's/"loss": 7/"loss": 6/' m/expected.json
slmctl model check m --adapter m/adapter | awk '$3 == "over" { print $1, $3 }'
cp "$f/models/gemma2/packed.safetensors" m
slmctl model check m
