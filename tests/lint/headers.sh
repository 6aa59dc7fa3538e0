#!/bin/sh
# Each header compiles alone: it includes what it needs.
set -u
bad=0
for h in $(git ls-files 'lib/*.h' 'cmd/*.h'); do
    printf '#include "%s"\ntypedef int not_empty;\n' "$h" |
        "${CC:-cc}" -std=c11 -D_GNU_SOURCE -DSLMCTL_VERSION='""' -Ilib -I. \
            -Wall -Wextra -Werror -fsyntax-only -x c - ||
        { echo "headers: $h does not compile alone"; bad=1; }
done
exit $bad
