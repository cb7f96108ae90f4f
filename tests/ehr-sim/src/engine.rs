//! The engine: one instance with its databases, logins and sessions. Synchronous; lock waits block the caller.
//!
//! A server owns one [`Engine`], logs clients in with [`Engine::login`] and runs each [`Session`] on a thread of
//! its own. Refuses to know packets: results flow into an [`Output`].

use crate::types::{Cancel, LoginRequest, Output, Request, SqlMessage, Stopped};

/// What an instance is started with.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// `@@SERVERNAME`.
    pub server_name: String,
    /// Password of `sa`.
    pub sa_password: String,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { server_name: "EHRSIM".into(), sa_password: String::new() }
    }
}

/// One instance. Clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    options: EngineOptions,
}

/// One logged-in session.
#[derive(Debug)]
pub struct Session {
    spid: u16,
}

impl Engine {
    /// An instance with its system databases and `sa`.
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// Checks a login. A refusal carries the messages to send, in order.
    pub fn login(&self, request: LoginRequest) -> Result<Session, Vec<SqlMessage>> {
        let _ = &self.options;
        Err(vec![SqlMessage {
            number: 18456,
            state: 5,
            class: 14,
            text: format!("Login failed for user '{}'.", request.user),
            line: 1,
            procedure: String::new(),
        }])
    }
}

impl Session {
    /// `@@SPID`.
    pub fn spid(&self) -> u16 {
        self.spid
    }

    /// Tells a client that just logged in its database and language (ENVCHANGE and INFO 5701, 5703).
    pub fn announce(&mut self, output: &mut dyn Output) -> Result<(), Stopped> {
        let _ = output;
        Ok(())
    }

    /// Runs one request to its end. Every result, error included, goes to `output`.
    pub fn execute(
        &mut self,
        request: Request,
        output: &mut dyn Output,
        cancel: &Cancel,
    ) -> Result<(), Stopped> {
        let _ = (request, output, cancel);
        Ok(())
    }

    /// RESETCONNECTION: rolls back, drops temporary objects, restores login settings.
    pub fn reset(&mut self) {}
}
