#!/bin/sh
# No two source files share a name, so that a name in a backtrace, a log or a
# message is never ambiguous.
set -u
# Scratch files are not committed by accident: the top level is this.
top='^(Makefile|README\.md|LICENSE|CONTRIBUTING\.md|\..*|(cmd|lib|data|tests|man|completions)/.*)$'
stray=$(git ls-files | grep -vE "$top")
[ -z "$stray" ] || { echo "names: outside the known top level:" $stray; exit 1; }
twice=$(git ls-files 'cmd/*' 'lib/*' 'tests/*' 'data/*' |
    grep -E '\.(c|h|cu|cuh|sh|py)$' | sed 's,.*/,,' | sort | uniq -d)
[ -z "$twice" ] || { echo "names: used twice:" $twice; exit 1; }
