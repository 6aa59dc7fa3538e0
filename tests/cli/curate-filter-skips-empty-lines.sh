# Empty lines are skipped as an import skips them; plain text keeps its own.
printf '{"a":1}\n\n  \n{"a":2}\n\n' | slmctl curate --filter
echo "exit $?"
printf 'one\n\ntwo\n' | slmctl curate --filter --text
echo "exit $?"
printf '\n\n' | slmctl curate --filter
echo "exit $?"
