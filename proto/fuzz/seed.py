"""Makes the seed corpora of the fuzz targets from the golden frames: python3 seed.py, in this folder."""

import json
import pathlib

here = pathlib.Path(__file__).parent
for target in ("msgpack", "minion_side", "master_side", "target", "zmtp"):
    (here / "corpus" / target).mkdir(parents=True, exist_ok=True)


def seed(target, name, content):
    (here / "corpus" / target / name).write_bytes(content)


for path in sorted((here.parent / "tests/golden/3008.3").glob("*.json")):
    golden = json.loads(path.read_text())
    for side in ("request", "reply", "message"):
        if side not in golden:
            continue
        frame = bytes.fromhex(golden[side][-1])
        if len(frame) > 2500:
            continue
        name = f"{path.stem}_{side}"
        seed("msgpack", name, frame)
        if side == "request":
            seed("master_side", name, b"\0" + frame)
            seed("master_side", name + "_load", b"\2" + frame)
        elif side == "message":
            seed("minion_side", name, b"\5" + frame)
        elif path.stem.startswith("auth"):
            seed("minion_side", name, b"\0" + frame)
        elif path.stem == "pillar":
            seed("minion_side", name, b"\4" + frame)
        else:
            seed("minion_side", name, b"\2" + frame)

zmtp = json.loads((here.parent / "tests/golden/3008.3/zmtp.json").read_text())
for name, said in zmtp.items():
    if isinstance(said, dict):
        stream = bytes.fromhex(said["greeting"])
        for command in said["commands"]:
            body = bytes.fromhex(command)
            stream += bytes([4, len(body)]) + body
        seed("zmtp", name, b"\0\x10" + stream)

expressions = [
    (0, "practice-[0-9]*"), (1, "practice-(?=7)"), (2, "a,practice-7"), (3, "os:Win*"), (4, "os:^Win"), (8, "G@os:Windows and not ( L@a,b or E@x.* )"),
    (8, "I{/}@a/b or S@10.0.0.0/8"), (9, "10.0.0.0/8"),
]
for number, (kind, expression) in enumerate(expressions):
    grains = bytes.fromhex("82a26f73a757696e646f7773a46970763491a831302e302e302e31")
    seed("target", f"{number}", bytes([kind]) + expression.encode() + b"\0" + grains)
