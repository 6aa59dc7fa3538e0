# The demo keeps its key and store in DEMO_DIR, also if that is an absolute
# path, and goes on to the evaluation where one task could not be trained. The
# commands are stood in for: what is tested is the script.
cp -r "$TREE/data" .
cat >stub <<'.'
#!/bin/sh
case $1 in
--list-commands) printf '%s\n' collect curate cluster select finetune eval ;;
finetune) exit 3 ;;
eval)
    printf '<testcase name="a">\n<x>pass: y\n' >"${SLMCTL_STORE%/store}/report.xml"
    exit 11
    ;;
esac
.
chmod +x stub
: >before
find . ! -name out | sort >before
SLMCTL="$PWD/stub" DEMO_DIR="$HOME/demo" sh data/agent/demo.sh >out
echo "exit $?"
find . ! -name out | sort | diff before -
(cd "$HOME/demo" && find . -type f | sort)
grep -c '^\$ slmctl eval' out
