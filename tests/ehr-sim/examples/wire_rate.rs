//! How fast the wire is apart from the engine: a million rows of twelve columns, encoded and carried over a loopback
//! socket to a reader that only counts bytes. Prints rows a second of wall time and of the server's CPU.
//!
//! `cargo run --release -p ehr-sim --example wire_rate [ROWS] [PACKET_SIZE]`

#![expect(clippy::print_stdout, reason = "prints what it measured")]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use ehr_sim::data::dolphin;
use ehr_sim::tds::output::{CHUNKS, PacketOutput, ResponseContext};
use ehr_sim::types::{Cancel, Column, Datum, Done, DoneKind, Length, Output, SqlType};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let packet_size = arguments.next().map_or(Ok(4096), |text| text.parse())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let reader = std::thread::spawn(move || count_bytes(TcpStream::connect(address)?));
    let (socket, _) = listener.accept()?;
    let sample: Vec<Vec<Datum>> = sample().collect();
    let started = Instant::now();
    serve(socket, sample, rows, packet_size)?;
    let wall = started.elapsed().as_secs_f64();
    let bytes = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    println!(
        "{rows} rows, {:.1} MB, packets of {packet_size}: {:.2} s, {:.2} million rows/s, {:.0} MB/s",
        bytes as f64 / 1e6,
        wall,
        rows as f64 / wall / 1e6,
        bytes as f64 / wall / 1e6
    );
    Ok(())
}

fn sample() -> impl Iterator<Item = Vec<Datum>> {
    let appointments =
        dolphin::profile(2000, 1).tables.into_iter().find(|table| table.table == "dbo.Appointment");
    appointments.into_iter().flat_map(|table| table.rows).enumerate().map(|(index, mut row)| {
        row[11] = Datum::RowVersion(index as u64 + 2001);
        row
    })
}

fn serve(
    socket: std::net::TcpStream,
    sample: Vec<Vec<Datum>>,
    rows: u64,
    packet_size: usize,
) -> anyhow::Result<()> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (chunks, mut written) = mpsc::channel(CHUNKS);
    let context = ResponseContext { packet_size, spid: 51, server: Arc::from("EHRSIM") };
    let producer = std::thread::spawn(move || {
        produce(PacketOutput::new(&context, chunks, Cancel::new()), &sample, rows)
    });
    runtime.block_on(async {
        let mut socket = tokio::net::TcpStream::from_std(socket)?;
        while let Some(chunk) = written.recv().await {
            socket.write_all(&chunk).await?;
        }
        socket.shutdown().await
    })?;
    producer.join().ok().flatten().context("the producer stopped early")
}

fn produce(mut output: PacketOutput, sample: &[Vec<Datum>], rows: u64) -> Option<()> {
    output.columns(&columns()).ok()?;
    for row in sample.iter().cycle().take(usize::try_from(rows).ok()?) {
        output.row(row).ok()?;
    }
    let done = Done { kind: DoneKind::Statement, count: Some(rows), error: false, command: 0xC1 };
    output.done(done).ok()?;
    output.finish().ok().map(|_| ())
}

fn columns() -> Vec<Column> {
    let column = |name: &str, ty: SqlType, nullable: bool| Column {
        name: name.into(),
        ty,
        nullable,
        identity: false,
        computed: false,
    };
    vec![
        column("AppointmentID", SqlType::Int, false),
        column("PatientID", SqlType::Int, false),
        column("ProviderID", SqlType::Int, false),
        column("ChairID", SqlType::Int, false),
        column("StartTime", SqlType::DateTime, false),
        column("LengthMinutes", SqlType::Int, false),
        column("Status", SqlType::NVarChar(Length::Of(20)), false),
        column("Reason", SqlType::NVarChar(Length::Of(100)), true),
        column("Note", SqlType::NVarChar(Length::Max), true),
        column("Fee", SqlType::Decimal { precision: 10, scale: 2 }, false),
        column("CreatedAt", SqlType::DateTime2(3), false),
        column("RowVer", SqlType::RowVersion, false),
    ]
}

fn count_bytes(mut socket: TcpStream) -> std::io::Result<u64> {
    let (mut buffer, mut total) = (vec![0; 256 << 10], 0);
    loop {
        match socket.read(&mut buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}
