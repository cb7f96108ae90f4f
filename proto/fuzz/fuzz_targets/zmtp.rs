//! A peer's byte stream, cut into pieces. The first two bytes choose our role and the size of the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::zmtp::{Config, Engine, SocketType};

fuzz_target!(|bytes: &[u8]| {
    let [role, size, stream @ ..] = bytes else { return };
    let socket = [SocketType::Sub, SocketType::Req, SocketType::Dealer][usize::from(*role) % 3].clone();
    let mut engine = Engine::new(Config::new(socket));
    for piece in stream.chunks(usize::from(*size).max(1)) {
        let received = engine.receive(piece);
        while engine.poll().is_some() {}
        let _ = engine.outgoing();
        if received.is_err() {
            return;
        }
    }
});
