# "help help" is help, as "help" alone.
slmctl help >a
slmctl help help >b
echo "exit $?"
cmp a b
slmctl help help eval | head -1
slmctl help nosuch
echo "exit $?"
