# The directory of a key file that is named has to be there; that of the default
# is made.
echo '{"n":1}' | slmctl curate --filter --key-file nope/key
echo "exit $?"
slmctl store keygen nope/key
echo "exit $?"
ls nope 2>/dev/null
XDG_CONFIG_HOME=$PWD/conf slmctl store keygen >note 2>&1
echo "exit $? $(find conf)"
