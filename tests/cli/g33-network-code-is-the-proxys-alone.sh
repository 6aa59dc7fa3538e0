# Nothing is sent anywhere but what collect passes on: no other module knows
# sockets, and none of the small commands needs libcurl in its process.
grep -rlwE '(socket|connect|getaddrinfo|sendto|gethostbyname)\(|curl/curl\.h' \
    "$TREE/lib" "$TREE/cmd" --include='*.[ch]' |
    grep -vE '/lib/(proxy|upstream)/' || :
ldd "$(readlink -f "$(command -v slmctl)")" 2>/dev/null | grep -i curl || :
