# On a terminal, NO_COLOR and TERM=dumb leave plain text.
command -v script >/dev/null || { echo "skip: no script(1)"; exit 0; }
for how in 'NO_COLOR=1' 'TERM=dumb'; do
    for words in -h 'status' 'completion -h'; do
        script -qec "env $how slmctl $words" /dev/null </dev/null >screen
        grep -q "$(printf '\033')" screen && echo "$how slmctl $words: escapes"
    done
done
:
