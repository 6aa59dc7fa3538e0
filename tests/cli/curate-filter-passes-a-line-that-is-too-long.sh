# A line of more than 256 MiB ended the stream with exit code 1.
{
    echo '{"a":1}'
    head -c 268435457 /dev/zero | tr '\0' 'a'
    printf '\n{"b":"c"}\n'
} | slmctl curate --filter
echo "exit $?"
