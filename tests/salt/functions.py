#!/usr/bin/env python3
"""Answers many execution function calls with one unmodified Salt minion's modules, without a master.

Started as `<venv>/bin/python functions.py CONFIG_DIR`, as `salt-call --local -c CONFIG_DIR` would be. Reads a JSON list of
`{"fun": .., "args": [..], "kwargs": {..}}` from stdin and prints a JSON list: `{"ret": value}`, or `{"error": [class, text]}`
with the class of what the function raised. One process for all calls, because loading Salt takes seconds.
"""
import json
import logging
import sys

import salt.config
import salt.loader
import salt.minion

logging.disable(logging.CRITICAL)


def plain(value):
    if isinstance(value, bytes):
        return {"__bytes__": value.hex()}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def main():
    opts = salt.config.minion_config(sys.argv[1] + "/minion")
    opts["file_client"] = "local"
    minion = salt.minion.SMinion(opts)
    answers = []
    for call in json.load(sys.stdin):
        try:
            answers.append({"ret": plain(minion.functions[call["fun"]](*call.get("args", []), **call.get("kwargs", {})))})
        except KeyError as error:
            known = call["fun"] in minion.functions
            answers.append({"error": ["KeyError" if known else "NotAvailable", str(error)]})
        except Exception as error:  # what was raised is the answer
            answers.append({"error": [type(error).__name__, str(error)]})
    json.dump(answers, sys.stdout)


main()
