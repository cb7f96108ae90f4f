#!/usr/bin/env python3
"""Keeps one unmodified salt-master and speaks to it with Salt's own client classes.

Started as `<venv>/bin/python driver.py CONFIG_DIR` (Salt's `master` file is in CONFIG_DIR). Reads one JSON object a line from
stdin, `{"n": NUMBER, "do": NAME, ..}`, and answers each, as it finishes, with one JSON line, `{"n": NUMBER, "ok": VALUE}` or
`{"n": NUMBER, "error": TEXT}`. Staying in one process spares the second that every `salt` command spends on imports. When stdin ends, the master's process group is
killed: nothing outlives a test run, however it ended. Events go to CONFIG_DIR/events.jsonl as they come, from a
second process (`driver.py CONFIG_DIR events`).
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import traceback

import salt.client
import salt.config
import salt.crypt
import salt.key
import salt.output
import salt.runner
import salt.utils.crypt
import salt.utils.event
import salt.utils.stringutils
import salt.version

READY_TIMEOUT = 180


def plain(value):
    """A JSON picture of what came back: text where it is text, hex where it is not."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"__bytes__": value.hex()}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


class Driver:
    def __init__(self, config_dir):
        self.config_dir = pathlib.Path(config_dir)
        self.config = str(self.config_dir / "master")
        self.opts = salt.config.client_config(self.config)
        self.children = []
        self.here = threading.local()
        self.keys = threading.Lock()

    @property
    def client(self):
        """A client of this thread's own: they share no sockets."""
        if not hasattr(self.here, "client"):
            self.here.client = salt.client.LocalClient(mopts=dict(self.opts))
        return self.here.client

    # ----- the master's life

    def do_start(self):
        """Starts the master and waits until its event bus and its request server are there."""
        self.master = self.spawn([str(pathlib.Path(sys.executable).parent / "salt-master"), "-c", str(self.config_dir)], "console")
        end = time.monotonic() + READY_TIMEOUT
        while not self.ready():
            if self.master.poll() is not None:
                raise RuntimeError("salt-master ended: " + (self.config_dir / "console").read_text(errors="replace")[-2000:])
            if time.monotonic() > end:
                raise RuntimeError("salt-master is not ready in time")
            time.sleep(0.1)
        if not any(child.args[-1] == "events" for child in self.children):
            self.spawn([__file__, str(self.config_dir), "events"], "console-events")
            while not (self.config_dir / "events.jsonl").exists():
                time.sleep(0.05)
        return salt.version.__version__

    def ready(self):
        """A clear `ping` to a worker is the master's own proof of life."""
        import zmq

        context = zmq.Context.instance()
        with context.socket(zmq.REQ) as request:
            request.linger = 0
            request.connect(f"tcp://127.0.0.1:{self.opts['ret_port']}")
            request.send(salt.payload.dumps({"enc": "clear", "load": {"cmd": "ping"}, "version": 3}))
            if not request.poll(1000):
                return False
            request.recv()
        return (self.config_dir / "run/master_event_pub.ipc").exists()

    def do_stop(self, hard=False):
        """Ends the master, gently or as a power cut would."""
        end_group(self.master, hard)
        self.children.remove(self.master)
        return True

    def do_stand_still(self):
        """Stops the master's processes without ending them: its sockets stay and say nothing."""
        os.killpg(self.master.pid, signal.SIGSTOP)
        return True

    def spawn(self, arguments, console):
        with open(self.config_dir / console, "ab") as sink:
            child = subprocess.Popen(
                [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            end_group(child, hard=True)

    # ----- what a test asks for

    def do_cmd(self, tgt, fun, arg=(), kwarg=None, tgt_type="glob", timeout=None):
        """LocalClient.cmd with full returns: {minion: {ret, retcode, jid, out?}}."""
        return self.client.cmd(tgt, fun, list(arg), timeout=timeout, tgt_type=tgt_type, kwarg=kwarg, full_return=True)

    def do_cmd_async(self, tgt, fun, arg=(), kwarg=None, tgt_type="glob"):
        return self.client.cmd_async(tgt, fun, list(arg), tgt_type=tgt_type, kwarg=kwarg)

    def do_first_ping(self, tgt, limit):
        """Pings until the first answer, on the event bus, ten times a second; gives the seconds it took."""
        begun, wanted = time.monotonic(), set()
        with salt.utils.event.get_event("master", sock_dir=self.opts["sock_dir"], opts=dict(self.opts), listen=True) as bus:
            bus.connect_pub()
            while time.monotonic() < begun + limit:
                published = self.client.run_job(tgt, "test.ping", [], tgt_type="list", timeout=1, listen=False)
                wanted.add(published.get("jid"))
                again = time.monotonic() + 0.1
                while time.monotonic() < again:
                    event = bus.get_event(wait=0.02, tag="salt/job/", full=True)
                    if event and event["tag"].endswith("/ret/" + tgt) and event["data"].get("jid") in wanted:
                        return time.monotonic() - begun
        raise TimeoutError(f"{tgt} answered no ping in {limit} s")

    def do_timed(self, tgt, fun, arg, count):
        """The seconds that each of `count` jobs took, one after the other, after one that is not counted."""
        taken = []
        for number in range(count + 1):
            begun = time.monotonic()
            answer = self.client.cmd(tgt, fun, list(arg), timeout=60, full_return=True)
            if not answer.get(tgt) or answer[tgt]["retcode"]:
                raise RuntimeError(f"{fun} went wrong: {answer}")
            if number:
                taken.append(time.monotonic() - begun)
        return taken

    def do_timed_calls(self, tgt, fun, calls):
        """The seconds that each of the jobs took, one after the other, each with its keywords; the first is not counted."""
        taken = []
        for number, keywords in enumerate(calls):
            begun = time.monotonic()
            answer = self.client.cmd(tgt, fun, [], kwarg=keywords, timeout=60, full_return=True)
            if not answer.get(tgt) or answer[tgt]["retcode"]:
                raise RuntimeError(f"{fun} went wrong: {answer}")
            if number:
                taken.append(time.monotonic() - begun)
        return taken

    def do_burst(self, tgt, fun, arg, count, limit):
        """Publishes `count` jobs as fast as the master takes them; gives the seconds from the first publish to the last return."""
        wanted, returned, begun = set(), {}, time.monotonic()
        with salt.utils.event.get_event("master", sock_dir=self.opts["sock_dir"], opts=dict(self.opts), listen=True) as bus:
            bus.connect_pub()

            def publish():
                client = salt.client.LocalClient(mopts=dict(self.opts))
                for _ in range(count):
                    wanted.add(client.run_job(tgt, fun, list(arg), tgt_type="list", timeout=60, listen=False).get("jid"))

            publisher = threading.Thread(target=publish, daemon=True)
            publisher.start()
            while publisher.is_alive() or len(wanted & returned.keys()) < count:
                if time.monotonic() > begun + limit:
                    raise TimeoutError(f"{len(wanted & returned.keys())} of {count} jobs returned in {limit} s")
                event = bus.get_event(wait=0.1, tag="salt/job/", full=True)
                if event and event["tag"].endswith("/ret/" + tgt):
                    returned[event["data"]["jid"]] = time.monotonic()
        return max(returned[jid] for jid in wanted) - begun

    def do_cached(self, jid):
        """What the master's job cache holds for a jid."""
        return self.client.get_cache_returns(jid)

    def do_keys(self):
        with self.keys, salt.key.Key(salt.config.master_config(self.config)) as key:
            return key.list_keys()

    def do_key(self, verb, minion):
        """accept, reject or delete one key with Salt's own key class."""
        with self.keys, salt.key.Key(salt.config.master_config(self.config)) as key:
            if verb == "accept":
                return key.accept(match=minion, include_rejected=True)
            if verb == "reject":
                return key.reject(match=minion, include_accepted=True)
            return key.delete_key(match=minion)

    def do_finger(self, minion):
        """The fingerprint that `salt-key -f` prints of an accepted key."""
        return self.fingerprint("minions/" + minion)

    def fingerprint(self, name):
        return salt.utils.crypt.pem_finger(os.path.join(self.opts["pki_dir"], name), sum_type=self.opts["hash_type"])

    def do_master_finger(self):
        """The fingerprint that `salt-key -F master` prints of the master's own key."""
        return self.fingerprint("master.pub")

    def do_rotate(self):
        """Drops the file by which Salt asks its master for a new AES key."""
        path = pathlib.Path(self.opts["cachedir"])
        try:
            salt.crypt.dropfile(str(path), self.opts["user"], self.opts["id"])
        except TypeError:
            salt.crypt.dropfile(str(path), self.opts["user"])
        return [entry.name for entry in path.glob(".dfn*")] + [entry.name for entry in path.glob("*/.dfn*")]

    def do_runner(self, fun, arg=(), kwarg=None):
        runner = salt.runner.RunnerClient(salt.config.master_config(self.config))
        return runner.cmd(fun, list(arg), kwarg=kwarg or {}, print_event=False)

    def do_output(self, outputter, data):
        """The text Salt's own outputter makes of {minion: return}."""
        return salt.output.out_format(data, outputter, dict(self.opts) | {"color": False, "state_verbose": True})


def end_group(process, hard):
    for number in ((signal.SIGKILL,) if hard else (signal.SIGTERM, signal.SIGKILL)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def follow_events(config_dir):
    """Appends every event of the master's bus to events.jsonl, across restarts of the master."""
    opts = salt.config.client_config(str(pathlib.Path(config_dir) / "master"))
    with open(pathlib.Path(config_dir) / "events.jsonl", "a", buffering=1) as sink:
        while True:
            try:
                with salt.utils.event.get_event("master", sock_dir=opts["sock_dir"], opts=opts, listen=True) as bus:
                    while True:
                        event = bus.get_event(wait=5, full=True)
                        if event is not None:
                            sink.write(json.dumps(plain(event)) + "\n")
            except Exception:  # the bus is gone while the master restarts
                traceback.print_exc()
                time.sleep(0.5)


def serve(config_dir):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Salt prints must not mix with the answers
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    driver, writing = Driver(config_dir), threading.Lock()

    def answer(request):
        number, name = request.pop("n"), request.pop("do")
        try:
            reply = {"ok": plain(getattr(driver, "do_" + name)(**request))}
        except Exception as error:  # told to the test, which decides
            reply = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        with writing:
            answers.write(json.dumps({"n": number} | reply) + "\n")

    try:
        for line in sys.stdin:
            threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    finally:
        driver.close()
        os._exit(0)


if __name__ == "__main__":
    if sys.argv[2:] == ["events"]:
        follow_events(sys.argv[1])
    else:
        serve(sys.argv[1])
