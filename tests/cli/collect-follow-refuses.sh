# What cannot be followed is refused at once, in one line.
try() {
    timeout 5 slmctl collect --store store "$@"
    echo "exit $?"
}
printf '(\265/\375x' >packed.zst
mkfifo pipe
mkdir dir
try --follow pipe 2>&1 | sed "s|$PWD/||"
try --follow dir 2>&1 | sed "s|$PWD/||"
try --follow packed.zst 2>&1 | sed "s|$PWD/||"
try --follow missing/app.log
try --follow dir/
try --follow app.log --follow ./app.log 2>&1 | sed "s|$PWD/||"
try --follow -
try --follow app.log --import calls.jsonl
try --follow app.log --listen 127.0.0.1:0
[ ! -e store ] || echo "a store was made"
