#!/bin/sh
# Sizes of functions and files in lib/ and cmd/. A function is counted from
# its opening to its closing brace, both in column 1 (clang-format sees to
# it). Wanted: median at most 20 lines, nine of ten at most 40, no file over
# 800 lines (tests included).
set -u
bad=0
for f in $(git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.sh' '*.py'); do
    n=$(wc -l <"$f")
    [ "$n" -le 800 ] || { echo "sizes: $f has $n lines, over 800"; bad=1; }
done
awk 'FNR == 1 { open = 0 }
     /^{/ { open = FNR }
     /^}/ { if (open) print FNR - open + 1, FILENAME ":" open; open = 0 }' \
    $(git ls-files 'lib/*.c' 'cmd/*.c' 'data/*.c') | sort -n |
    awk '{ n[NR] = $1; small += $1 <= 40
           if ($1 > 60) print "note: " $2 " has " $1 " lines" }
         END { if (!NR) exit
               share = 100 * small / NR; median = n[int((NR + 1) / 2)]
               printf "note: %d functions, median %d lines, %.1f %% at " \
                      "most 40, longest %d\n", NR, median, share, n[NR]
               if (median > 20) print "sizes: the median is over 20"
               if (share < 90) print "sizes: under 90 % are at most 40"
               exit median > 20 || share < 90 }' || bad=1
exit $bad
