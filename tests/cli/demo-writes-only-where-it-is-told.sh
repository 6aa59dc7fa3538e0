# The demo, whole, on the first of its calls: key and store stay in DEMO_DIR,
# also if that is an absolute path, and a task that cannot be trained (its
# prompts are longer than the base model reads) does not keep it from the end.
mkdir data logs
cp -r "$TREE/data/base" "$TREE/data/agent" data
zstdcat "$TREE/data/agent/logs.jsonl.zst" 2>/dev/null | head -n 900 >logs/logs.jsonl
awk 'BEGIN {
    for (i = 0; i < 60; i++) {
        text = ""
        for (k = 0; k < 1500; k++) text = text " " i * 7919 + k * 104729 % 9973
        printf "{\"request\":{\"model\":\"gpt\",\"messages\":[{\"role\":" \
               "\"system\",\"content\":\"Add up the list.\"},{\"role\":" \
               "\"user\",\"content\":\"%s\"}]},\"response\":{\"id\":\"l%d\"," \
               "\"model\":\"gpt\",\"choices\":[{\"finish_reason\":\"stop\"," \
               "\"message\":{\"role\":\"assistant\",\"content\":\"sum %d\"}}]}}\n",
            text, i, i
    }
}' >>logs/logs.jsonl
cp "$TREE"/data/agent/gold.jsonl.zst "$TREE"/data/agent/planted.txt.zst logs
: >before
find . ! -name out ! -name log | sort >before
DEMO_LOGS=logs DEMO_TOKENS=1500 DEMO_DIR="$HOME/demo" SLMCTL=slmctl \
    sh data/agent/demo.sh >out 2>log
echo "exit $?"
find . ! -name out ! -name log | sort | diff before -
(cd "$HOME/demo" && find . -maxdepth 3 -type f ! -path './store/*' | sort && ls store/store.db)
grep -c '^\$ slmctl eval' out
grep -o ' survivors of [0-9]* values' out | grep -c .
grep -c "^slmctl finetune: warning: .*add-up-list" log
sed -n 's/^\(Stay with the LLM\):.*query.*/\1/p' out
