#!/bin/sh
# No two source files share a name, so that a name in a backtrace, a log or a
# message is never ambiguous.
set -u
twice=$(git ls-files 'cmd/*' 'lib/*' 'tests/*' 'data/*' |
    grep -E '\.(c|h|cu|cuh|sh|py)$' | sed 's,.*/,,' | sort | uniq -d)
[ -z "$twice" ] || { echo "names: used twice:" $twice; exit 1; }
