# A file that is not there: an error, and no store was made.
slmctl collect --store store --import no-such-file.jsonl
echo "exit $?"
slmctl collect --store store
echo "exit $?"
slmctl status --store store
echo "exit $?"
ls
