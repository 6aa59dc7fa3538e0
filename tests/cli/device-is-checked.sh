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
# Kernels of the CPU and of a GPU are forced apart, also where there is no GPU.
for v in SLMCTL_CUDA=fast SLMCTL_CUDA=generic SLMCTL_CPU=mma SLMCTL_CPU=fast \
    SLMCTL_CUDA=nograph SLMCTL_CUDA=cluster,nograph SLMCTL_CPU=generic; do
    for d in auto cpu cuda:999; do
        env "$v" slmctl generate -m "$m" --device $d -n 1 hi >out 2>err
        echo "$v $d: exit $? $(grep -o 'SLMCTL_C.*' err)"
    done
done
