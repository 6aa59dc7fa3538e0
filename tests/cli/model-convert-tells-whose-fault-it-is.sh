# Exit status 1: the model cannot be used; 2: the options are wrong.
b=$TREE/data/base
try() {
    slmctl model convert "$@" -o x.gguf >/dev/null 2>err
    echo "$? $(sed 's/.*convert: //;s/ no directory:.*/ no directory/' err)"
}
try nosuch
try "$b" --type Q9
try "$b" --base "$b"
mkdir empty
try empty
cp -r "$b" m
chmod -R u+w m
sed -i 's/"vocab_size": 2000/"vocab_size": 1999/' m/config.json
try m
sed -i 's/"LlamaForCausalLM"/"NobodyForCausalLM"/' m/config.json
try m | sed 's/; known:.*//'
[ ! -e x.gguf ]
