# An empty store, and one with three calls.
export SLMCTL_STORE=store SLMCTL_KEY_FILE="$PWD/key"
printf '%064d\n' 7 >key
chmod 600 key
slmctl collect -q --import /dev/null
slmctl status | sed 's/[0-9.]* KiB/N KiB/; s/20[0-9T:-]*Z/TIME/'
for i in 1 2; do
    printf '{"request":{"messages":[]},"response":{"id":"%d"}}\n' $i
done | slmctl collect -q --import -
printf '{"request":{},"status":"cancelled"}\n' | slmctl collect -q --import -
slmctl status | sed 's/[0-9.]* KiB/N KiB/; s/20[0-9T:-]*Z/TIME/'
slmctl status --json | jq -c '.schema, .statuses, (.stages | map([.name, .due]))'
