"""Writes yaml.json: what Salt's own YAML loader and dumper give for the cases below.

Run with the Python of a virtual environment that holds Salt: `python make_yaml.py > yaml.json`.
"""
import json
import warnings
warnings.simplefilter("ignore")
from collections import OrderedDict

import salt.utils.yaml
import salt.utils.yamlloader as loader

SCALARS = """0644 644 0o17 1_000 1e3 1.0e+3 1.5e-3 1:30 12:30:45 1:30.5 0999 0777 00 0 -0 +1 -0644 0b101 0x1F 0xfg
1. .5 1.5 -1.5 +1.5 .inf -.inf .nan -.nan 1_0.5 1__0 _1 yes Yes YES yEs no on Off OFF y n Y N true TRUE True null NULL Null nUll ~
2001-12-14 2001-12-14T21:59:43.10 12e03 1e+3 1.e+3 .e3 1.2.3 10.0.0.1 - = << a:b a#b http://x.y/z 'q' "d" '' 0. 0b 0x - -- 1: :1 9223372036854775807
0_7 0x_1 190:20:30 60:61 1:2:3.5""".split()

DOCUMENTS = [
    "", "a: 1\nb: [x, 2]\n", "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n  m: 4\n",
    "a: &x {k: 1}\nb: &y {k: 2, z: 3}\nc:\n  <<: [*x]\n  w: 0\n", "a: &x {k: 1}\nb:\n  <<: [*x, {k: 2}]\n",
    "a: 1\na: 2\n", "a:\n  b: 1\n  b: 2\n", "a: !!str 123\n", "a: !!int '7'\n", "a: !!float 3\n", "a: !!bool 'yes'\n",
    "a: !!binary aGVsbG8=\n", "a: !!set {x, y}\n", "a: !!omap {x: 1}\n", "a: !!omap\n- x: 1\n", "a: !foo bar\n",
    "a: |\n  one\n   two\n\nb: >\n  one\n  two\n\n  three\n", "a: |-\n  x\n", "- 1\n- - 2\n  - 3\n- {a: b}\n",
    "a: 'it''s'\nb: \"x\\ty\\u00e9\"\n", "é: ü\n", "3: a\nyes: b\nnull: c\n1.5: d\n", "? a\n: b\n", "a:\n- 1\n- 2\n",
    "a: b: c\n", "a:\n\t- b\n", "a: [1, 2\n", "a: {b: 1\n", "- a\nb: 1\n", "a: @x\n", "a: `x\n", "a: %x\n", "x\ny: 1\n", "a: 'x\n",
    "a: *nope\n", "{{ x }}: 1\n", "a: {{ x }}\n", "---\na: 1\n---\nb: 2\n", "---\na: 1\n...\n", "# only a comment\n", "a: # c\n  b\n",
    "a: x\n   y\n  z\n", "a:\n  - b\n - c\n", "a:\n    b: 1\n   c: 2\n", "a: \"x\n", "{a: 1, b: [c, d]}\n", "[a, b]: c\n", "a: [x]: y\n", "&a a: *a\n",
    "a: b\r\nc: d\r\n", "\ufeffa: 1\n", "key with spaces: v\n'quoted': 1\n", "a: !!null ''\n", "a: !!python/object:os.system x\n", "a: ! 12\n",
    "a:\n  - b:\n    - c\n    d: e\n", "a: -\n", "a: - b\n", "a: ?x\n", "a: 'b' c\n", "*a: 1\n", "a: &b\nc: *b\n",
]

DUMPS = [
    {}, [], "", "a", 1, 1.5, None, True, {"a": 1, "b": [1, [2, 3], {"c": "d"}], "e": {}, "f": []},
    {"z": 1, "a": {"y": None, "b": "yes"}}, ["yes", "no", "1", "1.5", "0x1", "null", "~", "a: b", "a:b", "a #b", "#a", "- a", "-a", "-"],
    ["", " a", "a ", "a\nb", "a\n", "\n", "a\tb", "é", "\x01", "it's", '"q"', "a'b: c", "[x", "x]", "{", ",", "a,b", "@", "`", "%", "!", "&", "*", "|", ">", "?", "? a", ":", ": a", "=", "<<"],
    {"k": "word " * 40}, {"k": "it's: " + "word " * 40}, ["x" * 100 + " y"], {"k": "line one\nline two\n\nline four\n"},
    ["2001-12-14", "2001-12-14T21:59:43Z", "12:30", "0644", "1e3", "1e+3", "1_000", "0o17", "---", "--- a", "...", "a...", "12.", ".5"],
    {1: "a", 2: "b"}, 1e20, [1e-7], {"deep": [[["x"], []], {"y": [{"z": 1, "w": [1]}]}]}, {"tab\there": "two  spaces  " * 12},
]


def load(text):
    try:
        data = loader.load(text, Loader=lambda s: loader.SaltYamlSafeLoader(s, dictclass=OrderedDict))
        return {"repr": repr(plain(data))}
    except Exception as exc:
        mark = getattr(exc, "problem_mark", None)
        return {"error": getattr(exc, "problem", None) or str(exc), "line": mark.line + 1 if mark else None}


def plain(data):
    if isinstance(data, dict):
        return {k: plain(v) for k, v in data.items()}
    if isinstance(data, (set,)):
        return {k: None for k in sorted(data)}
    if isinstance(data, (list, tuple)):
        return [plain(x) for x in data]
    return data


out = {
    "scalars": [[text, load("a: " + text)] for text in SCALARS],
    "documents": [[text, load(text)] for text in DOCUMENTS],
    "dumps": [
        [[[k, v] for k, v in value.items()] if isinstance(value, dict) and 1 in value else value,
         salt.utils.yaml.safe_dump(value, default_flow_style=False),
         salt.utils.yaml.safe_dump(value, default_flow_style=True)]
        for value in DUMPS
    ],
}
print(json.dumps(out, indent=1))
