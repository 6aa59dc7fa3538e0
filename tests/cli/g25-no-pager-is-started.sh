# Output is never handed to a pager: what a terminal shows is what was written.
printf '#!/bin/sh\necho pager >>%s/paged\ncat\n' "$PWD" >pager
chmod +x pager
export PAGER="$PWD/pager" MANPAGER="$PWD/pager"
slmctl help >/dev/null
slmctl status >/dev/null 2>&1
script -qec "slmctl help" /dev/null </dev/null >/dev/null 2>&1
[ ! -e paged ] || echo "a pager ran"
