#!/bin/sh
# Words that have no place in the tree: paths of one machine, notes to self.
set -u
bad=0
find_word() { # PATTERN WHY PATHSPEC...
    pattern=$1 why=$2
    shift 2
    git grep -nIE "$pattern" -- "$@" ':!tests/lint/words.sh' |
        sed "s,\$, <- $why," | grep . && bad=1
}
find_word '/(work|farm|home/[a-z]+)/' 'a path of one machine' \
    ':!.ci' ':!tests/unit/test_cli.c' ':!data/agent/*.txt'
find_word '\.\./shared' 'a path outside the tree' ':!.ci'
find_word '(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)([^A-Za-z]|$)' \
    'say it in an issue' 'lib/*' 'cmd/*' 'tests/*' 'Makefile' 'man/*'
find_word 'design\.md' 'this file is not in the tree' ':!.ci'
find_word '[[:space:]]$' 'white space at the end of the line' \
    '*.c' '*.h' '*.cu' '*.cuh' '*.sh' '*.py' 'Makefile'
exit $bad
