#!/bin/sh
# dictionary.sh TARGET - a dictionary for libFuzzer: the string literals of the
# files that read the target's input, as its format spells them.
set -eu
name=$1
here=$(dirname "$0")
sh "$here/parsers.sh" "$name" | xargs -r cat | grep -o '"[^"\\ %]*"' | tr -d '"' |
    grep -v '^.\{0,1\}$' | grep -v '[./].*[./].*[./]' | grep -v '\.h$' |
    LC_ALL=C grep -v '[^ -~]' | LC_ALL=C sort -u | awk -v name="$name" '
    function prefixed(s) {
        return sprintf("\\x%02x\\x00\\x00\\x00\\x00\\x00\\x00\\x00%s",
                       length(s), s) }
    length($0) > 60 { next }
    name == "jinja" { printf "\"%s\"\n", $0; next }
    name != "gguf" || /\.json$/ { printf "\"\\\"%s\\\"\"\n", $0 }
    name == "gguf" { printf "\"%s\"\n\"%s\"\n", prefixed($0),
                     prefixed("llama." $0) }'
