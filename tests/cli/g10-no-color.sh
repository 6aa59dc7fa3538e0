# On a terminal, NO_COLOR and TERM=dumb leave plain text.
script -qec true /dev/null >/dev/null 2>&1 </dev/null || {
    echo "skip: script(1) makes no terminal here"
    exit 0
}
for how in 'NO_COLOR=1' 'TERM=dumb'; do
    for words in -h 'status' 'completion -h'; do
        script -qec "env $how slmctl $words" /dev/null </dev/null >screen
        grep -q "$(printf '\033')" screen && echo "$how slmctl $words: escapes"
    done
done
:
