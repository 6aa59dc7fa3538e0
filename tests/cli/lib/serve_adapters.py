#!/usr/bin/env python3
"""serve_adapters.py BASE STORE NAME=SEED... - adapters over BASE with weights
that are drawn, in STORE.adapters/NAME-SEED, and in the store, which must be there,
as models of these names. They are large enough to change every answer."""
import json, math, os, random, sqlite3, struct, sys


def tensor(rng, rows, columns, scale):
    return [rows, columns], b"".join(struct.pack("<f", rng.gauss(0, scale)) for _ in range(rows * columns))


def write_adapter(base, path, seed, rank=4):
    c = json.load(open(os.path.join(base, "config.json")))
    wide, inner, rng = c["hidden_size"], c["intermediate_size"], random.Random(seed)
    tensors = {}
    for layer in range(c["num_hidden_layers"]):
        for name, rows, columns in (("self_attn.q_proj", wide, wide), ("mlp.down_proj", wide, inner)):
            key = f"base_model.model.model.layers.{layer}.{name}.lora_"
            tensors[key + "A.weight"] = tensor(rng, rank, columns, 1 / math.sqrt(columns))
            tensors[key + "B.weight"] = tensor(rng, rows, rank, 0.1)
    head, data = {}, b""
    for key, (shape, raw) in sorted(tensors.items()):
        head[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "adapter_model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(path, "adapter_config.json"), "w") as f:
        json.dump({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "down_proj"]}, f)


def main():
    base, store = sys.argv[1:3]
    db = sqlite3.connect(os.path.join(store, "store.db"))
    row = db.execute("SELECT id FROM model WHERE kind = 'base' AND path = ?", (os.path.realpath(base),)).fetchone()
    if not row:
        sys.exit(f"{base} is no model of {store}")
    for pair in sys.argv[3:]:
        name, seed = pair.split("=")
        path = os.path.join(os.path.realpath(store) + ".adapters", f"{name}-{seed}")
        write_adapter(base, path, int(seed))
        db.execute("INSERT OR REPLACE INTO model(name, kind, path, base, created) VALUES(?, 'adapter', ?, ?, 1)",
                   (name, path, row[0]))
    db.commit()


if __name__ == "__main__":
    main()
