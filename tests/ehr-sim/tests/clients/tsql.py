"""A session in FreeTDS' own tsql, which reads statements and prints what came back as text.

tsql prints moments to the minute and bytes without 0x; whoever compares has to know.
"""

import datetime
import os
import re
import subprocess
import tempfile

COLUMN, ROW = "\x1f", "\x1e"
MESSAGE = re.compile(r'Msg (\d+) \(severity (\d+), state \d+\) from [^\n]*? Line \d+:\n\t"(.*?)"\n', re.DOTALL)
FOOTER = re.compile(r"\((\d+) rows? affected\)\n")
MOMENT = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d{4} \d\d:\d\d[AP]M")


class Tsql:
    """One process, one session."""

    def __init__(self, host, port, user, password, database, tls):
        self.folder = tempfile.TemporaryDirectory()
        configuration = os.path.join(self.folder.name, "freetds.conf")
        encryption = {"off": "off", "login": "request", "on": "require"}[tls]
        with open(configuration, "w", encoding="ascii") as file:
            file.write(
                f"[server]\nhost = {host}\nport = {port}\ntds version = 7.4\nclient charset = UTF-8\n"
                f"encryption = {encryption}\ntext size = 2147483647\n"
            )
        arguments = ["tsql", "-S", "server", "-U", user, "-P", password, "-D", database, "-t", COLUMN, "-r", ROW]
        self.process = subprocess.Popen(
            ["stdbuf", "-o0", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "FREETDSCONF": configuration},
        )
        self.read()

    def read(self):
        """What is printed up to the prompt for a first line."""
        printed = b""
        while not re.search(rb"(^|[\s\x1e])1> \Z", printed):
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise ConnectionError(printed.decode(errors="replace"))
            printed += chunk
        return printed.decode()

    def ask(self, text):
        """The answer to a batch."""
        batch = text.rstrip("\n")
        self.process.stdin.write(f"{batch}\ngo\n".encode())
        self.process.stdin.flush()
        lines = batch.count("\n") + 2
        printed = self.read()
        answer = printed[printed.index(f"{lines}> ") + len(f"{lines}> "):-len("1> ")]
        for number, severity, said in MESSAGE.findall(answer):
            if int(severity) > 10:
                return {"error": [int(number), said]}
        return {"results": results(MESSAGE.sub("", answer))}

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def results(answer):
    """A set is a line of names and, where it has rows, the rows and their number; an empty one has its names alone."""
    sets, start = [], 0
    for footer in [*FOOTER.finditer(answer), None]:
        records = answer[start:footer.start() if footer else None].split(ROW)[:-1]
        count = int(footer[1]) if footer else 0
        heads = records[: len(records) - count]
        for head in heads:
            sets.append({"columns": head[head.rfind("\n") + 1:].split(COLUMN), "rows": []})
        if count:
            rows = records[len(records) - count:]
            sets[-1]["rows"] = [[shown(value) for value in row.split(COLUMN)] for row in rows]
        start = footer.end() if footer else start
    return sets


def shown(value):
    if not MOMENT.fullmatch(value):
        return value
    # strptime wants a day of two digits.
    moment = datetime.datetime.strptime(re.sub(r"  (\d)", r" 0\1", value), "%b %d %Y %I:%M%p")
    return moment.strftime("%Y-%m-%d %H:%M")
