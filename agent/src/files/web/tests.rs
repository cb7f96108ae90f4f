use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::*;

/// A web server with one file, which breaks the first connections off after some bytes.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn serve(content: &'static [u8], breaks: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/dist/tool.bin", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (log, broken) = (Arc::clone(&asked), AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let cut = broken.fetch_add(1, Ordering::SeqCst) < breaks;
            answer(stream, content, cut, &log);
        }
    });
    Server { url, asked }
}

fn answer(mut stream: TcpStream, content: &[u8], cut: bool, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut from) = (String::new(), 0);
    let mut first = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if first.is_empty() {
            first.clone_from(&line);
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim().trim_end_matches('-').parse().unwrap();
        }
        line.clear();
    }
    log.lock().unwrap().push(format!("{} from {from}", first.split(' ').nth(1).unwrap_or_default()));
    if !first.contains("/dist/tool.bin") {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let body = &content[from..];
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(if cut { &body[..body.len() / 2] } else { body });
}

fn hash_of(content: &[u8]) -> SourceHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    SourceHash::parse(&crate::files::hex(digest.as_ref())).unwrap()
}

fn files(folder: &Path) -> WebFiles {
    WebFiles::new(folder, Tasks::new())
}

const CONTENT: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

#[tokio::test]
async fn goes_on_where_a_transfer_broke_off_and_asks_no_more_once_it_has_the_file() {
    let (folder, server) = (tempfile::tempdir().unwrap(), serve(CONTENT, 1));
    let files = files(folder.path());
    let wanted = hash_of(CONTENT);
    let place = files.cache("base", &server.url, Some(&wanted)).await.unwrap();
    assert_eq!(fs::read(&place).unwrap(), CONTENT);
    assert_eq!(*server.asked.lock().unwrap(), ["/dist/tool.bin from 0", "/dist/tool.bin from 18"]);
    files.cache("base", &server.url, Some(&wanted)).await.unwrap();
    assert_eq!(server.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn refuses_a_file_that_is_not_the_promised_one_and_keeps_the_old() {
    let (folder, server) = (tempfile::tempdir().unwrap(), serve(CONTENT, 0));
    let files = files(folder.path());
    let place = files.cache("base", &server.url, None).await.unwrap();
    let error = files.cache("base", &server.url, Some(&hash_of(b"other"))).await.unwrap_err();
    assert!(matches!(error, WebError::Hash { .. }), "{error}");
    assert_eq!(fs::read(&place).unwrap(), CONTENT);
    assert!(!place.with_file_name(".tool.bin.part").exists());
}

#[tokio::test]
async fn a_missing_file_is_named_with_its_status() {
    let (folder, server) = (tempfile::tempdir().unwrap(), serve(CONTENT, 0));
    let url = server.url.replace("tool", "nope");
    let error = files(folder.path()).cache("base", &url, None).await.unwrap_err().to_string();
    assert_eq!(error, format!("Failed to cache {url}: Error: HTTP 404: Not Found reading {url}"));
}

#[tokio::test]
async fn concurrent_runs_fetch_a_file_once() {
    let (folder, server) = (tempfile::tempdir().unwrap(), serve(CONTENT, 0));
    let files = files(folder.path());
    let wanted = hash_of(CONTENT);
    let runs = (0..8).map(|_| files.cache("base", &server.url, Some(&wanted)));
    for place in futures_util::future::join_all(runs).await {
        assert_eq!(fs::read(place.unwrap()).unwrap(), CONTENT);
    }
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[test]
fn a_place_stays_below_the_cache_and_shows_no_password() {
    let files = WebFiles::new(Path::new("/c"), Tasks::new());
    assert_eq!(
        files.place("base", "https://u:secret@h:8443/../a/b.zip?x=1"),
        Path::new("/c/extrn_files/base/h_8443/a/b.zip_x=1")
    );
}
