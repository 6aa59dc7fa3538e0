# No manual page gives mandoc anything to say.
command -v mandoc >/dev/null || { echo "skip: mandoc is missing"; exit; }
mandoc -T lint -W warning "$TREE"/man/*.[157]
