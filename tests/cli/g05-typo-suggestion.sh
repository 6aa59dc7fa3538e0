slmctl completon bash
echo $?
slmctl --versoin
echo $?
slmctl help compeltion
echo $?
slmctl zzzzzz
echo $?
slmctl completion --hlep
