"""Writes output.json: what Salt's own outputters print for the data below.

Run with the Python of a virtual environment that holds Salt: `python make_output.py > output.json`.
"""
import copy
import json

import salt.output

OPTIONS = {"extension_modules": "", "strip_colors": True, "state_verbose": True, "state_output": "full",
           "state_output_profile": True, "color": False, "optimization_order": [0, 1, 2], "__role": "minion",
           "grains": {}, "cachedir": "/tmp"}


def state(num, result, changes, comment="", **more):
    return {"name": more.pop("name", f"s{num}"), "result": result, "changes": changes, "comment": comment,
            "__run_num__": num, "__sls__": "web", "__id__": f"s{num}", "start_time": "10:11:12.123456",
            "duration": 1.5 + num, **more}


RUN = {
    "m1": {
        "test_|-s0_|-s0_|-nop": state(0, True, {}, "Success!"),
        "test_|-s1_|-other name_|-succeed_with_changes": state(1, True, {"testing": {"old": "Unchanged", "new": "Something"}}, "Success!\nTwo lines", name="other name"),
        "file_|-s2_|-/etc/x_|-managed": state(2, None, {"diff": "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n"}, "The file /etc/x is set to be changed"),
        "test_|-s3_|-s3_|-fail_without_changes": state(3, False, {}, "Failure!", warnings=["one warning that is long enough to be wrapped at the width of eighty columns, surely", "two"]),
        "test_|-s4_|-s4_|-nop": {"name": "s4", "result": True, "changes": {}, "comment": ["a", "b"], "__run_num__": 4, "__sls__": "web", "__id__": "s4"},
        "test_|-s5_|-s5_|-nop": state(5, True, "no mapping", "odd"),
        "test_|-s6_|-s6_|-nop": state(6, True, {"list": ["a", ["b"], {"c": 1}], "none": None, "n": 1.5}, "data", data=["x", 1]),
    }
}
ALL_GOOD = {"m1": {"test_|-s0_|-s0_|-nop": state(0, True, {}, "Success!"), "test_|-s1_|-s1_|-nop": state(1, True, {"a": 1}, "x", duration=2000.25)}}
CASES = [
    ["nested", {"m1": True}], ["nested", {"m1": {"a": 1, "b": [1, "two", None, {"c": "d"}, ["e", "f"]], "z": {"y": {}, "x": []}}}],
    ["nested", {"m1": "one\ntwo\n"}], ["nested", {"m1": ""}], ["nested", {"m1": [1.5, False, "\x1b[31mred"]}], ["nested", {"m1": {"1": {"deep": {"er": [[["x"]]]}}}}],
    ["nested", "text"], ["nested", ["a", "b"]], ["nested", {"m1": {}}], ["nested", {"m1": {"k": "l1\nl2"}}],
    ["highstate", RUN], ["highstate", ALL_GOOD], ["highstate", {"m1": ["first error\nline 2", "second"]}], ["highstate", {"m1": "a text\nof two"}], ["highstate", {"m1": 7}], ["highstate", {"m1": {}}],
    ["highstate", {"m1": {"no_|-states_|-states_|-None": {"result": False, "comment": "No states found for this minion", "name": "No States", "changes": {}, "__run_num__": 0}}}],
    ["highstate", {"m2": ALL_GOOD["m1"], "m1": ["err"]}],
    ["json", {"m1": {"b": [1, 2.5, None, "é\n\"x\""], "a": {}, "c": []}}], ["yaml", {"m1": {"b": [1, None, "yes"], "a": {}, "c": "x: y"}}],
    ["txt", {"m1": "one\ntwo"}], ["txt", {"m1": {"a": 1}}], ["raw", {"m1": [1, "x"]}], ["txt", {"m1": True}],
]

out = []
for name, data in CASES:
    for color in (False, True):
        options = dict(OPTIONS, color=color)
        out.append({"out": name, "color": color, "data": data,
                    "printed": salt.output.try_printout(copy.deepcopy(data), name, options)})
for mode in ("terse", "mixed", "changes", "full_id"):
    out.append({"out": "highstate", "color": False, "state_output": mode, "data": RUN,
                "printed": salt.output.try_printout(copy.deepcopy(RUN), "highstate", dict(OPTIONS, state_output=mode))})
out.append({"out": "highstate", "color": False, "state_verbose": False, "data": RUN,
            "printed": salt.output.try_printout(copy.deepcopy(RUN), "highstate", dict(OPTIONS, state_verbose=False))})
print(json.dumps(out, indent=1))
