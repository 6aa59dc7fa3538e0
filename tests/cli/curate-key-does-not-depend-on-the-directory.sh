# A relative XDG_CONFIG_HOME is ignored, for the key as for the configuration:
# else each directory would have a key of its own, and with it other splits.
printf '%s' '{"messages":[{"role":"user","content":"q"},' >log.jsonl
echo '{"role":"assistant","content":"a"}]}' >>log.jsonl
slmctl collect --store "$PWD/s" --import log.jsonl -q
S=$PWD/s
export XDG_CONFIG_HOME=conf
mkdir other
for d in . other; do
    (cd $d && slmctl curate --store "$S" -q)
    ls -d $d/conf 2>/dev/null
done
ls "$HOME/.config/slmctl"
