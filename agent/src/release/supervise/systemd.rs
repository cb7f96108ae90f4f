//! systemd's `sd_notify`: readiness, stopping, watchdog. A datagram of lines to the socket that `NOTIFY_SOCKET` names.

use std::{
    cell::Cell,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::{Duration, Instant},
};

use super::host::{Host, Severity, State};

/// The service manager behind a notification socket.
pub struct Systemd {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
    petted: Cell<Option<Instant>>,
}

impl Systemd {
    /// The manager that started this process, if it is systemd and wants to be told.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let name = std::env::var("NOTIFY_SOCKET").ok()?;
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self::new(&name, watchdog.map(Duration::from_micros))
    }

    fn new(name: &str, watchdog: Option<Duration>) -> Option<Self> {
        let address = match name.strip_prefix('@') {
            Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name).ok()?,
            None => SocketAddr::from_pathname(name).ok()?,
        };
        let socket = UnixDatagram::unbound().ok()?;
        Some(Self { socket, address, watchdog, petted: Cell::new(None) })
    }

    fn tell(&self, text: &str) {
        // A manager that is gone needs to know nothing.
        let _ = self.socket.send_to_addr(text.as_bytes(), &self.address);
    }
}

impl Host for Systemd {
    fn state(&self, state: State) {
        self.tell(match state {
            State::Running => "READY=1",
            State::Stopping => "STOPPING=1",
        });
    }

    fn alive(&self) {
        let Some(every) = self.watchdog.map(|limit| limit / 3) else { return };
        if self.petted.get().is_none_or(|last| last.elapsed() >= every) {
            self.petted.set(Some(Instant::now()));
            self.tell("WATCHDOG=1");
        }
    }

    fn note(&self, _severity: Severity, text: &str) {
        self.tell(&format!("STATUS={text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_to_a_socket_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let abstract_name = format!("agent-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, name) in
            [(by_path, path.to_str().unwrap().to_owned()), (by_name, format!("@{abstract_name}"))]
        {
            let systemd = Systemd::new(&name, Some(Duration::from_secs(3600))).unwrap();
            systemd.state(State::Running);
            systemd.alive();
            systemd.alive();
            systemd.state(State::Stopping);
            let next = || {
                let mut buffer = [0; 64];
                let length = socket.recv(&mut buffer).unwrap();
                String::from_utf8_lossy(&buffer[..length]).into_owned()
            };
            assert_eq!([next(), next(), next()], ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
        }
    }
}
