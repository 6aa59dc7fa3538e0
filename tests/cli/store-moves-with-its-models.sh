# A store that was moved answers with its own models: their paths are relative
# to it. What lies elsewhere, or was entered by an older version, stays as it is.
[ -n "${SLMCTL_REFERENCE:-}" ] || { echo 'skip: SLMCTL_REFERENCE is not set'; exit 0; }
here=$(pwd -P)
mkdir -p first/models
cp -R "$SLMCTL_REFERENCE/fixtures/stories260k" first/models/own
rm first/models/own/expected.*
cp -R first/models/own elsewhere
slmctl model add -q first/models/own --store first
slmctl model add -q first/models/own --store first
slmctl model add elsewhere --store first
cp -R first second
rm -r first
slmctl model list --store second --json | jq -r '.models[].path' |
    sed "s|$here|HERE|"
slmctl generate --store second --model own --raw -n 3 Lily >a
slmctl generate --store second --model elsewhere --raw -n 3 Lily | cmp - a
slmctl model add second/models/own --store second
slmctl generate --store second --model "$here/second/models/own" --raw -n 3 \
    Lily | cmp - a
command -v python3 >/dev/null || exit 0
python3 - second/store.db "$here" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
assert db.execute("SELECT path FROM model WHERE name = 'own'").fetchone() == \
    ("models/own",)
db.execute("UPDATE model SET path = ? || '/second/models/own' WHERE name = "
           "'own'", (sys.argv[2],))
db.commit()
PY
slmctl generate --store second --model own --raw -n 3 Lily | cmp - a
