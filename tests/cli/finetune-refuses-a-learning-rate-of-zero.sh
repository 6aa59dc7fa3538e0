# It meant the default once.
slmctl finetune --lr 0
echo "exit $?"
slmctl finetune --lr -1
echo "exit $?"
