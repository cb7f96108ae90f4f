"""Writes <feature>.<series>.json beside each <feature>.yaml: what an unmodified salt-call --local makes of the cases.

Run once per series with the Python of its virtual environment, from this folder:
`python make_oracle.py 3008 [feature ...]`. A case is a tree of files and how it is run; the oracle holds, per case, the
high data that state.show_sls gives and what the run returned, start times and durations apart.
"""
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


class Salt:
    def __init__(self, root):
        self.root = root
        self.files = os.path.join(root, "files")
        os.makedirs(self.files)
        conf = os.path.join(root, "minion")
        with open(conf, "w") as out:
            json.dump({
                "file_client": "local", "id": "m1", "root_dir": root, "file_roots": {"base": [self.files]},
                "pillar_roots": {"base": [os.path.join(root, "pillar")]}, "cachedir": os.path.join(root, "cache"),
                "pki_dir": os.path.join(root, "pki"), "log_file": os.path.join(root, "log"), "sock_dir": os.path.join(root, "sock"),
                "extension_modules": os.path.join(root, "ext"), "fileserver_list_cache_time": 0, "grains": {"role": "web"},
                "disable_grains": ["core"], "grains_cache": False,
            }, out)
        opts = salt.config.minion_config(conf)
        opts["file_client"] = "local"
        self.caller = salt.client.Caller(mopts=opts)

    def tree(self, files):
        shutil.rmtree(self.files)
        os.makedirs(self.files)
        shutil.rmtree(os.path.join(self.root, "cache"), ignore_errors=True)
        for path, text in files.items():
            path = os.path.join(self.files, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)

    def call(self, *args, **kwargs):
        try:
            return self.caller.cmd(*args, **kwargs)
        except Exception as exc:  # what the caller raises is what salt-call prints
            return {"__exception__": str(exc)}


def strip(value):
    """Leaves out what differs from run to run."""
    if isinstance(value, dict):
        return {str(k): strip(v) for k, v in value.items() if k not in ("start_time", "duration")}
    if isinstance(value, (list, tuple)):
        return [strip(v) for v in value]
    if isinstance(value, str) and "Traceback (most recent call last)" in value:
        return value.split("Traceback (most recent call last)")[0]
    return value


def run(salt, case):
    files = {path if "." in path else path + ".sls": text for path, text in case["files"].items()}
    salt.tree(files)
    kwargs = {}
    if "pillar" in case:
        kwargs["pillar"] = case["pillar"]
    if case.get("test"):
        kwargs["test"] = True
    if "exclude" in case:
        kwargs["exclude"] = case["exclude"]
    if "single" in case:
        fun, name, extra = case["single"]
        return {"ret": strip(salt.call("state.single", fun, name=name, **extra, **kwargs))}
    if case.get("highstate"):
        return {"high": strip(salt.call("state.show_highstate", **{k: v for k, v in kwargs.items() if k == "pillar"})),
                "ret": strip(salt.call("state.highstate", **kwargs))}
    mods = case.get("sls", ["a"])
    show = {k: v for k, v in kwargs.items() if k == "pillar"}
    return {"high": strip(salt.call("state.show_sls", mods, **show)), "ret": strip(salt.call("state.sls", mods, **kwargs))}


def main():
    series, features = sys.argv[1], sys.argv[2:]
    root = tempfile.mkdtemp(prefix="oracle")
    try:
        salt = Salt(root)
        for name in sorted(os.listdir(HERE)):
            feature, ext = os.path.splitext(name)
            if ext != ".yaml" or features and feature not in features:
                continue
            with open(os.path.join(HERE, name)) as text:
                cases = salt_load(text.read())
            answers = {case["name"]: run(salt, case) for case in cases}
            with open(os.path.join(HERE, f"{feature}.{series}.json"), "w") as out:
                json.dump(answers, out, indent=1, sort_keys=True)
                out.write("\n")
            print(feature, len(answers), flush=True)
    finally:
        shutil.rmtree(root)


def salt_load(text):
    return salt.utils.yaml.safe_load(text)


main()
