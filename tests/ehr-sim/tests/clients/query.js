// Runs statements through tedious and prints what came back as JSON, in the form of query.py.
//
// usage: query.js PORT USER DATABASE TLS < statements, one per line
// The password comes in the environment (TDS_PASSWORD). TLS is off, login or on. "prepare: statement" prepares with an
// int parameter @n and executes it twice, with 7 and 8; "params: {"name": [type, value]} statement" passes parameters.
// A line that is a JSON string is that string; one that is a JSON object has "text", "session" and "wait" as in query.py.
// With TDS_PLAIN values are printed as SQL text. TDS_TIMEOUT is how many seconds a request may take.
"use strict";

const readline = require("node:readline");
const { Connection, Request, TYPES } = require("tedious");

const [port, user, database, tls] = process.argv.slice(2);

function plain(value) {
  if (value === null) return "NULL";
  if (Buffer.isBuffer(value)) return `0x${value.toString("hex").toUpperCase()}`;
  if (value instanceof Date) return value.toISOString().replace("T", " ").replace(/Z$/, "");
  if (typeof value === "boolean") return value ? "1" : "0";
  return String(value);
}

function shown(value) {
  if (process.env.TDS_PLAIN) return plain(value);
  if (value === null) return "null";
  if (Buffer.isBuffer(value)) return `0x${value.toString("hex")}`;
  if (value instanceof Date) return value.toISOString();
  const text = typeof value === "bigint" ? `${value}n` : JSON.stringify(value);
  return text.length < 120 ? text : `${text.slice(0, 20)}...${value.length}`;
}

function start(connection, line, done) {
  if (line.startsWith('"')) line = JSON.parse(line);
  const results = [];
  const finish = (error) =>
    done(error ? { error: [error.number ?? null, error.message], line: error.lineNumber } : { results });
  const prepared = line.startsWith("prepare: ");
  const passed = /^params: (\{.*?\}) (.*)$/.exec(line);
  const statement = prepared ? line.slice(9) : passed ? passed[2] : line;
  const request = new Request(statement, (error) => prepared || finish(error));
  request.on("columnMetadata", (columns) =>
    results.push({ columns: columns.map((column) => column.colName), rows: [] }));
  request.on("row", (row) => results.at(-1).rows.push(row.map((column) => shown(column.value))));
  if (prepared) return prepare(connection, request, finish);
  if (passed) {
    for (const [name, [type, value]] of Object.entries(JSON.parse(passed[1]))) {
      request.addParameter(name, TYPES[type], value);
    }
    return connection.execSql(request);
  }
  return connection.execSqlBatch(request);
}

function prepare(connection, request, finish) {
  const values = [7, 8];
  request.addParameter("n", TYPES.Int);
  request.callback = (error) => (error ? finish(error) : step());
  const step = () => {
    const n = values.shift();
    if (n !== undefined) return connection.execute(request, { n });
    request.callback = (error) => finish(error);
    return connection.unprepare(request);
  };
  request.on("prepared", () => {});
  connection.prepare(request);
}

function connect() {
  const connection = new Connection({
    server: process.env.TDS_HOST ?? "127.0.0.1",
    authentication: { type: "default", options: { userName: user, password: process.env.TDS_PASSWORD } },
    options: {
      port: Number(port),
      database,
      encrypt: tls === "on",
      trustServerCertificate: true,
      connectTimeout: 60000,
      requestTimeout: Number(process.env.TDS_TIMEOUT ?? 60) * 1000,
      appName: "wire-test",
      rowCollectionOnRequestCompletion: false,
    },
  });
  return new Promise((resolve, reject) =>
    connection.connect((error) => (error ? reject(error) : resolve({ connection, last: Promise.resolve() }))));
}

function ask(session, line, at) {
  session.last = session.last.then(() => new Promise((resolve) =>
    start(session.connection, line, (answer) => {
      console.log(JSON.stringify(at === undefined ? answer : { ...answer, at }));
      resolve();
    })));
  return session.last;
}

async function main() {
  const sessions = new Map();
  let first;
  try {
    first = await connect();
  } catch (error) {
    console.log(JSON.stringify({ error: [error.cause?.number ?? error.number ?? null, error.message] }));
    return;
  }
  sessions.set(1, first);
  let at = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const item = line.startsWith('{"') ? { session: 1, wait: true, ...JSON.parse(line) } : { session: 1, wait: true };
    if (!sessions.has(item.session)) sessions.set(item.session, await connect());
    const answered = ask(sessions.get(item.session), item.text ?? line, item.text === undefined ? undefined : at);
    if (item.wait) await answered;
    at += 1;
  }
  for (const session of sessions.values()) {
    await session.last;
    session.connection.close();
  }
}

main();
