"""What the scoring scripts of curate --filter share.

Not a program. Reads public data sets from the folder that SLMCTL_REFERENCE
names and runs the program that SLMCTL names over them; keeps nothing.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

WORD = re.compile(r"\w+")


def program():
    return os.path.abspath(os.environ.get("SLMCTL", "build/release/slmctl"))


def data_path(name):
    """A file of the reference data; ends with `skip:` where there is none."""
    root = os.environ.get("SLMCTL_REFERENCE")
    path = os.path.join(root or "", "data", name)
    if not root or not os.path.exists(path):
        print(f"skip: {name}: SLMCTL_REFERENCE names no folder that holds it")
        return None
    return path


def read_bytes(path):
    if not path.endswith(".zst"):
        with open(path, "rb") as f:
            return f.read()
    return subprocess.run(["zstd", "-q", "-dc", "--long=27", path],
                          check=True, capture_output=True).stdout


def curate_filter(lines, *options, named_key=False):
    """Output lines of curate --filter. The key is fixed, so that two passes
    agree."""
    args = [program(), "curate", "--filter", *options]
    with tempfile.TemporaryDirectory() as home:
        key = os.path.join(home, "key")
        with open(key, "w") as f:
            f.write("%064x\n" % 7)
        os.chmod(key, 0o600)
        if named_key:
            args += ["--key-file", key]
        p = subprocess.run(args, input=b"".join(x + b"\n" for x in lines),
                           capture_output=True)
    if p.returncode not in (0, 3):
        sys.exit(f"{' '.join(args)}: {p.stderr.decode()}")
    if p.stderr:
        print("note:", p.stderr.decode().splitlines()[0], file=sys.stderr)
    return p.stdout.split(b"\n")[:-1]


def leaves(value, path=()):
    """Strings and numbers of a JSON value with their paths."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(v, path + (k,))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from leaves(v, path + (i,))
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield path, value


def at_pointer(value, pointer):
    """(the string of a span's pointer, whether it is a key)"""
    if not pointer:
        return value, False
    parts = [p.replace("~1", "/").replace("~0", "~")
             for p in pointer.split("/")[1:]]
    for p in parts:
        value = value[int(p)] if isinstance(value, list) else value[p]
    return value, isinstance(value, (dict, list))


def span_text(value, span):
    """The characters that a span covers; of a key or number None."""
    text, key = at_pointer(value, span["pointer"])
    if key:
        return None
    raw = str(text).encode()
    return raw[span["start"]:span["end"]].decode(errors="replace")
