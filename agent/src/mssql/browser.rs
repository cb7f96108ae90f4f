//! Asks SQL Browser for the TCP port of a named instance.
//!
//! One UDP datagram to port 1434: `0x04` and the instance name; the answer is `0x05`, a length and a text of
//! `key;value;` pairs (Microsoft, MC-SQLR).

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The port, or why it is unknown.
pub(super) async fn port_of(host: &str, instance: &str) -> Result<u16, String> {
    for _ in 0..ATTEMPTS {
        match timeout(REPLY_TIMEOUT, ask(host, instance)).await {
            Ok(Ok(reply)) => {
                return parse(&reply)
                    .ok_or_else(|| format!("SQL Browser knows no TCP port of instance {instance}"));
            }
            Ok(Err(error)) => return Err(format!("SQL Browser on UDP 1434: {error}")),
            Err(_) => {}
        }
    }
    Err(format!("SQL Browser (UDP 1434) did not answer for instance {instance}; give mssql.port instead"))
}

async fn ask(host: &str, instance: &str) -> std::io::Result<Vec<u8>> {
    let socket = match UdpSocket::bind("0.0.0.0:0").await {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind("[::]:0").await?,
    };
    socket.connect((host, BROWSER_PORT)).await?;
    let mut request = vec![0x04];
    request.extend_from_slice(instance.as_bytes());
    request.push(0);
    socket.send(&request).await?;
    let mut reply = vec![0u8; MAX_REPLY];
    let length = socket.recv(&mut reply).await?;
    reply.truncate(length);
    Ok(reply)
}

fn parse(reply: &[u8]) -> Option<u16> {
    let (head, body) = reply.split_at_checked(3)?;
    if head[0] != 0x05 {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    let mut fields = text.split(';');
    while let Some(key) = fields.next() {
        let value = fields.next()?;
        if key.eq_ignore_ascii_case("tcp") {
            return value.parse().ok();
        }
    }
    None
}

const BROWSER_PORT: u16 = 1434;
const MAX_REPLY: usize = 4096;
const ATTEMPTS: usize = 2;
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_the_reply() {
        let mut reply = vec![0x05, 0, 0];
        reply
            .extend_from_slice(b"ServerName;S;InstanceName;X;IsClustered;No;Version;15.0.2000.5;tcp;50123;;");
        assert_eq!(parse(&reply), Some(50123));
        assert_eq!(parse(b"\x05\0\0ServerName;S;;"), None);
        assert_eq!(parse(b"\x04\0"), None);
    }
}
