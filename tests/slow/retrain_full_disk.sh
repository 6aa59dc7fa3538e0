#!/bin/sh
# retrain_full_disk.sh SLMCTL - the disk of the store fills up in each step of
# retrain: it says so and ends with 74, what was there is there, and with room
# again the next run goes on to the end of one that had room. The disk is a
# small tmpfs; `skip:` where nothing may be mounted.
set -u
slmctl=$1
calls=${FULL_DISK_CALLS:-4000}
base=data/base
command -v zstdcat >/dev/null || { echo 'skip: no zstdcat'; exit 0; }
command -v sqlite3 >/dev/null || { echo 'skip: no sqlite3'; exit 0; }
[ -f "$base/model.safetensors" ] || { echo 'skip: no base model'; exit 0; }
scratch=$(mktemp -d) || exit 1
disk=$scratch/disk
mkdir "$disk"
if ! mount -t tmpfs -o size=96m none "$disk" 2>/dev/null; then
    echo 'skip: nothing may be mounted'
    rm -rf "$scratch"
    exit 0
fi
trap 'umount "$disk"; rm -rf "$scratch"' EXIT
export SLMCTL_KEY_FILE="$scratch/key" XDG_CONFIG_HOME="$scratch/config"
export SLMCTL_STORE="$disk/store" TMPDIR="$scratch"
bad=0

fail() {
    echo "retrain_full_disk: $*"
    bad=1
}

quiet() {
    "$slmctl" "$@" >/dev/null 2>"$scratch/said" || {
        code=$?
        [ $code -eq 3 ] && return
        echo "slmctl $*: exit $code"
        cat "$scratch/said"
        exit 1
    }
}

retrain() {
    "$slmctl" retrain --min-new 100 --margin 50
}

# What can be told of the store: nothing of it may be lost.
count() {
    sqlite3 "$disk/store/store.db" "SELECT (SELECT count(*) FROM logged),
        (SELECT count(*) FROM example), (SELECT count(*) FROM task)"
}

state() {
    sqlite3 "$disk/store/store.db" "SELECT t.name, count(m.id), count(c.model)
            FROM task t LEFT JOIN model m ON m.task = t.id LEFT JOIN champion c
            ON c.model = m.id GROUP BY 1 ORDER BY 1;
        SELECT outcome FROM retrain_run WHERE id IN (SELECT run FROM
            retrain_step WHERE step = 'train')"
}

fresh_store() {
    rm -rf "$disk/store" "$disk/ballast"
    cp -R "$scratch/from" "$disk/store"
}

# All but KIB of the disk.
fill() {
    free=$(df -k --output=avail "$disk" | tail -1)
    dd if=/dev/zero of="$disk/ballast" bs=1024 count=$((free - $1)) 2>/dev/null
}

zstdcat data/agent/logs.jsonl.zst | head -n "$calls" |
    grep -e 'You re-rank columns' -e 'the table-name extractor' \
        >"$scratch/log.jsonl"
mkdir -p "$XDG_CONFIG_HOME/slmctl"
cat >"$XDG_CONFIG_HOME/slmctl/config" <<END
finetune.tokens = 40000
finetune.batch-tokens = 1024
END
quiet collect --import "$scratch/log.jsonl"
quiet model add --as base "$base"
quiet curate
quiet cluster
quiet select
cp -R "$disk/store" "$scratch/from"
before=$(count)
retrain >"$scratch/whole" 2>&1 || fail "with room: exit $?"
state >"$scratch/want"
cat "$scratch/whole"

# From room for next to nothing to room for all but the last rows.
for room in ${FULL_DISK_KIB:-8 256 2048 6144 8192 9216}; do
    fresh_store
    fill "$room"
    retrain >"$scratch/said" 2>&1
    code=$?
    case $code in
    74) grep -qi 'space\|full' "$scratch/said" || {
            fail "$room KiB: 74 without its reason"
            cat "$scratch/said"
        } ;;
    0) echo "note: $room KiB are enough" ;;
    *)
        fail "$room KiB: exit $code, not 74"
        cat "$scratch/said"
        ;;
    esac
    rm -f "$disk/ballast"
    [ $code -ne 74 ] ||
        echo "$room KiB: full in $(sqlite3 "$disk/store/store.db" "SELECT
            coalesce(max(step), 'its own rows') FROM retrain_step WHERE
            started > 0 AND finished IS NULL")"
    [ "$(count)" = "$before" ] || fail "$room KiB: $(count), not $before"
    "$slmctl" store verify >/dev/null 2>&1 ||
        fail "$room KiB: store verify finds damage"
    retrain >"$scratch/said" 2>&1 || {
        fail "$room KiB: the next run: exit $?"
        cat "$scratch/said"
    }
    state >"$scratch/got"
    diff "$scratch/want" "$scratch/got" || fail "$room KiB: another outcome"
    [ -z "$(retrain 2>&1)" ] || fail "$room KiB: not ended"
done
[ $bad -eq 0 ] && echo "retrain_full_disk: ends with 74, loses nothing, goes on"
exit $bad
