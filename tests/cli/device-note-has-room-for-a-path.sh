# Why auto is not a GPU is told to its end, also from a folder far down.
unset SLMCTL_DEVICE
d=$PWD
for i in 1 2 3 4 5; do
    d=$d/a-folder-with-a-name-of-more-than-fifty-characters-$i
done
mkdir -p "$d"
cp "$(readlink -f "$(command -v slmctl)")" "$d/slmctl"
"$d/slmctl" generate -m "$TREE/data/base" --device auto -n 1 hi 2>&1 >out |
    sed "s|$d|FOLDER|"
