use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use crate::channel::LocalLink;

use super::*;

const CONTENT: &[u8] = b"signed elsewhere";

/// A web server with one file; it may or may not know ranges.
fn serve(knows_ranges: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://u:secret@{}/dist", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let range = head
                .iter()
                .find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
            let from: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            let (status, body) = if !head[0].starts_with("GET /dist/targets/a ") {
                ("404 Not Found", &b""[..])
            } else if knows_ranges && from > 0 {
                ("206 Partial Content", &CONTENT[from..])
            } else {
                ("200 OK", CONTENT)
            };
            let length = body.len();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(body)).unwrap();
        }
    });
    base
}

fn source(asked: &str, options: &str) -> Result<Source, String> {
    let options = states::yaml::load(options).unwrap();
    let link = Arc::new(LocalLink) as Arc<dyn MasterLink>;
    Source::of(Some(asked), &options, link, Tasks::new()).map_err(|error| error.to_string())
}

async fn whole(source: &Source, at: u64) -> Vec<u8> {
    let pieces = source.open("targets/a", at).await.unwrap().unwrap();
    pieces.map(Result::unwrap).collect::<Vec<_>>().await.concat()
}

#[tokio::test]
async fn a_file_of_a_web_server_is_read_from_any_byte_on() {
    for knows_ranges in [true, false] {
        let source = source(&serve(knows_ranges), "{}").unwrap();
        assert_eq!(whole(&source, 0).await, CONTENT);
        assert_eq!(whole(&source, 7).await, &CONTENT[7..], "ranges: {knows_ranges}");
        assert!(source.open("targets/b", 0).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_named_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let source = source(&format!("https://u:secret@{address}/dist"), "{}").unwrap();
    let Err(error) = source.open("targets/a", 0).await else { panic!("nobody listens there") };
    let (error, name) = (error.to_string(), source.to_string());
    assert!(error.contains(&address.to_string()) && !error.contains("secret"), "{error}");
    assert_eq!(name, format!("https://<redacted>@{address}/dist"));
}

#[test]
fn a_source_that_is_none_says_what_is_missing() {
    assert_eq!(source("salt://release/", "{}").unwrap().to_string(), "the master");
    let error = source("ftp://u:secret@h/x", "{}").unwrap_err();
    assert!(error.contains("s3://bucket/prefix") && !error.contains("secret"), "{error}");
    let error = source("s3://b/dist", "{}").unwrap_err();
    assert!(error.contains("access_key_id") && error.contains("agent:release:object_store"), "{error}");
    let keys = "{access_key_id: k, secret_access_key: hunter2, endpoint: 'https://s3.example'}";
    let Ok(Source::Bucket { prefix, place, .. }) = source("s3://b/dist/", keys) else { panic!("no bucket") };
    assert_eq!((prefix.as_str(), place.as_str()), ("dist", "s3://b/dist"));
}
