//! An S3 store nobody here wrote: moto's server, with one bucket.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{process::Process, scratch::Scratch, skip::skipped, wait::wait_for};

/// A running moto with the bucket [`S3Store::BUCKET`]; it ends with this value.
pub struct S3Store {
    /// Where it listens.
    pub port: u16,
    _server: Process,
    _folder: Scratch,
}

impl S3Store {
    /// Its bucket.
    pub const BUCKET: &str = "batches";

    /// Starts it; `None`, said aloud for the case `name`, where moto is not installed.
    pub fn start_or_skip(name: &str) -> Result<Option<Self>> {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        let program = cache.unwrap_or_default().join("salt-peers/s3/bin/moto_server");
        if !program.exists() {
            skipped(name, "moto's server is not there: tests/setup-s3")?;
            return Ok(None);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let folder = Scratch::new()?;
        let server = Process::spawn("moto_server", &mut command, &folder.join("moto"))?;
        let store = Self { port, _server: server, _folder: folder };
        wait_for("moto answers", Duration::from_secs(120), || {
            TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
        })?;
        store.put("", b"")?;
        Ok(Some(store))
    }

    /// Head and body of an answer.
    pub fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<(String, Vec<u8>)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let (port, length) = (self.port, body.len());
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAuthorization: {READER}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
        Ok((String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec()))
    }

    /// An object; `None` when it is not there.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let (head, body) = self.ask("GET", &path(key), b"")?;
        Ok(head.lines().next().is_some_and(|line| line.contains(" 200 ")).then_some(body))
    }

    /// Puts an object; the bucket itself when the key is empty.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let (head, _) = self.ask("PUT", path(key).trim_end_matches('/'), content)?;
        ensure!(head.lines().next().is_some_and(|line| line.contains(" 200 ")), "{head}");
        Ok(())
    }

    /// The keys of the bucket, in their order.
    pub fn keys(&self) -> Result<Vec<String>> {
        let listing = self.ask("GET", &format!("/{}?list-type=2&max-keys=1000", Self::BUCKET), b"")?.1;
        let listing = String::from_utf8(listing)?;
        let keys = listing.split("<Key>").skip(1);
        Ok(keys.filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned())).collect())
    }
}

fn path(key: &str) -> String {
    format!("/{}/{}", S3Store::BUCKET, key.replace('%', "%25"))
}

/// Whoever looks at the bucket. moto wants somebody to be named and does not check the signature.
const READER: &str =
    "AWS4-HMAC-SHA256 Credential=READER/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
