# What eval cannot do it says in one line, with the status that fits.
slmctl eval --store nowhere
echo $?
slmctl eval --adapter a
echo $?
slmctl eval --margin 51
echo $?
slmctl eval --split train
echo $?
mkdir s
printf '%s\n' '{"request":{"messages":[{"role":"user","content":"q"}]},"response":{"id":"r","choices":[{"message":{"role":"assistant","content":"a"}}]}}' |
    slmctl collect --import - --store s --quiet >collected
slmctl eval --store s
echo $?
slmctl eval --store s --task nosuch
echo $?
slmctl eval --store s --model nosuch --task nosuch
echo $?
printf 'gpt-x\t1\t-\n' >prices
slmctl eval --store s --prices prices
echo $?
