//! SQL Server Browser: tells clients over UDP which port an instance listens on (MC-SQLR).
//!
//! Answers the one instance of this server: by name (0x04), or as the list of all (0x02, 0x03). A question for another
//! instance, for the dedicated administrator connection, or in no known form gets no answer, as from the real service.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

/// The instance a browser speaks for.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The machine's name.
    pub server: String,
    /// The instance's name; `MSSQLSERVER` is the default one.
    pub name: String,
    /// Its TCP port.
    pub port: u16,
}

/// A bound browser.
#[derive(Debug)]
pub struct Browser {
    socket: UdpSocket,
    instance: Instance,
}

impl Browser {
    /// Binds `host` and `port`; the well-known port is 1434.
    pub async fn bind(host: &str, port: u16, instance: Instance) -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind((host, port)).await?, instance })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until the future is dropped.
    pub async fn run(self) {
        let mut question = [0; QUESTION_MAX];
        loop {
            match self.socket.recv_from(&mut question).await {
                Ok((length, peer)) => {
                    if let Some(answer) = answer(&question[..length], &self.instance)
                        && let Err(error) = self.socket.send_to(&answer, peer).await
                    {
                        tracing::warn!(%peer, %error, "cannot answer a question for the instance's port");
                    }
                }
                Err(error) => tracing::debug!(%error, "an earlier answer did not arrive"),
            }
        }
    }
}

/// The instance's name in `HOST\INSTANCE`; without one it is the default instance.
pub fn instance_name(server_name: &str) -> (&str, &str) {
    server_name.split_once('\\').unwrap_or((server_name, "MSSQLSERVER"))
}

fn answer(question: &[u8], instance: &Instance) -> Option<Vec<u8>> {
    let (kind, rest) = question.split_first()?;
    let asked = match *kind {
        CLNT_BCAST_EX | CLNT_UCAST_EX => true,
        CLNT_UCAST_INST => {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            rest[..end].eq_ignore_ascii_case(instance.name.as_bytes())
        }
        _ => false,
    };
    asked.then(|| {
        let Instance { server, name, port } = instance;
        let text =
            format!("ServerName;{server};InstanceName;{name};IsClustered;No;Version;{VERSION};tcp;{port};;");
        let mut answer = vec![SVR_RESP];
        answer.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        answer.extend_from_slice(text.as_bytes());
        answer
    })
}

const VERSION: &str = "15.0.2000.5";
const QUESTION_MAX: usize = 1024;
const CLNT_BCAST_EX: u8 = 0x02;
const CLNT_UCAST_EX: u8 = 0x03;
const CLNT_UCAST_INST: u8 = 0x04;
const SVR_RESP: u8 = 0x05;

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &[u8]) -> Option<String> {
        let instance = Instance { server: "FRONT".into(), name: "EHR".into(), port: 51_000 };
        let answer = answer(question, &instance)?;
        assert_eq!(usize::from(u16::from_le_bytes([answer[1], answer[2]])), answer.len() - 3);
        Some(String::from_utf8_lossy(&answer[3..]).into_owned())
    }

    #[test]
    fn answers_for_its_own_instance_only() {
        let expected = "ServerName;FRONT;InstanceName;EHR;IsClustered;No;Version;15.0.2000.5;tcp;51000;;";
        assert_eq!(ask(b"\x04ehr\0").as_deref(), Some(expected));
        assert_eq!(ask(b"\x03").as_deref(), Some(expected));
        assert_eq!(ask(b"\x04OTHER\0"), None);
        assert_eq!(ask(b"\x0F\x01EHR\0"), None);
        assert_eq!(ask(b""), None);
    }
}
