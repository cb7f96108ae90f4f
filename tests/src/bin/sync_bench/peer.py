"""Reads dbo.Appointment with a client that nobody here wrote: peer.py NAME PORT PASSWORD off|on.

Prints what the benchmark prints of every reader, as one JSON object. Processor time is that of this process and its
children, so that a program which is run is counted as a library is."""
import json, os, resource, subprocess, sys, tempfile, time

name, port, password, tls = sys.argv[1:]
folder = tempfile.TemporaryDirectory()
out = os.path.join(folder.name, "out")


def freebcp():
    """FreeTDS' bulk copy into a file."""
    conf = os.path.join(folder.name, "freetds.conf")
    with open(conf, "w") as text:
        encryption = "require" if tls == "on" else "off"
        text.write(f"[sim]\nhost = 127.0.0.1\nport = {port}\ntds version = 7.4\nencryption = {encryption}\n")
    command = ["freebcp", "Main_OMS.dbo.Appointment", "out", out, "-c", "-S", "sim", "-U", "sa", "-P", password]
    done = subprocess.run(command, env=dict(os.environ, FREETDSCONF=conf), capture_output=True, text=True)
    if done.returncode:
        sys.exit("freebcp: " + ([line for line in (done.stdout + done.stderr).splitlines() if line] or ["?"])[-1])
    return lambda: sum(1 for _ in open(out, "rb"))


def pymssql():
    """FreeTDS under Python, into nothing."""
    import pymssql

    connection = pymssql.connect(server="127.0.0.1", port=port, user="sa", password=password, database="Main_OMS",
                                 encryption="require" if tls == "on" else "off")
    cursor, rows = connection.cursor(), 0
    cursor.execute("SELECT * FROM dbo.Appointment")
    while some := cursor.fetchmany(10000):
        rows += len(some)
    return lambda: rows


def connectorx():
    """Its own Rust client into Arrow, all of the table at once; pyarrow writes that as Parquet."""
    import connectorx
    import pyarrow.parquet

    encrypt = f"encrypt={str(tls == 'on').lower()}&trust_server_certificate=true"
    address = f"mssql://sa:{password}@127.0.0.1:{port}/Main_OMS?{encrypt}"
    table = connectorx.read_sql(address, "SELECT * FROM dbo.Appointment", return_type="arrow")
    pyarrow.parquet.write_table(table, out, compression="zstd")
    return lambda: table.num_rows


def dlt():
    """Its own sql_database source over SQLAlchemy and pymssql, into a folder of Parquet. The columns are told, not asked for:
    SQLAlchemy asks for foreign keys in a way that the simulator does not answer."""
    import dlt
    import sqlalchemy as sa
    from dlt.sources.sql_database import sql_table
    from sqlalchemy.dialects.mssql import DATETIME2, ROWVERSION

    for part in ["EXTRACT__DATA_WRITER", "NORMALIZE__DATA_WRITER"]:
        os.environ[part + "__BUFFER_MAX_ITEMS"] = "50000"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    engine = sa.create_engine(
        sa.URL.create("mssql+pymssql", "sa", password, "127.0.0.1", int(port), "Main_OMS"),
        connect_args={"encryption": "require" if tls == "on" else "off"})
    columns = {"AppointmentID": sa.Integer, "PatientID": sa.Integer, "ProviderID": sa.Integer, "ChairID": sa.Integer,
               "StartTime": sa.DateTime, "LengthMinutes": sa.Integer, "Status": sa.Unicode, "Reason": sa.Unicode,
               "Note": sa.Unicode, "Fee": sa.Numeric(10, 2), "CreatedAt": DATETIME2, "RowVer": ROWVERSION}
    metadata = sa.MetaData(schema="dbo")
    sa.Table("Appointment", metadata, *(sa.Column(column, kind) for column, kind in columns.items()))
    source = sql_table(engine, table="Appointment", schema="dbo", metadata=metadata, backend="pyarrow", chunk_size=50000)
    destination = dlt.destinations.filesystem("file://" + out)
    pipeline = dlt.pipeline("bench", pipelines_dir=os.path.join(folder.name, "work"), destination=destination)
    pipeline.run(source, loader_file_format="parquet")
    return lambda: pipeline.last_trace.last_normalize_info.row_counts["appointment"]


def size(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(path) for file in files)


begun = time.time()
rows = {"freebcp": freebcp, "pymssql": pymssql, "connectorx": connectorx, "dlt": dlt}[name]()
seconds = time.time() - begun
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "rows": rows(),
    "seconds": seconds,
    "cpu_seconds": sum(each.ru_utime + each.ru_stime for each in usage),
    "peak_mb": max(each.ru_maxrss for each in usage) / 1024,
    "megabytes": size(out) / 1e6,
}))
