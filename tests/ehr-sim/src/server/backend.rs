//! What the wire needs of whatever executes requests: the engine, or a test's own producer of every type and token.

use std::sync::Arc;

use crate::engine::{Engine, RestartHook, Session};
use crate::types::{Cancel, ClientWait, LoginRequest, Output, Request, SqlMessage, Stopped};

/// Admits clients.
pub trait Backend: Send + Sync + 'static {
    /// Checks a login. A refusal carries the messages to send, in order.
    fn login(&self, request: LoginRequest) -> Result<Box<dyn BackendSession>, Vec<SqlMessage>>;
    /// Calls `hook` with how long to stay down when somebody wants the server restarted.
    fn on_restart(&self, _hook: RestartHook) {}
    /// Begins anew once the server has closed every connection.
    fn restart(&self) {}
}

/// Runs one client's requests, one after another, each on a thread that may block.
pub trait BackendSession: Send {
    /// `@@SPID`.
    fn spid(&self) -> u16;
    /// Tells a client that just logged in its database and language.
    fn announce(&mut self, output: &mut dyn Output) -> Result<(), Stopped>;
    /// Runs one request to its end.
    fn execute(&mut self, request: Request, output: &mut dyn Output, cancel: &Cancel) -> Result<(), Stopped>;
    /// Counts the packets in which a request came.
    fn received(&mut self, _packets: u32) {}
    /// Back to the state after login.
    fn reset(&mut self);
    /// Set when somebody ends the session from outside (KILL); an idle connection then closes without a word.
    fn killed(&self) -> Cancel {
        Cancel::new()
    }
    /// Told when a client does not take its results.
    fn client_wait(&self) -> Option<Arc<dyn ClientWait>> {
        None
    }
}

impl Backend for Engine {
    fn login(&self, request: LoginRequest) -> Result<Box<dyn BackendSession>, Vec<SqlMessage>> {
        Engine::login(self, request).map(|session| Box::new(session) as Box<dyn BackendSession>)
    }

    fn on_restart(&self, hook: RestartHook) {
        Engine::on_restart(self, hook);
    }

    fn restart(&self) {
        Engine::restart(self);
    }
}

impl BackendSession for Session {
    fn spid(&self) -> u16 {
        Session::spid(self)
    }

    fn announce(&mut self, output: &mut dyn Output) -> Result<(), Stopped> {
        Session::announce(self, output)
    }

    fn execute(&mut self, request: Request, output: &mut dyn Output, cancel: &Cancel) -> Result<(), Stopped> {
        Session::execute(self, request, output, cancel)
    }

    fn received(&mut self, packets: u32) {
        Session::received(self, packets);
    }

    fn reset(&mut self) {
        Session::reset(self);
    }

    fn killed(&self) -> Cancel {
        Session::killed(self)
    }

    fn client_wait(&self) -> Option<Arc<dyn ClientWait>> {
        Some(Session::client_wait(self))
    }
}
