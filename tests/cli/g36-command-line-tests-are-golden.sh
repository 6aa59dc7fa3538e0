# Each command has a test here whose output is kept, and each kept output a
# test that it belongs to.
cd "$TREE/tests/cli" || exit 1
for kept in *.out *.err *.exit; do
    [ -f "${kept%.*}.sh" ] || echo "$kept belongs to no test"
done
for command in $(slmctl --list-commands); do
    grep -l "slmctl $command" ./*.sh >/dev/null ||
        echo "$command has no test"
done
