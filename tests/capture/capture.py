#!/usr/bin/env python3
"""Captures golden frames between an unmodified salt-minion and an unmodified salt-master.

Run with the Python of a virtual environment that has Salt installed:

    ~/.cache/salt-peers/salt-3008.3/bin/python tests/capture/capture.py proto/tests/golden

A recording relay stands between the two. Keys are made for the run and thrown away with it, so they may be
published with the frames. Every session payload is opened with Salt's own code before it is kept: `opened` in a file is
what Salt itself read out of the frames.
"""
import collections
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import salt.client
import salt.config
import salt.crypt
import salt.payload
import salt.utils.stringutils
import salt.version
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

MINION = "golden"
TIMEOUT = 120
# What describes the capturing machine stays out of the committed frames.
BLACKLIST = [
    "path", "saltpath", "systempath", "biosreleasedate", "biosvendor", "biosversion", "boardname", "cpu*", "cwd", "disks", "dns", "domain", "efi*", "fqdn*",
    "gid", "gpus", "groupname", "host*", "hwaddr*", "id", "ip*", "kernel*", "localhost", "lsb*", "lvm", "machine_id",
    "manufacturer", "master", "mdadm", "mem_total", "nodename", "num_*", "os*", "pid", "productname", "ps", "pwd", "python*",
    "secure-boot", "serialnumber", "server_id", "shell", "ssds", "swap_total", "systemd", "transactional", "uid", "username", "uuid",
    "virtual*", "zfs_*", "zmqversion", "saltversion*", "init", "locale_info",
]


class Relay:
    """Forwards one TCP port to another and keeps the bytes of both directions of every connection."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.target_port))
            streams = {"minion": bytearray(), "master": bytearray()}
            self.connections.append(streams)
            for source, sink, name in ((near, far, "minion"), (far, near, "master")):
                threading.Thread(target=self._pump, args=(source, sink, streams[name]), daemon=True).start()

    @staticmethod
    def _pump(source, sink, kept):
        try:
            while chunk := source.recv(65536):
                kept.extend(chunk)
                sink.sendall(chunk)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


def messages(stream):
    """ZMTP messages (lists of frames) and commands after the 64-byte greeting."""
    at, parts, found, commands = 64, [], [], []
    while at + 2 <= len(stream):
        flags = stream[at]
        head = 9 if flags & 2 else 2
        if at + head > len(stream):
            break
        size = int.from_bytes(stream[at + 1 : at + head], "big")
        body = bytes(stream[at + head : at + head + size])
        if len(body) < size:
            break
        at += head + size
        if flags & 4:
            commands.append(body)
            continue
        parts.append(body)
        if not flags & 1:
            found.append(parts)
            parts = []
    return found, commands


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def wait_for(what, probe):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if value := probe():
            return value
        time.sleep(0.1)
    raise SystemExit(f"timed out: {what}")


def configure(root, ret_port, publish_port, relay_ret, relay_pub):
    """Writes both configurations with every path explicit, so that nothing lands outside `root`."""
    for folder in ("m", "n", "srv", "pillar"):
        (root / folder).mkdir()
    (root / "srv/hello.txt").write_text("hello, golden world\n")
    (root / "srv/blob.bin").write_bytes(bytes(range(256)) * 2)
    (root / "srv/nop.sls").write_text("keep calm:\n  test.nop\n")
    (root / "pillar/top.sls").write_text("base:\n  '*':\n    - practice\n")
    (root / "pillar/practice.sls").write_text("practice: dolphin\nchairs: 4\nopen: true\nhours:\n  mon: [9, 17]\n1: int key\n")

    def paths(base):
        return {
            "root_dir": str(base), "pki_dir": str(base / "pki"), "cachedir": str(base / "cache"), "sock_dir": str(base / "run"),
            "pidfile": str(base / "pid"), "log_file": str(base / "log"), "key_logfile": str(base / "keylog"),
            "token_dir": str(base / "tokens"), "syndic_dir": str(base / "syndic"), "sqlite_queue_dir": str(base / "queue"),
            "extension_modules": str(base / "ext"), "user": "root", "log_level": "warning", "log_level_logfile": "info",
        }

    master = paths(root / "m") | {
        "interface": "127.0.0.1", "publish_port": publish_port, "ret_port": ret_port, "worker_threads": 2,
        "file_roots": {"base": [str(root / "srv")]}, "pillar_roots": {"base": [str(root / "pillar")]}, "file_recv": True,
        "timeout": 10, "loop_interval": 1,  # the maintenance loop notices a rotation once in this many seconds
    }
    minion = paths(root / "n") | {
        "id": MINION, "master": "127.0.0.1", "master_port": relay_ret, "publish_port": relay_pub, "rejected_retry": True,
        "acceptance_wait_time": 1, "acceptance_wait_time_max": 1, "random_reauth_delay": 1, "recon_default": 100, "recon_max": 200,
        "grains": {"practice": "dolphin", "chairs": 4, "nothing": None, "rooms": ["a", "b"]}, "grains_blacklist": BLACKLIST,
        "schedule": {}, "mine_enabled": False, "enable_fqdns_grains": False, "enable_gpu_grains": False,
    }
    for name, data in (("m/master", master), ("n/minion", minion)):
        (root / name).write_text(json.dumps(data, indent=1))  # JSON is YAML


def start(name, config_dir):
    program = pathlib.Path(sys.executable).parent / name
    with open(config_dir / "console", "ab") as console:
        return subprocess.Popen(
            [sys.executable, str(program), "-c", str(config_dir)], stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )


def stop(process):
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def plain(value):
    """A JSON picture of a decoded value; bytes that are no text become {"bytes": hex}, odd keys {"pairs": [...]}."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"bytes": value.hex()}
    if isinstance(value, dict):
        pairs = [(plain(key), plain(item)) for key, item in value.items()]
        return dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else {"pairs": [list(pair) for pair in pairs]}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Opener:
    """Opens captured frames with Salt's own classes and remembers the keys of the session."""

    def __init__(self, root):
        self.opts = salt.config.minion_config(str(root / "n/minion"))
        self.private = serialization.load_pem_private_key((root / "n/pki/minion.pem").read_bytes(), None)
        self.aes = self.session = None

    def oaep(self, data):
        return self.private.decrypt(data, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)).decode()

    def crypticle(self, text):
        return salt.crypt.Crypticle(self.opts, text)

    def auth_reply(self, envelope):
        load = salt.payload.loads(envelope["load"]) if isinstance(envelope["load"], bytes) else envelope["load"]
        if "aes" in load:
            self.aes, self.session = self.oaep(load["aes"]), self.oaep(load["session"])
        return load

    def exchange(self, request, reply):
        """(name, opened request, opened reply) of one request and its reply."""
        asked = salt.payload.loads(request)
        if asked["enc"] == "clear":
            answer = self.auth_reply(salt.payload.loads(reply))
            ret = answer.get("ret")
            name = "auth_pending" if ret is True else "auth_rejected" if ret is False else "auth_accepted"
            return ("auth_again" if "token" in asked["load"] else name), asked["load"], answer
        load = self.crypticle(self.session).loads(asked["load"])
        if load["cmd"] == "_pillar":
            outer = salt.payload.loads(reply)
            signed = self.crypticle(self.oaep(outer["key"])).loads(outer["pillar"])
            return "pillar", load, {"key_text": self.oaep(outer["key"]), "signed": salt.payload.loads(signed["data"])}
        sealed = salt.payload.loads(reply, raw=True)
        answer = self.crypticle(self.session).loads(sealed, raw=load["cmd"] == "_serve_file", nonce=load["nonce"])
        name = load["cmd"].strip("_")
        if name == "minion_event":
            name = "event_" + load["tag"].replace("/", "_")
        if name == "return":
            name += "_" + load["fun"].replace(".", "_")
        if name == "serve_file":
            name += "_" + load["path"].split(".")[-1] + ("" if load["loc"] == 0 else "_end")
        return name, load, answer

    def publish(self, frame):
        envelope = salt.payload.loads(frame)
        load = self.crypticle(self.aes).loads(envelope["load"])
        return "publish_" + load["fun"].replace(".", "_"), load


def hexed(parts):
    return [part.hex() for part in parts]


def collect(root, requests, publishes):
    """Everything the relay saw, as {name: file content}; the first of each kind is kept."""
    opener, files, readings = Opener(root), collections.OrderedDict(), []
    for streams in requests.connections:
        readings.extend(zip(messages(streams["minion"])[0], messages(streams["master"])[0]))
    keys_seen = []
    for asked, answered in readings:
        if not salt.payload.loads(asked[-1])["enc"] == "clear":
            continue
        name, load, answer = opener.exchange(asked[-1], answered[-1])
        if opener.aes and (opener.aes, opener.session) not in keys_seen:
            keys_seen.append((opener.aes, opener.session))
        files.setdefault(name, entry("request", asked, answered, opener, load, answer))
    for asked, answered in readings:
        if salt.payload.loads(asked[-1])["enc"] == "clear":
            continue
        for opener.aes, opener.session in keys_seen:
            try:
                name, load, answer = opener.exchange(asked[-1], answered[-1])
            except salt.exceptions.AuthenticationError:
                continue
            files.setdefault(name, entry("request", asked, answered, opener, load, answer))
            break
    for streams in publishes.connections:
        for parts in messages(streams["master"])[0]:
            for opener.aes, opener.session in keys_seen:
                try:
                    name, load = opener.publish(parts[-1])
                except salt.exceptions.AuthenticationError:
                    continue
                if (opener.aes, opener.session) != keys_seen[0]:
                    name += "_rotated"
                files.setdefault(name, entry("publish", None, parts, opener, None, load))
                break
    return files


DROPPED = ("serve_file_sls_end", "serve_file_txt_end", "file_list", "publish_saltutil_find_job_rotated")


def entry(channel, asked, answered, opener, load, answer):
    found = {"channel": channel, "keys": {"aes": opener.aes, "session": opener.session}}
    if asked is not None:
        found["request"] = hexed(asked)
        found["opened_request"] = plain(load)
    found["reply" if channel == "request" else "message"] = hexed(answered)
    found["opened_reply" if channel == "request" else "opened_message"] = plain(answer)
    return found


def streams_file(requests, publishes):
    """The raw start of a request and of the publish connection: greetings, handshake commands, heartbeats."""
    found = {}
    for name, relay in (("request", requests), ("publish", publishes)):
        streams = max(relay.connections, key=lambda pair: len(messages(pair["minion"])[1]))
        for side in ("minion", "master"):
            commands = messages(streams[side])[1]
            found[f"{name}_{side}"] = {"greeting": bytes(streams[side][:64]).hex(), "commands": hexed(commands[:6])}
    return found


def drive(root):
    """The conversation: pending, rejected, accepted, pings, a state, files, a push, a key rotation, an idle spell."""
    pki = root / "m/pki"

    def keys(folder):
        return (pki / folder / MINION).exists()

    def log_has(words):
        return (root / "n/log").exists() and words in (root / "n/log").read_text(errors="replace")

    wait_for("pending key", lambda: keys("minions_pre"))
    time.sleep(2)
    (pki / "minions_pre" / MINION).rename(pki / "minions_rejected" / MINION)
    wait_for("rejection seen", lambda: log_has("reject"))
    (pki / "minions_rejected" / MINION).rename(pki / "minions" / MINION)
    client = salt.client.LocalClient(mopts=salt.config.client_config(str(root / "m/master")))
    wait_for("first ping", lambda: client.cmd(MINION, "test.ping", timeout=3).get(MINION))
    client.cmd(MINION, "test.ping", timeout=10)
    client.cmd(MINION, "test.arg", ["one", 2, None, {"nested": [True, 1.5]}], kwarg={"word": "value"}, timeout=10)
    client.cmd([MINION], "state.apply", ["nop"], tgt_type="list", timeout=60)
    client.cmd(MINION, "cp.get_file", ["salt://hello.txt", str(root / "got.txt")], timeout=20)
    client.cmd(MINION, "cp.get_file", ["salt://blob.bin", str(root / "got.bin")], timeout=20)
    client.cmd(MINION, "cp.push", [str(root / "got.bin")], timeout=20)
    time.sleep(11)  # one heartbeat interval of the masters that have one
    rotate(client)
    wait_for("ping after rotation", lambda: client.cmd(MINION, "test.ping", timeout=10).get(MINION))


def rotate(client):
    """Asks the master for a new AES key, the way deleting a key does."""
    arguments = [client.opts["cachedir"], client.opts["user"]]
    if hasattr(salt.crypt, "dropfile"):
        try:
            salt.crypt.dropfile(*arguments, client.opts["id"])
        except TypeError:
            salt.crypt.dropfile(*arguments)
    time.sleep(5)


def main():
    target = pathlib.Path(sys.argv[1]) / salt.version.__version__
    root = pathlib.Path(tempfile.mkdtemp(prefix="g", dir="/tmp"))
    ret_port, publish_port = free_port(), free_port()
    requests, publishes = Relay(ret_port), Relay(publish_port)
    configure(root, ret_port, publish_port, requests.port, publishes.port)
    running = []
    try:
        running.append(start("salt-master", root / "m"))
        wait_for("master", lambda: (root / "m/run/master_event_pub.ipc").exists())
        running.append(start("salt-minion", root / "n"))
        drive(root)
        time.sleep(1)
        files = collect(root, requests, publishes)
        for name in DROPPED:
            files.pop(name, None)
        files["keys"] = {
            "minion_id": MINION,
            **{name: (root / path).read_text() for name, path in (
                ("minion_pem", "n/pki/minion.pem"), ("minion_pub", "n/pki/minion.pub"),
                ("master_pem", "m/pki/master.pem"), ("master_pub", "m/pki/master.pub"),
            )},
        }
        files["zmtp"] = streams_file(requests, publishes)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name, content in files.items():
            (target / f"{name}.json").write_text(json.dumps({"series": salt.version.__version__, "name": name} | content, indent=1) + "\n")
        print(target, *files)
    finally:
        for process in reversed(running):
            stop(process)
        if not os.environ.get("KEEP"):
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
