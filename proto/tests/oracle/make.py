"""Makes crypto.json with Salt's own salt.crypt, for the unit tests of proto.

Run with the Python of a virtual environment that has Salt 3008.3:  python make.py > crypto.json
The keys are made for this file and used nowhere else. `python make.py check FILE`, under any of the three series,
opens with Salt what a test of proto wrote to FILE (see ../salt_oracle.rs).
"""

import json
import os
import sys
import tempfile

import salt.crypt
import salt.payload
import salt.serializers.msgpack
import salt.utils.crypt


def keys(bits):
    priv, pub = salt.crypt.gen_keys(bits)
    return priv, pub


def load(kind, pem):
    """3006 reads keys from files only."""
    if hasattr(kind, "from_str"):
        return kind.from_str(pem)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "key")
        with open(path, "w") as handle:
            handle.write(pem)
        return kind(path)


def make():
    priv, pub = keys(2048)
    key = salt.crypt.PrivateKey.from_str(priv)
    public = salt.crypt.PublicKey.from_str(pub)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "key.pub")
        with open(path, "w") as handle:
            handle.write(pub)
        fingers = {kind: salt.utils.crypt.pem_finger(path, sum_type=kind) for kind in ("sha224", "sha256", "sha512")}
    message = b"the quick brown fox"
    text = salt.crypt.Crypticle.generate_key_string()
    crypticle = salt.crypt.Crypticle({}, text)
    load = {"fun": "test.ping", "arg": [1, None, 2.5, {"__kwarg__": True, "x": "é"}], "data": b"\xff\x00"}
    nonce = "0123456789abcdef0123456789abcdef"
    return {
        "made_by": "proto/tests/oracle/make.py with salt " + salt.version.__version__,
        "private": priv,
        "public": pub,
        "fingers": fingers,
        "message": message.hex(),
        "oaep": {name: public.encrypt(message, name).hex() for name in ("OAEP-SHA1", "OAEP-SHA224")},
        "signatures": {name: key.sign(message, name).hex() for name in ("PKCS1v15-SHA1", "PKCS1v15-SHA224")},
        "x931": {text: key.encrypt(text.encode()).hex() for text in ["salt", "x" * 64] + [str(n) for n in range(8)]},
        "crypticle": {
            "text": text,
            "nonce": nonce,
            "sealed": crypticle.dumps(load).hex(),
            "reply": crypticle.dumps(load, nonce).hex(),
            "wire": salt.payload.dumps(load).hex(),
            "modern": salt.serializers.msgpack.serialize(load).hex(),
        },
    }


def check(path):
    with open(path) as handle:
        ours = json.load(handle)
    key = load(salt.crypt.PrivateKey, ours["private"])
    public = load(salt.crypt.PublicKey, ours["public"])
    message = bytes.fromhex(ours["message"])
    for name, value in ours["oaep"].items():
        assert key.decrypt(bytes.fromhex(value), name) == message, name
    for name, value in ours["signatures"].items():
        assert public.verify(message, bytes.fromhex(value), name), name
    for text, value in ours["x931"].items():
        assert public.decrypt(bytes.fromhex(value)) == text.encode(), text
        assert key.encrypt(text.encode()).hex() == value, text
    box = ours["crypticle"]
    crypticle = salt.crypt.Crypticle({}, box["text"])
    assert crypticle.loads(bytes.fromhex(box["sealed"]))["fun"] == "test.ping"
    assert crypticle.loads(bytes.fromhex(box["reply"]), nonce=box["nonce"])["fun"] == "test.ping"
    print("Salt opened everything")


if sys.argv[1:2] == ["check"]:
    check(sys.argv[2])
else:
    print(json.dumps(make(), indent=1))
