# A store that has calls and nothing else: text, a page for its owner alone, the
# same bytes again, and forms by suffix. One
# that tells no form is refused.
printf '{"timestamp": 1700000000, "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}, "response": {"choices": [{"message": {"role": "assistant", "content": "hi"}}]}}\n' >log.jsonl
slmctl collect --quiet --import log.jsonl >/dev/null
slmctl report --title 'a <title>' | sed 's/; newest.*//'
slmctl report -q -o a.html --title 'a <title>' && stat -c %a a.html
slmctl report -q -o b.html --title 'a <title>' && cmp a.html b.html && echo same
grep -c '<title>a &lt;title&gt;</title>' a.html
slmctl report -q -o a.md && head -1 a.md
slmctl report -q -o a.json && head -2 a.json
slmctl report --task nothing || echo "exit $?"
slmctl report -o nowhere/a.html || echo "exit $?"
slmctl report -o a.pdf || echo "exit $?"
ls a.pdf 2>/dev/null
slmctl report -q --format text -o a.pdf && slmctl report -q -o A.HTML &&
    head -c 15 A.HTML && slmctl report -q -o report && head -1 report
