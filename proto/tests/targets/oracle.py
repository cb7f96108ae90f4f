"""Asks an installed Salt which targets match, and prints the answers as the JSON that `targets.rs` reads.

    ~/.cache/salt-peers/salt-3008.3/bin/python proto/tests/targets/oracle.py > proto/tests/targets/answers.json

Hand-picked expressions come first, then generated ones (seeded, so that a new run gives the same file). An answer of
null says that Salt's matcher raised. With `live SEED COUNT`, facts and expressions are random: COUNT expressions, each asked
of the facts of some minions.
"""

import json
import logging
import random
import sys

import salt
import salt.loader
import salt.matchers.compound_match as compound_match
import salt.matchers.data_match as data_match
from salt.matchers import (
    glob_match, grain_match, grain_pcre_match, ipcidr_match, list_match, pcre_match, pillar_exact_match, pillar_match,
    pillar_pcre_match,
)

logging.disable(logging.CRITICAL)

MATCHERS = {
    "glob": glob_match, "pcre": pcre_match, "list": list_match, "grain": grain_match, "grain_pcre": grain_pcre_match,
    "pillar": pillar_match, "pillar_pcre": pillar_pcre_match, "pillar_exact": pillar_exact_match,
    "ipcidr": ipcidr_match, "compound": compound_match, "data": data_match,
}
DELIMITED = {"grain", "grain_pcre", "pillar", "pillar_pcre", "pillar_exact"}

FACTS = [
    {
        "id": "web1.example.com",
        "grains": {
            "os": "Debian", "os_family": "Debian", "osrelease": "12", "osmajorrelease": 12, "kernel": "Linux",
            "roles": ["web", "Cache", "db:primary", {"nested": {"deep": "x"}}, 7, None, True, 1.5, 1e16],
            "ipv4": ["127.0.0.1", "10.1.2.3", "192.168.7.9"], "ipv6": ["::1", "fe80::1", "2001:db8::7"],
            "disks": {"sda": {"size": 100, "type": "ssd"}, "sdb": {"size": 200, "type": "hdd"}},
            "path": "C:\\Program Files", "time": "12:30:00", "empty": {}, "nothing": None, "flag": True, "off": False,
            "matrix": [[1, 2], ["a", "b'c"]], "list_of_maps": [{"name": "one", "n": 1}, {"name": "two"}, {"0": "zero"}],
            "by_number": {1: "one", 2: {"x": "y"}, None: "nil"}, "truths": {True: "yes", 0.0: "no"}, "lists": [{False: "x"}], "float": 2.50, "big": 1e-07,
            "wild[1]": "br*cket", "Mixed": "CaseVALUE", "unicode": "Zürich", "any": {"b": {"c": ["d", {"e": "f"}]}},
        },
        "pillar": {
            "ehr": "dolphin", "practice": {"name": "North:Side", "sites": ["a1", "b2"], "open": True, "n": 42},
            "users": [{"alice": {"uid": 1}}, {"bob": {"uid": 2}}, "carol"], "a:b": "colon", "star": "*",
        },
        "data": {"text": "abc", "members": ["One", "two", 3], "map": {"key": 1}, "nil": None},
    },
    {"id": "db_2", "grains": {}, "pillar": {}, "data": {}},
]

PICKED = {
    "glob": ["*", "web*", "web1.example.com", "WEB*", "web?.example.com", "web[1-3].*", "web[!1]*", "db_?", "[dw]*", "",
             "web1.example.com,db_2", "*.com\n", 5, ["web*"], None],
    "pcre": ["web", "web.*com$", "example", "(web|db).*", r"web\d", r"web1\.example\.com\Z", "(?i)WEB", "", "db_[0-9]+",
             "[", "(?P<a>w)eb", "(?!db)", r"\Aweb", r"web\Z", "[[w]eb", "w{1}eb", "x*"],
    "list": ["web1.example.com", "a,web1.example.com", "web1.example.com,b", "a,web1.example.com,b", "a, web1.example.com",
             "web1", ["web1.example.com"], ["a", "db_2"], [], ["web*"], "", {"db_2": 1}, "db_2,db_3"],
    "ipcidr": ["10.1.2.3", "10.1.2.0/24", "10.1.2.3/24", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "0.0.0.0/0",
               "10.1.2.3/32", "10.1.2.0/255.255.255.0", "10.1.2.0/0.0.0.255", "10.1.2.0/33", "fe80::/10", "::1",
               "2001:db8::/32", "2001:db8::7", "2001:0db8:0::7", "2001:db8::/129", "::/0", "10.1.2", "web", "", "10.1.2.0/",
               "10.1.2.0/24/8", "010.1.2.3", "10.1.2.0/0255", "10.1.2.3/0.0.0.0", "10.1.2.3/255.255.255.255"],
    "data": ["text:abc", "text:a*", "text:ABC", "text", "members:one", "members:T*", "members:3", "map:key", "map:k*",
             "nil:None", "none:x", "text:abc:def"],
    "compound": ["*", "web*", "G@os:Debian", "G@os:Ubuntu", "P@os:(Deb|Ubu).*", "I@ehr:dolphin", "J@ehr:dol.*",
                 "L@web1.example.com,x", "E@web.*", "S@10.1.2.0/24", "S@10.1.2.3", "web* and G@os:Debian",
                 "web* and not G@os:Debian", "not db*", "not not web*", "( web* or db* ) and G@os:Debian",
                 "db* or ( G@os:Debian and I@ehr:dolphin )", "web* G@os:Debian", "web* not db*", "web* not G@os:Debian",
                 "and web*", "or web*", ") web*", "( and web* )", "( web*", "web* )", "()", "( )", "", "web* and",
                 "web* or", "not", "( not db* )", "G|@os|Debian", "G.@disks.sda.type.ssd", "I/@practice/n/42", "G@@os@Debian",
                 "G@", "X@web*", "N@group", "N@group or web*", "R@%range", "G@os:Debian or N@group", "T@x", "M@x",
                 "web1.example.com", "G@roles:web and ( I@practice:sites:a1 or S@172.16.0.0/12 )", "not ( web* and db* )",
                 "not web* or db*", "web* or db* and nothing", "( web* or db* ) and nothing", "E@(", "S@garbage",
                 "not S@garbage", ["web*", "and", "G@os:Debian"], ["not", "web*"], ["(", "web*", ")"], [], ["web*", "G@os:x"],
                 {"a": 1}, 5, "L@a,db_2", "db_2 and not G@os:*", "G@os:*", "and", "G@disks:*:ssd", "G@*:ssd", "D@text:abc",
                 "web*\tand\nG@os:Debian", "E@^web1\\.", "P|@os|D.*n", "web* and ( ( ( G@os:Debian ) ) )",
                 "not ( )", "web* or ( )", "( ) or web*", "( ) and web*", "( ) web*", "E@we(?i)B", "P@os:D(?i)EB"],
}
PATHS = [
    "os:Debian", "os:debian", "os:Deb*", "os:Ubuntu", "os", "os:", ":os", "osmajorrelease:12", "osrelease:12", "roles:web",
    "roles:cache", "roles:db:primary", "roles:db", "roles:nested", "roles:nested:deep", "roles:nested:deep:x",
    "roles:nested:deep:*", "roles:*", "roles:7", "roles:none", "roles:None", "roles:true", "roles:1.5", "roles:1e+16",
    "roles:0", "roles:0:web", "roles:1:web", "roles:-1:1e+16", "roles:3:nested:deep:x", "roles:99:x", "disks:sda",
    "disks:sd?", "disks:sda:size:100", "disks:sda:type:ssd", "disks:*:type:hdd", "disks:*:ssd", "*:ssd", "*:sda:type:ssd",
    "*:Debian", "*:*", "disks:*", "disks:*:size:300", "path:c:\\program files", "path:C*", "time:12:30:00", "time:12:*",
    "time:12", "empty:*", "empty:x", "nothing:none", "nothing:*", "nothing:x", "flag:true", "flag:True", "off:false",
    "matrix:[1, 2]", "matrix:*", "matrix:0:1", "matrix:0:2", "matrix:1:a", "matrix:1:1:b*", "list_of_maps:name:one",
    "list_of_maps:name:two", "list_of_maps:name", "list_of_maps:n:1", "list_of_maps:0:name:one", "list_of_maps:1:name:two",
    "list_of_maps:0:zero", "list_of_maps:*:one", "by_number:1:one", "by_number:2:x:y", "by_number:none:nil",
    "by_number:None:nil", "by_number:~:nil", "by_number:null:nil", "by_number:3:x", "by_number:1", "float:2.5",
    "float:2.50", "big:1e-07", "wild[1]:br*cket", "wild[1]:*", "mixed:casevalue", "Mixed:CASE*", "unicode:z?rich",
    "unicode:ZÜRICH", "any:b:c:d", "any:b:c:e", "any:b:c:e:f", "any:*:c:d", "any:*:d", "any:*:*:d", "*:b:c:d", "*:*:c:d",
    "any:b:*", "any:b:c:1:e:f", "ehr:dolphin", "ehr:Dol*", "practice:name:north:side", "practice:name:North*",
    "practice:sites:a1", "practice:sites:0:a1", "practice:open:true", "practice:n:42", "practice:*:42", "users:alice",
    "users:alice:uid:1", "users:alice:uid:2", "users:bob:uid:2", "users:carol", "users:*:uid", "a:b:colon", "star:*",
    "star:x", "practice:*", "*:name", "*:North*", "ehr", "", ":", "::", "os:*:*", "*", "**:x", "os|Debian", "1:x",
    "by_number:true:one", "by_number:1.0:one", "truths:1:yes", "truths:true:yes", "truths:0:no", "truths:false:no", "lists:0:x",
    "roles:[7]", "roles:{'nested': {'deep': 'x'}}", "roles:nested:*", "disks:sda:{'size': 100, 'type': 'ssd'}",
]
REGEX_PATHS = [
    "os:Deb.*", "os:deb", "os:^debian$", "os:(debian|ubuntu)", "os:x", "os:[", "disks:sd[ab]$", "disks:sd[cd]",
    "disks:sda:type:s+d", r"osrelease:\d+", r"osrelease:\D+", "roles:(web|db)$", "roles:db.primary", "time:12.30.*",
    "ehr:dol(?=phin)", "practice:n:4[0-9]", "users:al.*", "any:b:c:[a-f]$", "*:s+d", "disks:*:h", "mixed:CASE",
]


def answer(kind, tgt, facts, delimiter):
    opts = {"id": facts["id"], "grains": facts["grains"], "pillar": facts["pillar"], "nodegroups": {}, "extension_modules": ""}
    try:
        if kind == "compound":
            return bool(compound_match.match(tgt, opts=opts, minion_id=facts["id"]))
        if kind == "data":
            return bool(data_match.match(tgt, functions={"data.getval": facts["data"].get}, opts=opts))
        if kind in DELIMITED:
            return bool(MATCHERS[kind].match(tgt, delimiter=delimiter, opts=opts))
        return bool(MATCHERS[kind].match(tgt, opts=opts))
    except Exception:
        return None


def generated(rng):
    """Compound sentences of random words, well formed or not, and random nested paths."""
    words = ["web*", "db*", "G@os:Debian", "G@os:x", "I@practice:n:42", "P@roles:w.b", "S@10.0.0.0/8", "L@db_2,q", "E@w.*",
             "J@ehr:d", "I@star:x", "G|@disks|sda|size|100", "*", "x"]
    glue = ["and", "or", "not", "(", ")", "and not", "or not"]

    def sentence(depth):
        if depth == 0 or rng.random() < 0.3:
            return rng.choice(words)
        left, right = sentence(depth - 1), sentence(depth - 1)
        form = rng.choice(["{} and {}", "{} or {}", "not {}", "( {} )", "( {} or {} )", "{} and not {}", "{} not {}"])
        return form.format(left, right)

    for _ in range(220):
        yield "compound", sentence(4), ":"
    for _ in range(180):
        yield "compound", " ".join(rng.choice(words + glue * 2) for _ in range(rng.randint(1, 7))), ":"
    steps = ["*", "a", "b", "c", "d", "e", "f", "os", "any", "disks", "sda", "sd*", "size", "100", "0", "1", "-1", "roles",
             "list_of_maps", "name", "one", "by_number", "2", "x", "y", "matrix", "users", "alice", "uid", "practice", "?", ""]
    for _ in range(600):
        delimiter = rng.choice([":", ":", ":", "|", "/"])
        start = rng.choice(["any", "disks", "roles", "list_of_maps", "by_number", "matrix", "users", "practice", "*"])
        path = [start] + [rng.choice(steps) for _ in range(rng.randint(1, 5))]
        kind = rng.choice(sorted(DELIMITED))
        yield kind, delimiter.join(path), delimiter


def cases():
    for kind, targets in PICKED.items():
        for tgt in targets:
            yield kind, tgt, ":"
    for kind in sorted(DELIMITED):
        for tgt in PATHS + (REGEX_PATHS if kind.endswith("pcre") else []):
            yield kind, tgt, ":"
        for tgt in ["os|Debian", "os|Deb.*", "disks|sda|type|ssd", "disks|*|ssd", "*|ssd", "any|b|c:d", "*|b:c:d", "time|12:30:00"]:
            yield kind, tgt, "|"
    yield from generated(random.Random(20240501))


WORDS = ["a", "b", "c", "os", "Web", "web-1", "db_2", "x.y", "Debian", "12", "0", "1", "true", "None", "Zürich", "a b", "c:d", "*", "[x]"]


def some_value(rng, depth=3):
    """Nested data such as grains and pillars are made of."""
    kind = rng.random()
    if depth and kind < 0.3:
        keys = [rng.choice(WORDS) if rng.random() < 0.9 else rng.choice([1, 2, 0, True, None, 1.5]) for _ in range(rng.randint(0, 4))]
        return {key: some_value(rng, depth - 1) for key in keys}
    if depth and kind < 0.5:
        return [some_value(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    return rng.choice(WORDS + [0, 1, 12, -3, 1.5, True, False, None])


def some_facts(rng):
    def data():
        return {rng.choice(WORDS): some_value(rng) for _ in range(rng.randint(1, 5))}

    grains = data()
    grains["ipv4"] = [f"10.{rng.randint(0, 3)}.{rng.randint(0, 3)}.{rng.randint(0, 9)}" for _ in range(rng.randint(0, 3))]
    grains["ipv6"] = [f"fe80::{rng.randint(0, 9):x}" for _ in range(rng.randint(0, 2))]
    return {"id": rng.choice(["web1.example.com", "db_2", "a", "x-Y.z", "Web"]), "grains": grains, "pillar": data(), "data": data()}


def some_path(rng, held, delimiter):
    """A path into the data, true or bent a little."""
    steps, at = [], held
    for _ in range(rng.randint(1, 5)):
        if isinstance(at, dict) and at and rng.random() < 0.85:
            key = rng.choice(list(at))
            steps.append(str(key))
            at = at[key]
        elif isinstance(at, list) and at and rng.random() < 0.85:
            index = rng.randrange(len(at))
            if rng.random() < 0.5:
                steps.append(str(index))
            at = at[index]
        else:
            break
    steps.append(rng.choice([str(at), str(at).upper(), "*", rng.choice(WORDS), str(at)[:1] + "*", "?" * min(len(str(at)), 4)]))
    if rng.random() < 0.25:
        steps[rng.randrange(len(steps))] = rng.choice(["*", rng.choice(WORDS), "", "?"])
    return delimiter.join(steps)


def some_regex(rng):
    part = lambda: rng.choice(["a", "web", ".", ".*", "[a-z]+", "[^b]", r"\d", r"\w*", "(a|b|web)", "^", "$", "x?", "(?i)WEB", "1{1,2}", "(?!db)", r"\.", "e", "("])
    return "".join(part() for _ in range(rng.randint(1, 4)))


def some_word(rng, facts, delimiter):
    """One target with its kind."""
    kind = rng.choice(sorted(MATCHERS))
    if kind == "glob":
        return kind, rng.choice(["*", "w*", "?eb*", "[a-w]*", "[!w]*", facts["id"], facts["id"].upper(), "db_[0-9]", "*.com", "x-?.*", "web[", "*e*"])
    if kind == "pcre":
        return kind, some_regex(rng)
    if kind == "list":
        ids = [rng.choice([facts["id"], "web1", "db_2", "a", ""]) for _ in range(rng.randint(0, 3))]
        return kind, rng.choice([ids, ",".join(ids)])
    if kind == "ipcidr":
        address = f"10.{rng.randint(0, 3)}.{rng.randint(0, 3)}.{rng.randint(0, 9)}"
        return kind, rng.choice([address, f"{address}/{rng.randint(0, 34)}", f"{address}/255.255.{rng.choice([0, 255, 128, 3])}.0", f"fe80::/{rng.randint(0, 130)}", f"fe80::{rng.randint(0, 9):x}", "10.1", "x"])
    if kind == "data":
        return kind, some_path(rng, facts["data"], ":")
    if kind == "compound":
        return kind, some_sentence(rng, facts)
    source = facts["pillar"] if kind.startswith("pillar") else facts["grains"]
    path = some_path(rng, source, delimiter)
    if kind.endswith("pcre") and rng.random() < 0.5:
        path = delimiter.join(path.split(delimiter)[:-1] + [some_regex(rng)])
    return kind, path


def some_sentence(rng, facts):
    def word():
        roll = rng.random()
        if roll < 0.3:
            return rng.choice(["*", "w*", facts["id"], "nobody", "E@" + some_regex(rng).replace("(", "").replace(" ", ""), "L@" + facts["id"] + ",x", "S@10.0.0.0/8", "S@10.1.2.3"])
        letter, source = rng.choice([("G", "grains"), ("I", "pillar"), ("P", "grains"), ("J", "pillar")])
        delimiter = rng.choice([":", ":", "|", "/"])
        path = some_path(rng, facts[source], delimiter).replace(" ", "")
        return f"{letter}@{path}" if delimiter == ":" else f"{letter}{delimiter}@{path}"

    def sentence(depth):
        if not depth or rng.random() < 0.3:
            return word()
        form = rng.choice(["{} and {}", "{} or {}", "not {}", "( {} )", "( {} or {} )", "{} and not {}", "not ( {} and {} )"])
        return form.format(sentence(depth - 1), sentence(depth - 1))

    if rng.random() < 0.8:
        return sentence(3)
    return " ".join(rng.choice([word(), "and", "or", "not", "(", ")"]) for _ in range(rng.randint(1, 7)))


def live(seed, count):
    rng = random.Random(seed)
    minions = [some_facts(rng) for _ in range(max(4, count // 100))]
    for minion in minions:
        minion["grains"].setdefault("id", minion["id"])
    cases = []
    for _ in range(count):
        facts, delimiter = rng.choice(minions), rng.choice([":", ":", ":", "|"])
        kind, tgt = some_word(rng, facts, delimiter)
        asked = sorted({minions.index(facts), rng.randrange(len(minions))})
        cases.append([kind, portable(tgt), delimiter, [[at, answer(kind, tgt, minions[at], delimiter)] for at in asked]])
    json.dump({"facts": [{k: portable(v) for k, v in facts.items()} for facts in minions], "cases": cases}, sys.stdout)


def portable(value):
    """Maps as lists of pairs, because JSON keys are text only."""
    if isinstance(value, dict):
        return {"map": [[portable(key), portable(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [portable(item) for item in value]
    return value


def main():
    compound_match.__context__ = {"matchers": {f"{kind}_match.match": module.match for kind, module in MATCHERS.items()}}
    if sys.argv[1:2] == ["live"]:
        return live(int(sys.argv[2]), int(sys.argv[3]))
    print('{"made_by": %s,' % json.dumps(f"proto/tests/targets/oracle.py with the matchers of Salt {salt.version.__version__}"))
    print('"facts": %s,' % json.dumps([{k: portable(v) for k, v in facts.items()} for facts in FACTS]))
    print('"cases": [')
    lines, seen = [], set()
    for kind, tgt, delimiter in cases():
        key = json.dumps([kind, tgt, delimiter])
        if key in seen:
            continue
        seen.add(key)
        answers = [answer(kind, tgt, facts, delimiter) for facts in FACTS]
        lines.append(json.dumps([kind, portable(tgt), delimiter, answers], ensure_ascii=False))
    print(",\n".join(lines))
    print("]}")


sys.exit(main())
