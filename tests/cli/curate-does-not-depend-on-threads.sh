# The same bytes come out for any number of threads, of the filter and of a
# store, run after run; another key has nothing in common with them.
. "$TREE/tests/cli/lib/common.subr"
printf '%064d\n' 7 >key
printf '%064d\n' 8 >other
chmod 600 key other
export SLMCTL_KEY_FILE="$PWD/key"
make_logs 400 | awk '{
    n = split("Ada Bob Carla Dan Eve Fritz Gina Hugo Ines Jan", first, " ")
    m = split("Lovelace Miller Santos Weber Okafor Rossi Novak Kim", last, " ")
    f = first[NR % n + 1]; l = last[int(NR / 3) % m + 1]
    who = "I am Mr. " f " " l ", born May " (NR % 28 + 1) ", 1961, mail " \
        tolower(f) "." tolower(l) (NR % 7) "@acme" (NR % 11) ".org, phone " \
        (2127360000 + 37 * NR) ", 12 Maple Street, Springfield, IL 62704. "
    sub(/"content":"(How|The)/, "\"content\":\"" who "x")
    print
}' >log.jsonl
grep -c 'Maple Street' log.jsonl
for t in 1 2 7; do
    slmctl curate --filter --threads $t --vault v$t <log.jsonl >clean$t
    slmctl collect --import log.jsonl --store s$t -q
    slmctl curate --store s$t --threads $t -q --export out$t --split all 2>err
    slmctl curate --store s$t -q --decisions - >decisions$t
done
for f in clean out decisions; do
    cmp ${f}1 ${f}2 && cmp ${f}1 ${f}7 && echo "$f: the same"
done
slmctl curate --filter --threads 2 <log.jsonl | cmp - clean1 && echo again
grep -c 'Maple\|@acme\|736[0-9]\{4\}' clean1 out1
for t in 2 7; do
    slmctl curate --reveal --vault v$t <clean1 | cmp - log.jsonl && echo back
done
surrogates() {
    grep -o '[a-z0-9.]*@[a-z.]*' "$1" | sort -u
}
slmctl curate --filter --key-file other <log.jsonl >elsewhere
surrogates clean1 >a
surrogates elsewhere >b
comm -12 a b | wc -l
# Store and filter agree where the key is the same.
surrogates out1 | comm -23 - a | wc -l
