# The tool that makes the data of names: the same inputs give the same bytes,
# another seed gives others; folders in folders are read.
tool=$(dirname "$(readlink -f "$(command -v slmctl)")")/namestool
[ -x "$tool" ] || { echo 'skip: namestool is not built'; exit 0; }
mkdir lists conll conll/more
printf 'Ada\nBea\nCleo\n' >lists/popular_female
printf 'Abel\nBen\n' >lists/popular_male
printf 'Stone\nRivers\n' >lists/popular_last
printf 'dora\n' >lists/first
printf 'hill\n' >lists/last
printf 'Springfield\nNew_Harbor\n' >lists/city
printf 'Freedonia\n' >lists/country
printf 'the\nwas\nseen\nin\n' >lists/common
cat >conll/one.conll <<'X'
Ada B-PER
Stone I-PER
was O
seen O
in O
Springfield B-LOC
. O

The O
X
printf 'Acme\tB-corporation\nclosed\tO\n\n' >conll/more/two.conll
printf '# comment\nI am {P} from {G}.\nNo name here.\n' >templates
"$tool" pack a.bin lists && "$tool" pack b.bin lists nowhere && cmp a.bin b.bin
"$tool" train a.w a.bin conll templates lists 3 20 7 >a.txt
"$tool" train b.w b.bin conll templates lists 3 20 7 >b.txt
"$tool" train c.w b.bin conll templates lists 3 20 8 >c.txt
cmp a.w b.w && cmp a.txt b.txt && echo same
cmp -s a.w c.w || echo another seed, other weights
head -1 a.txt
wc -c <a.w
"$tool" train x a.bin nowhere templates lists
echo $?
"$tool" train x templates conll templates lists
echo $?
