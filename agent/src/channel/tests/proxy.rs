//! A TCP proxy on loopback that can be told to fail.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Fair,
    /// Connections stay, are even made, but nothing comes through.
    BlackHole,
    /// What the server says is lost, what the client says arrives.
    DeafClient,
    /// Every connection is closed at once, in the middle of whatever it carries.
    Cut,
    /// Bytes come late.
    Slow,
    /// Bytes come twice.
    Doubled,
    /// The last byte of each piece is lost.
    Truncated,
}

/// A running proxy. Dropping it closes every socket.
pub struct Proxy {
    /// Where it listens.
    pub port: u16,
    weather: watch::Sender<Weather>,
    token: CancellationToken,
}

impl Proxy {
    /// Starts a proxy before a port of loopback.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            weather: watch::Sender::new(Weather::Fair),
            token: CancellationToken::new(),
        };
        let (weather, token) = (proxy.weather.subscribe(), proxy.token.clone());
        tokio::spawn(token.clone().run_until_cancelled_owned(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(token.clone().run_until_cancelled_owned(carry(client, port, weather.clone())));
            }
        }));
        proxy
    }

    /// Changes what happens to the bytes.
    pub fn turn(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

async fn carry(client: TcpStream, port: u16, weather: watch::Receiver<Weather>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut cut = weather.clone();
    tokio::select! {
        () = pipe(from_client, to_server, weather.clone(), Direction::ToServer) => {}
        () = pipe(from_server, to_client, weather, Direction::ToClient) => {}
        _ = cut.wait_for(|weather| *weather == Weather::Cut) => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

async fn pipe(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    weather: watch::Receiver<Weather>,
    direction: Direction,
) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let now = *weather.borrow();
        let bytes = match now {
            Weather::DeafClient if direction == Direction::ToClient => continue,
            Weather::BlackHole | Weather::Cut => continue,
            Weather::Fair | Weather::DeafClient => buffer[..read].to_vec(),
            Weather::Slow => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                buffer[..read].to_vec()
            }
            Weather::Doubled => buffer[..read].repeat(2),
            Weather::Truncated => buffer[..read - 1].to_vec(),
        };
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
