//! Ports: 4505 and 4506 of every master, and 443 where bulk data goes.

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{Finding, PATIENCE, Verdict};
use crate::{channel::MasterAddress, config::Config};

/// Both ports of every master.
pub(super) async fn masters(config: &Config) -> Vec<Finding> {
    let port = |key: &str, default: u16| {
        config.int_opt(key).and_then(|port| u16::try_from(port).ok()).unwrap_or(default)
    };
    let (request, publish) = (port("master_port", 4506), port("publish_port", 4505));
    let mut findings = Vec::new();
    for entry in config.masters() {
        match MasterAddress::parse(&entry, request) {
            Ok(address) => {
                let what = ("requests and returns", "Salt's return port");
                findings.push(reach("master", address.host(), address.port(), what).await);
                let what = ("published jobs", "Salt's publish port");
                findings.push(reach("master", address.host(), publish, what).await);
            }
            Err(error) => findings.push(Finding::new("master", Verdict::Failed, error.to_string())),
        }
    }
    findings
}

/// HTTPS to the hosts that the configuration names.
pub(super) async fn https(config: &Config) -> Finding {
    let Some(host) = config.agent_opt("doctor:https").map(ToString::to_string) else {
        let text =
            "no host is named under `agent: {doctor: {https: HOST}}`; bulk data goes through the master";
        return Finding::new("https", Verdict::Skipped, text);
    };
    reach("https", &host, 443, ("bulk data", "HTTPS")).await
}

async fn reach(check: &str, host: &str, port: u16, (purpose, name): (&str, &str)) -> Finding {
    let check = format!("{check} {host}:{port}");
    let addresses = match timeout(PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let text = format!("the name {host} is not known here ({error}): check the DNS of this machine");
            return Finding::new(check, Verdict::Failed, text);
        }
        Err(_) => {
            return Finding::new(
                check,
                Verdict::Failed,
                format!("the DNS of this machine does not answer for {host}"),
            );
        }
    };
    let (verdict, text) = match timeout(PATIENCE, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(_)) => (Verdict::Ok, format!("reached, for {purpose}")),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => (
            Verdict::Failed,
            format!(
                "refused: nothing listens there for {purpose}, or a firewall rejects {name}; ask the operator"
            ),
        ),
        Ok(Err(error)) => (Verdict::Failed, format!("not reached ({error}): allow {name} ({port}) outward")),
        Err(_) => (
            Verdict::Failed,
            format!(
                "no answer within {} s: a firewall drops it; allow {name} ({port}) outward",
                PATIENCE.as_secs()
            ),
        ),
    };
    Finding::new(check, verdict, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tells_an_open_port_from_a_closed_one_and_from_an_unknown_name() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = open.local_addr().unwrap().port();
        let what = ("jobs", "a port");
        assert_eq!(reach("master", "127.0.0.1", port, what).await.verdict, Verdict::Ok);
        drop(open);
        let closed = reach("master", "127.0.0.1", port, what).await;
        assert!(closed.verdict == Verdict::Failed && closed.text.starts_with("refused"), "{closed}");
        let unknown = reach("master", "no-such-host.invalid", port, what).await;
        assert!(unknown.verdict == Verdict::Failed && unknown.text.contains("DNS"), "{unknown}");
    }
}
