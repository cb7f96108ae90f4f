"""Writes random.yaml: trees of states with random requisites, the same on every run.

`python make_random.py > random.yaml`, then make_oracle.py for each series.
"""
import random

FUNCTIONS = ["nop", "succeed_with_changes", "fail_without_changes", "fail_with_changes", "succeed_with_changes", "nop"]
KINDS = ["require", "watch", "onchanges", "onfail", "require", "watch", "require_any", "watch_any", "onchanges_any",
         "onfail_any", "onfail_all", "prereq", "listen", "require_in", "watch_in", "onchanges_in", "onfail_in", "listen_in"]

rng = random.Random(20240607)
print("# Made by make_random.py.")
for number in range(60):
    count = 200 if number == 0 else rng.randint(2, 14)
    # Mostly without circles: a state refers to one further up or down in a hidden order.
    rank = list(range(count))
    rng.shuffle(rank)
    print(f"- name: random {number}")
    if number % 5 == 4:
        print("  test: true")
    print("  files:\n    a: |")
    for at in range(count):
        print(f"      s{at}:\n        test.{rng.choice(FUNCTIONS)}:")
        print(f"          - name: n{at}")
        if rng.random() < 0.15:
            print(f"          - order: {rng.choice([1, 2, 3, -1, 'last', 'first'])}")
        wanted = {}
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
            kind = rng.choice(KINDS if number % 3 == 0 else KINDS[:11])
            below = [x for x in range(count) if (rank[x] > rank[at] if kind.endswith("_in") else rank[x] < rank[at])]
            if below:
                target = rng.choice(below)
                if target not in wanted.setdefault(kind, []):
                    wanted[kind].append(target)
        for kind, targets in wanted.items():
            print(f"          - {kind}:")
            for target in targets:
                print(f"            - test: {rng.choice(['s', 's', 'n'])}{target}" if not kind.endswith("_in") else f"            - test: s{target}")
