# A device that is asked for must be there, with the precision asked for.
m=$TREE/data/base
slmctl generate -m "$m" --device abacus hi; echo "exit $?"
slmctl generate -m "$m" --precision bf16 hi; echo "exit $?"
slmctl generate -m "$m" --precision half hi; echo "exit $?"
SLMCTL_DEVICE=cuda:x slmctl generate -m "$m" hi; echo "exit $?"
slmctl generate -m "$m" --device cuda:999 hi 2>one; echo "exit $?"
grep -c . one
slmctl generate -m "$m" --device cpu --precision f32 -n 3 hi >cpu
SLMCTL_DEVICE='' slmctl generate -m "$m" --device auto -q -n 3 hi >auto 2>err
[ -s cpu ] && [ -s auto ] && ! [ -s err ] && echo 'auto finds something'
