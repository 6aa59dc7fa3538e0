# What cannot be served is refused at once, in one line, before a store is
# made; a file that is in the way of a socket stays.
try() {
    timeout 5 slmctl collect --store store "$@" 2>&1 |
        sed "s|$PWD/||; s/:[0-9]*: Address already/:PORT: Address already/"
}
code() {
    timeout 5 slmctl collect --store store "$@" 2>/dev/null
    echo "exit $?"
}
up=http://127.0.0.1:9
both() {
    try "$@"
    code "$@"
}
both --listen
both --listen 127.0.0.1:0 --upstrem $up
both --listen 127.0.0.1:0
both --listen 127.0.0.1:0 --upstream $up --import calls.jsonl
for address in nowhere 127.0.0.1 127.0.0.1: 127.0.0.1:abc 127.0.0.1:-1 \
    127.0.0.1:65536 127.0.0.1:99999 127.0.0.1:800000000 ::1:80 '[::1' \
    unix: fd:x fd:99 http://127.0.0.1:80; do
    both --listen $address --upstream $up
done
both --listen 127.0.0.1:0 --admin 127.0.0.1:65536 --upstream $up
for url in example.com ftp://example.com http:// http://:80 http://h:99999 \
    http://h:abc http://h:0 'http://h h' http://user:key@h w=http://h \
    =http://h; do
    both --listen 127.0.0.1:0 --upstream "$url"
done
both --listen 127.0.0.1:0 --upstream a=$up --upstream a=$up
both --listen 127.0.0.1:0 --upstream $up --private other
both --listen 127.0.0.1:0 --upstream $up --trust 10.0.0.0/99
both --listen 127.0.0.1:0 --upstream $up --keep-header authorization
both --listen 127.0.0.1:0 --upstream $up --keep-header 'a b'
both --listen 127.0.0.1:0 --upstream $up --egress-proxy gopher://h
both --listen 127.0.0.1:0 --upstream $up --queue 1
both --listen 127.0.0.1:0 --upstream $up --connections 0
both --listen 127.0.0.1:0 --upstream $up --client-tokens missing
echo nonsense >tokens
both --listen 127.0.0.1:0 --upstream $up --client-tokens tokens
both --listen 127.0.0.1:0 --upstream $up --proxy-protocol
both --listen 127.0.0.1:0 --upstream $up --ca-file missing
both --listen 127.0.0.1:0 --upstream $up --ca-file tokens
both --listen unix:tokens --upstream $up
both --listen unix:missing/socket --upstream $up
cat tokens
[ ! -e store ] || echo "a store was made"
