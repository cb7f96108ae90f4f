//! The least that can answer a ping: two blocking sockets and `proto`, no job records, no targets, no queue.
//!
//! What it needs is the master's own share of a ping, the floor under every minion.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, bail};
use proto::{
    EncryptionAlgorithm, JobReturn, Map, MinionId, PrivateKey, PublishLoad, SigningAlgorithm, Value,
    auth::{Accepted, AuthSession, AuthSettings, MasterTrust, Next},
    publish::{Calls, PublishReader, UnsignedPublishes},
    zmtp::{Config, Engine, Event, SocketType},
};
use rand::rngs::OsRng;

/// Authenticates as `id` until the key is accepted, then answers every job with `true` for ever.
pub fn answer_pings(id: &str, ret_port: u16) -> Result<()> {
    let settings = settings(id)?;
    let mut requests = Socket::connect(ret_port, SocketType::Req)?;
    let accepted = loop {
        let attempt = AuthSession::new(&settings, &mut OsRng)?;
        let reply = requests.ask(attempt.request())?;
        match attempt.handle(&reply, &mut OsRng)? {
            Next::Accepted(accepted) => break accepted,
            Next::Pending => thread::sleep(Duration::from_millis(200)),
            Next::Rejected | Next::Full => bail!("the master does not take the minimal peer"),
        }
    };
    let mut publishes = Socket::connect(accepted.publish_port, SocketType::Sub)?;
    publishes.engine.subscribe(b"")?;
    publishes.flush()?;
    let Accepted { session, aes, master_key, .. } = *accepted;
    let mut reader = PublishReader::new(aes, master_key, UnsignedPublishes::Take);
    loop {
        let parts = publishes.message()?;
        let load = reader.open(parts.last().context("a message has a part")?)?;
        if load.tgt.as_str() == Some(id) {
            let sealed = session.seal("_return", pong(load)?, now(), &mut OsRng);
            requests.ask(&sealed.bytes)?;
        }
    }
}

fn settings(id: &str) -> Result<AuthSettings> {
    let key = PrivateKey::generate(2048, &mut OsRng)?;
    Ok(AuthSettings {
        id: MinionId::parse(id)?,
        public_key: key.public_key()?,
        key,
        encryption: EncryptionAlgorithm::default(),
        signing: SigningAlgorithm::default(),
        autosign_grains: None,
        trust: MasterTrust::default(),
    })
}

fn pong(load: PublishLoad) -> Result<Map> {
    let Calls::One(call) = load.calls else { bail!("the minimal peer answers single jobs") };
    let answer = JobReturn {
        jid: load.jid.to_string(),
        fun: call.fun.into(),
        fun_args: Value::List(call.arg),
        value: Value::Bool(true),
        retcode: Value::Int(0),
        success: Value::Bool(true),
        out: None,
        rest: Map::new(),
    };
    Ok(answer.into_load())
}

struct Socket {
    stream: TcpStream,
    engine: Engine,
}

impl Socket {
    fn connect(port: u16, kind: SocketType) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut socket = Self { stream, engine: Engine::new(Config::new(kind)) };
        socket.flush()?;
        loop {
            if let Event::Handshake(_) = socket.event()? {
                return Ok(socket);
            }
        }
    }

    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.engine.send(&[b"".as_slice(), request])?;
        self.flush()?;
        self.message()?.pop().ok_or_else(|| anyhow!("an empty reply"))
    }

    fn message(&mut self) -> Result<Vec<Vec<u8>>> {
        loop {
            if let Event::Message(parts) = self.event()? {
                return Ok(parts);
            }
        }
    }

    fn event(&mut self) -> Result<Event> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(event) = self.engine.poll() {
                return Ok(event);
            }
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                bail!("the master closed the connection");
            }
            self.engine.receive(&buffer[..count])?;
            self.flush()?;
        }
    }

    fn flush(&mut self) -> Result<()> {
        Ok(self.stream.write_all(&self.engine.outgoing())?)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}
