# An encoder is shown and verified; it is no model that could be added.
command -v python3 >/dev/null || { echo 'skip: python3 is not installed'; exit 0; }
[ -n "${SLMCTL_REFERENCE:-}" ] || {
    echo 'skip: SLMCTL_REFERENCE is not set'
    exit 0
}
cp -r "$SLMCTL_REFERENCE/fixtures/formats/bert-embed" m
chmod -R u+w m
slmctl model show m | grep -e family -e shape
slmctl model verify m | sed -n 's/  */ /g;/configuration\|values/p'
slmctl model add m --store s 2>&1 | sed "s,[^ ]*/m is,m is,"
sed -i 's/"absolute"/"relative_key"/;s/^{/{ "position_embedding_type": "relative_key",/' m/config.json
slmctl model verify m | sed -n 's/  */ /g;/configuration/p'
# Whole numbers beside the weights, as older checkpoints have them.
python3 - <<'PY'
import json, struct
data = open("m/model.safetensors", "rb").read()
n = struct.unpack("<Q", data[:8])[0]
head, body = json.loads(data[8:8 + n]), data[8 + n:]
at = len(body)
head["embeddings.position_ids"] = {
    "dtype": "I64", "shape": [1, 2], "data_offsets": [at, at + 16]}
text = json.dumps(head).encode()
text += b" " * (-len(text) % 8)
open("m/model.safetensors", "wb").write(
    struct.pack("<Q", len(text)) + text + body + struct.pack("<qq", 0, 1))
PY
slmctl model verify m | sed -n 's/  */ /g;/files\|values/p'
