"""What an unmodified salt-call --local makes of the cases of this folder.

Cases of a file that starts with `# together` are run in one call, each as an SLS of its own: Salt is slow to start a
run, and they have nothing to do with each other. The word @I@ in their IDs and paths keeps them apart, and is nothing when
a case is run alone. Their answers hold no run numbers.

`python oracle.py record SERIES [FOLDER ... | FOLDER/FILE.yaml ...]` with the Python of a Salt virtual environment writes <file>.<series>.json
beside each <folder>/<file>.yaml. With `--only NAME` in front of the files just that case is asked, and its answer replaces the one that is there. `python oracle.py answer CASES.json` prints the answers of the cases it is given.
Each case gets a fresh file server, pillar, grains and scratch folder; the word @ROOT@ stands for that folder. The answer
holds what its `ask` names: high (show_highstate or show_sls), low (show_lowstate or show_low_sls), top, test (a run with
test=True), ret (a run), disk (what then lies in the scratch folder), again (a second run).
"""
import base64
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import salt.client
import salt.config
import salt.utils.yaml

HERE = os.path.dirname(os.path.abspath(__file__))


# What a case that is run with others cannot have.
ALONE = {"alone", "pillar", "pillar_files", "conf", "grains", "fresh", "calls", "highstate", "sls"}


class Salt:
    def __init__(self, root):
        self.root = root
        self.files, self.pillar, self.scratch = (os.path.join(root, name) for name in ("files", "pillar", "scratch"))
        self.conf = os.path.join(root, "etc")
        self.held, self.mark = None, ""
        os.makedirs(self.conf)

    def prepare(self, case):
        for folder in (self.files, self.pillar, self.scratch, os.path.join(self.root, "cache")):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
        for name in ("grains", "minion.d/_schedule.conf"):
            path = os.path.join(self.conf, name)
            if os.path.exists(path):
                os.remove(path)
        sls = lambda path: path if "." in path else path + ".sls"
        self.write(self.files, {sls(path): text for path, text in case.get("files", {}).items()})
        self.write(self.pillar, {sls(path): text for path, text in case.get("pillar_files", {}).items()})
        self.write(self.scratch, case.get("disk", {}))
        conf = {
            "file_client": "local", "id": "m1", "root_dir": self.root, "pki_dir": os.path.join(self.root, "pki"),
            "file_roots": {"base": [self.files], "dev": [os.path.join(self.files, "_dev")]},
            "pillar_roots": {"base": [self.pillar]}, "cachedir": os.path.join(self.root, "cache"),
            "log_file": os.path.join(self.root, "log"), "sock_dir": os.path.join(self.root, "sock"),
            "extension_modules": os.path.join(self.root, "ext"), "fileserver_list_cache_time": 0,
            "grains": {"role": "web", "site": {"rooms": [1, 2]}, **case.get("grains", {})}, "disable_grains": ["core"],
            "grains_cache": False, "user": "root", **case.get("conf", {}),
        }
        if conf == self.held and not case.get("fresh"):
            return
        path = os.path.join(self.conf, "minion")
        with open(path, "w") as out:
            json.dump(conf, out)
        opts = salt.config.minion_config(path)
        opts["file_client"] = "local"
        self.caller = salt.client.Caller(mopts=opts)
        # What a case changes in the loaded minion itself is not for the next.
        self.held = None if case.get("fresh") else conf

    def write(self, root, files):
        for path, text in files.items():
            path = os.path.join(root, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if isinstance(text, dict) and "link" in text:
                os.symlink(self.own(text["link"]), path)
            elif isinstance(text, dict) and "base64" in text:
                with open(path, "wb") as out:
                    out.write(base64.b64decode(text["base64"]))
            elif isinstance(text, dict):
                os.makedirs(path, exist_ok=True)
            else:
                with open(path, "w") as out:
                    out.write(self.own(text))

    def own(self, value):
        """Puts the scratch folder for its word."""
        if isinstance(value, dict):
            return {self.own(k): self.own(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.own(v) for v in value]
        if isinstance(value, str):
            return value.replace("@ROOT@", self.scratch + self.mark).replace("@I@", self.mark)
        return value

    def call(self, fun, *args, **kwargs):
        try:
            return self.strip(self.caller.cmd(fun, *args, **kwargs))
        except Exception as exc:  # what the caller raises is what salt-call prints
            return {"__exception__": self.strip(str(exc))}

    def strip(self, value):
        """Leaves out what differs from run to run."""
        if isinstance(value, dict):
            return {self.strip(str(k)): self.strip(v) for k, v in value.items() if k not in ("start_time", "duration", "pid")}
        if isinstance(value, (list, tuple)):
            return [self.strip(v) for v in value]
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, str):
            return value.split("Traceback (most recent call last)")[0].replace(self.scratch, "@ROOT@")
        return value

    def tree(self, scratch):
        found = {}
        for folder, dirs, files in os.walk(scratch):
            for name in dirs + files:
                path = os.path.join(folder, name)
                short = os.path.relpath(path, scratch)
                if os.path.islink(path):
                    found[short] = "-> " + os.readlink(path)
                elif os.path.isdir(path):
                    found[short] = "dir %o" % (os.stat(path).st_mode & 0o7777)
                else:
                    with open(path, "rb") as file:
                        text = file.read().decode("utf-8", "replace")
                    found[short] = "%o %s" % (os.stat(path).st_mode & 0o7777, text)
        return self.strip(found)

    def answer(self, case):
        self.mark = ""
        case = {**case, "files": self.files_of(case)}
        self.prepare(case)
        pillar = {"pillar": self.own(case["pillar"])} if "pillar" in case else {}
        if "calls" in case:
            return {"calls": [self.call(*self.own(call[:-1]), **self.own(call[-1])) for call in case["calls"]]}
        exclude = {"exclude": case["exclude"]} if "exclude" in case else {}
        if case.get("highstate"):
            names, args = ("state.show_highstate", "state.show_lowstate", "state.highstate"), ()
        else:
            names, args = ("state.show_sls", "state.show_low_sls", "state.sls"), (case.get("sls", ["a"]),)
        asked = {
            "high": lambda: self.call(names[0], *args, **pillar),
            "low": lambda: self.call(names[1], *args, **pillar),
            "top": lambda: self.call("state.show_top"),
            "test": lambda: self.call(names[2], *args, test=True, **pillar, **exclude),
            "ret": lambda: self.call(names[2], *args, **pillar, **exclude),
            "disk": lambda: self.tree(self.scratch),
            "again": lambda: self.call(names[2], *args, **pillar, **exclude),
        }
        return {part: asked[part]() for part in ask_of(case)}

    def file(self, path, only=None):
        if only is not None:
            return {case["name"]: self.answer(case) for case in cases_of(path) if case["name"] in only}
        with open(path) as text:
            together = text.readline().startswith("# together")
        cases = cases_of(path)
        shared = [case for case in cases if together and not ALONE & case.keys()]
        answers = self.together(shared) if shared else {}
        alone = [case for case in cases if case["name"] not in answers]
        return {**answers, **{case["name"]: self.answer(case) for case in alone}}

    def files_of(self, case):
        files = self.own(case.get("files", {}))
        if "a" in case:
            files["a"] = self.own(case["a"])
        return files

    def together(self, cases):
        """All cases in one run, each with its own mark."""
        whole, marks = {"files": {}, "disk": {}}, {}
        for number, case in enumerate(cases):
            self.mark = marks[case["name"]] = f"_i{number}_"
            for path, text in self.files_of(case).items():
                whole["files"][f"a{self.mark}" if path == "a" else path] = text
            os.makedirs(self.scratch + self.mark, exist_ok=True)
        self.prepare(whole)
        for number, case in enumerate(cases):
            self.mark = f"_i{number}_"
            shutil.rmtree(self.scratch + self.mark)
            os.makedirs(self.scratch + self.mark)
            self.write(self.scratch + self.mark, self.own(case.get("disk", {})))
        mods = [f"a{mark}" for mark in marks.values()]
        runs = {"test": self.call("state.sls", mods, test=True), "ret": self.call("state.sls", mods)}
        disks = {name: self.tree(self.scratch + mark) for name, mark in marks.items()}
        runs["again"] = self.call("state.sls", mods)
        if any(not isinstance(run, dict) or "__exception__" in run for run in runs.values()):
            # One of them breaks the run of all: look for it.
            if len(cases) == 1:
                return {cases[0]["name"]: self.answer(cases[0])}
            half = len(cases) // 2
            return {**self.together(cases[:half]), **self.together(cases[half:])}
        answers = {}
        for name, mark in marks.items():
            own = {part: {tag: ret for tag, ret in run.items() if ret.get("__sls__") == "a" + mark} for part, run in runs.items()}
            answers[name] = unmarked({**own, "disk": disks[name]}, mark)
        return answers


def unmarked(value, mark):
    if isinstance(value, dict):
        return {unmarked(k, mark): unmarked(v, mark) for k, v in value.items() if k != "__run_num__"}
    if isinstance(value, list):
        return [unmarked(v, mark) for v in value]
    return value.replace(mark, "") if isinstance(value, str) else value


def ask_of(case):
    return case.get("ask", ["high", "low", "test", "ret", "disk", "again"])


def cases_of(path):
    with open(path) as text:
        return salt.utils.yaml.safe_load(text.read())


def record(series, folders):
    picked = []
    while folders and folders[0] == "--only":
        picked.append(folders[1])
        folders = folders[2:]
    root = tempfile.mkdtemp(prefix="oracle")
    try:
        answerer = Salt(root)
        for folder in folders or sorted(os.listdir(HERE)):
            folder, _, only = folder.partition("/")
            place = os.path.join(HERE, folder)
            if not os.path.isdir(place):
                continue
            for name in sorted(os.listdir(place)):
                if not name.endswith(".yaml") or only not in ("", name):
                    continue
                path = os.path.join(place, name)
                answers = answerer.file(path, picked or None)
                if picked:
                    with open(path[: -len("yaml")] + series + ".json") as held:
                        names = {case["name"] for case in cases_of(path)}
                        answers = {k: v for k, v in {**json.load(held), **answers}.items() if k in names}
                with open(path[: -len("yaml")] + series + ".json", "w") as out:
                    json.dump(answers, out, indent=0, sort_keys=True)
                    out.write("\n")
                print(folder, name, len(answers), flush=True)
    finally:
        shutil.rmtree(root)


def answer(path):
    root = tempfile.mkdtemp(prefix="oracle")
    try:
        answerer = Salt(root)
        with open(path) as text:
            cases = json.load(text)
        for case in cases:
            print(json.dumps(unmarked(answerer.answer(case), "@I@"), sort_keys=True), flush=True)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    os.umask(0o022)
    if sys.argv[1] == "record":
        record(sys.argv[2], sys.argv[3:])
    else:
        answer(sys.argv[2])
