# A name that a person gives can be the name of a file: no slash, no leading dot
# or dash, no white space, not too long; a directory's own name is told apart.
mkdir dir 'my dir'
long=$(printf 'a%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13)$(printf 'bcdef%.0s' 1 2 3 4 5 6 7 8 9 10 11)
for name in a/b .hidden -x '..' 'a b' "$long" 'a;b' ä; do
    slmctl model add dir "--as=$name"
    echo "$?"
done
slmctl model add 'my dir'
slmctl model add dir --as Good-1.2_b 2>&1 | grep -c 'config.json'
