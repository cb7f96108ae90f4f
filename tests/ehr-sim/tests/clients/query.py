"""Runs statements through a TDS client and prints what came back as JSON.

usage: query.py pymssql|pytds|tsql PORT USER DATABASE TLS < statements, one per line
The password comes in the environment (TDS_PASSWORD). TLS is off, login or on. Per statement one line is printed:
{"results": [{"columns": [...], "rows": [[repr, ...]]}]} or {"error": [number, text]}.
A line that is a JSON string is that string: a batch of several lines. A line that is a JSON object has the batch in
"text" and may name a "session" (connections of their own, 1 is the first) and "wait": false, which goes on with the next
line at once; an answer then has the line's number in "at". With TDS_PLAIN values are printed as SQL text
(NULL, 0x00, 1.50) and the connection is in autocommit. TDS_TIMEOUT is how many seconds python-tds gives a request. A line "params: [python list] statement" passes parameters; "commit" and "rollback" do what they say.
"""

import datetime
import decimal
import json
import os
import queue
import ssl
import sys
import threading
import uuid


HOST = os.environ.get("TDS_HOST", "127.0.0.1")
TIMEOUT = int(os.environ.get("TDS_TIMEOUT", "60"))
PLAIN = bool(os.environ.get("TDS_PLAIN"))


def connect(client, port, user, database, tls):
    password = os.environ["TDS_PASSWORD"]
    if client == "tsql":
        from tsql import Tsql

        return Tsql(HOST, port, user, password, database, tls)
    if client == "pymssql":
        import pymssql

        encryption = {"off": "off", "login": "request", "on": "require"}[tls]
        return pymssql.connect(
            server=HOST, port=str(port), user=user, password=password, database=database,
            login_timeout=60, timeout=60, charset="UTF-8", encryption=encryption, appname="wire-test", autocommit=PLAIN,
        )
    import pytds

    more = {}
    if tls != "off":
        more = {"cafile": authority(), "validate_host": False, "enc_login_only": tls == "login"}
    return pytds.connect(
        dsn=HOST, port=port, user=user, password=password, database=database,
        login_timeout=60, timeout=TIMEOUT, autocommit=PLAIN, appname="wire-test", **more,
    )


def authority():
    """The server's own certificate (TDS_CERTIFICATE, DER), as the PEM file that pytds wants."""
    with open(os.environ["TDS_CERTIFICATE"], "rb") as der:
        pem = ssl.DER_cert_to_PEM_cert(der.read())
    path = os.environ["TDS_CERTIFICATE"] + ".pem"
    with open(path, "w", encoding="ascii") as file:
        file.write(pem)
    return path


def plain(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, bytes):
        return "0x" + value.hex().upper()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat(*([" "] if isinstance(value, datetime.datetime) else []))
    return str(value).upper() if isinstance(value, uuid.UUID) else str(value)


def shown(value):
    if PLAIN:
        return plain(value)
    text = repr(value)
    return text if len(text) < 120 else f"{text[:20]}...{len(value)}"


def describe(error):
    if os.environ.get("TDS_TRACE"):
        import traceback

        traceback.print_exc()
    number = getattr(error, "number", None) or getattr(error, "msg_no", None)
    text = getattr(error, "text", None) or getattr(error, "message", None) or str(error)
    if number is None and error.args and isinstance(error.args[0], int):
        number, text = error.args[:2] if len(error.args) > 1 else (error.args[0], text)
    if number is None and error.args and isinstance(error.args[0], tuple):
        number, text = error.args[0]
    if isinstance(text, bytes):
        text = text.decode()
    return {"error": [number, str(text)]}


def run(connection, cursor, line):
    if line == "commit":
        connection.commit()
        return {"done": "commit"}
    if line == "rollback":
        connection.rollback()
        return {"done": "rollback"}
    if line.startswith('"'):
        line = json.loads(line)
    params = None
    if line.startswith("params:"):
        end = line.index("] ") + 1
        names = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}
        if "Binary(" in line:
            names["Binary"] = __import__("pytds").Binary
        params = eval(line[7:end], {**names, "Decimal": decimal.Decimal, "UUID": uuid.UUID})  # noqa: S307 our own text
        line = line[end:].strip()
    cursor.execute(line, tuple(params)) if params is not None else cursor.execute(line)
    results = []
    while True:
        if cursor.description:
            names = [column[0] for column in cursor.description]
            results.append({"columns": names, "rows": [[shown(v) for v in row] for row in cursor.fetchall()]})
        if not cursor.nextset():
            break
    return {"results": results}


class Session:
    """A connection with a thread of its own."""

    def __init__(self, arguments):
        self.connection = connect(*arguments)
        self.cursor = None if arguments[0] == "tsql" else self.connection.cursor()
        self.work = queue.Queue()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while (item := self.work.get()) is not None:
            line, at, finished = item
            try:
                answer = run(self.connection, self.cursor, line) if self.cursor else self.connection.ask(line)
            except Exception as error:  # noqa: BLE001 the test reads what the client makes of a refusal
                answer = describe(error)
            with PRINTING:
                print(json.dumps(answer if at is None else {**answer, "at": at}), flush=True)
            finished.set()
        self.connection.close()


PRINTING = threading.Lock()


def main():
    client, port, user, database, tls = sys.argv[1:6]
    arguments = (client, int(port), user, database, tls)
    try:
        sessions = {1: Session(arguments)}
    except Exception as error:  # noqa: BLE001
        print(json.dumps(describe(error)))
        return
    for at, line in enumerate(sys.stdin.read().splitlines()):
        number, wait = 1, True
        if line.startswith('{"'):
            item = json.loads(line)
            line, number, wait = item["text"], item.get("session", 1), item.get("wait", True)
        else:
            at = None
        if number not in sessions:
            sessions[number] = Session(arguments)
        finished = threading.Event()
        sessions[number].work.put((line, at, finished))
        if wait:
            finished.wait()
    for session in sessions.values():
        session.work.put(None)
        session.thread.join()


main()
