//! Releases that do not come through the master: from a web server and from a bucket that nobody here wrote.

use std::{fs, net::TcpListener, net::TcpStream, path::Path, process::Command};

use anyhow::{Result, ensure};
use tests::{
    ehr::EhrSim,
    process::Process,
    s3::S3Store,
    wait::{PATIENCE, wait_for},
};

use crate::site::{Site, comment};

#[test]
fn a_release_comes_from_a_web_server_and_from_a_bucket() -> Result<()> {
    let name = "a_release_comes_from_a_web_server_and_from_a_bucket";
    let sim = EhrSim::serve("dolphin", 20)?;
    let site = Site::start(&sim)?;
    let repository = site.path("elsewhere");
    site.offer("1.1.0", "exec \"$AGENT\" \"$@\"")?;
    fs::rename(site.master.path("salt/release"), &repository)?;
    let state = site.update("1.1.0", 120)?;
    ensure!(state["result"] == false, "the master has no repository any more: {state:#}");
    let (port, _server) = web_server(&repository, &site.path("web"))?;
    let away = site.update_from("1.1.0", &format!("http://127.0.0.1:{port}/nowhere"))?;
    ensure!(comment(&away).contains("/nowhere is refused"), "{away:#}");
    let state = site.update_from("1.1.0", &format!("http://127.0.0.1:{port}"))?;
    ensure!(state["result"] == true && site.confirmed()? == "1.1.0", "{state:#}\n{}", site.logs());

    fs::rename(&repository, site.master.path("salt/release"))?;
    site.offer("1.2.0", "exec \"$AGENT\" \"$@\"")?;
    fs::rename(site.master.path("salt/release"), &repository)?;
    let Some(store) = S3Store::start_or_skip(name)? else { return site.finish() };
    put_all(&store, &repository, "dist")?;
    let source = format!("s3://{}/dist", S3Store::BUCKET);
    let keyless = site.update_from("1.2.0", &source)?;
    ensure!(comment(&keyless).contains("access_key_id"), "{keyless:#}");
    site.master.pillar(&format!(
        "{}agent:\n  release:\n    object_store:\n      endpoint: http://127.0.0.1:{}\n      allow_http: true\n      \
         access_key_id: AKIDEXAMPLE\n      secret_access_key: of-the-store\n",
        Site::sql_of(&sim),
        store.port
    ))?;
    let state = site.update_from("1.2.0", &source)?;
    ensure!(state["result"] == true && site.confirmed()? == "1.2.0", "{state:#}\n{}", site.logs());
    site.finish()
}

/// Python's own; it knows no ranges.
fn web_server(folder: &Path, log: &Path) -> Result<(u16, Process)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"]).arg(folder);
    let server = Process::spawn("http.server", &mut command, log)?;
    wait_for("the web server answers", PATIENCE, || {
        TcpStream::connect(("127.0.0.1", port)).map(drop).map_err(|error| error.to_string())
    })?;
    Ok((port, server))
}

fn put_all(store: &S3Store, folder: &Path, key: &str) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let key = format!("{key}/{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            put_all(store, &entry.path(), &key)?;
        } else {
            store.put(&key, &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
