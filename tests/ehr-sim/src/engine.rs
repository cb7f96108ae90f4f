//! The engine: one instance with its databases, logins and sessions. Synchronous; lock waits block the caller.
//!
//! A server owns one [`Engine`], logs clients in with [`Engine::login`] and runs each [`Session`] on a thread of
//! its own. Refuses to know packets: results flow into an [`Output`]. What is implemented behaves as SQL Server's
//! documentation says; what is not is refused with SQL Server's number (40517, 195, 102 ...), never half-answered.
//!
//! Rooms: [`lex`] and [`parse`] read T-SQL into [`ast`]; [`bind`] resolves it to a [`plan`]; [`exec`] runs plans over
//! [`storage`]; [`run`] drives statements; [`security`], [`permission`] and [`principal`] decide who may;
//! [`catalog`] shows all of it as system views; [`value`] and [`functions`] compute.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use cpu_time::ThreadTime;

use crate::types::{Cancel, ClientWait, EnvChange, LoginRequest, Output, Request, SqlMessage, Stopped};
pub use fault::{Fault, FaultError, RestartHook};
pub use load::LoadError;

use instance::{Activity, Connected, Instance};
use security::SecurityContext;
use session::SessionCore;

mod ast;
mod bind;
mod catalog;
mod exec;
mod fault;
mod functions;
mod instance;
mod lex;
mod load;
mod login;
mod message;
mod parse;
mod permission;
mod plan;
mod principal;
mod procedure;
mod run;
mod security;
mod session;
mod spent;
mod storage;
mod value;

/// What an instance is started with.
#[derive(Clone)]
pub struct EngineOptions {
    /// `@@SERVERNAME`.
    pub server_name: String,
    /// Password of `sa`.
    pub sa_password: String,
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { server_name: "EHRSIM".into(), sa_password: String::new() }
    }
}

/// One instance. Clones share it.
#[derive(Debug, Clone)]
pub struct Engine {
    instance: Arc<Instance>,
}

/// One logged-in session. Dropping it rolls back and disconnects.
#[derive(Debug)]
pub struct Session {
    core: SessionCore,
}

impl Engine {
    /// An instance with its system databases and `sa`.
    pub fn new(options: EngineOptions) -> Self {
        Self { instance: Arc::new(Instance::new(options)) }
    }

    /// Checks a login. A refusal carries the messages to send, in order.
    pub fn login(&self, request: LoginRequest) -> Result<Session, Vec<SqlMessage>> {
        let (context, database) = login::check(&self.instance, &request)?;
        Ok(self.session(request, context, database))
    }

    /// A session of `sa` for set-up inside the process; no password is asked.
    pub fn local_session(&self, program: &str) -> Session {
        let request = LoginRequest { user: "sa".into(), app_name: program.into(), ..LoginRequest::default() };
        let context =
            SecurityContext { login: principal::SA, login_name: "sa".into(), user: None, no_revert: false };
        let master = self.instance.all_databases().into_iter().next();
        let database = master.expect("invariant: an instance is made with master");
        self.session(request, context, database)
    }

    fn session(
        &self,
        request: LoginRequest,
        context: SecurityContext,
        database: Arc<storage::database::Database>,
    ) -> Session {
        let now = self.instance.now_datetime();
        let connected = self.instance.connect(|spid| Connected {
            spid,
            login_id: context.login,
            login: context.login_name.clone(),
            host: request.host_name.clone(),
            program: request.app_name.clone(),
            library: request.library.clone(),
            client_pid: request.client_pid,
            client_address: request.client_address.clone(),
            packet_size: request.packet_size,
            encrypted: request.encrypted,
            login_time: now,
            killed: Cancel::new(),
            activity: Mutex::new(Activity {
                database: database.id,
                running: false,
                command: "AWAITING COMMAND",
                request_start: now,
                request_end: None,
                isolation: 2,
                lock_timeout: -1,
                deadlock_priority: 0,
                transaction: None,
                row_count: 0,
                cancel: None,
                wait: None,
            }),
            spent: spent::Spent::default(),
        });
        Session { core: SessionCore::new(self.instance.clone(), connected, request, context, database) }
    }
}

impl Session {
    /// `@@SPID`.
    pub fn spid(&self) -> u16 {
        self.core.spid
    }

    /// The current database.
    pub fn database(&self) -> String {
        self.core.database().name.clone()
    }

    /// Set when KILL ended this session: the server closes the connection.
    pub fn killed(&self) -> Cancel {
        self.core.connected.killed.clone()
    }

    /// Shows the session as waiting while its client does not take its results.
    pub fn client_wait(&self) -> Arc<dyn ClientWait> {
        self.core.connected.clone()
    }

    /// Tells a client that just logged in its database and language (ENVCHANGE and INFO 5701, 5703).
    pub fn announce(&mut self, output: &mut dyn Output) -> Result<(), Stopped> {
        let database = self.database();
        output.env(&EnvChange::Database { new: database.clone(), old: "master".into() })?;
        output.message(&message::info(5701, 2, format!("Changed database context to '{database}'.")))?;
        output.env(&EnvChange::Language { new: "us_english".into(), old: String::new() })?;
        output.message(&message::info(5703, 1, "Changed language setting to us_english."))
    }

    /// Runs one request to its end. Every result, error included, goes to `output`.
    pub fn execute(
        &mut self,
        request: Request,
        output: &mut dyn Output,
        cancel: &Cancel,
    ) -> Result<(), Stopped> {
        let now = self.core.instance.now_datetime();
        self.core.activity(|a| {
            a.running = true;
            a.command = "SELECT";
            a.request_start = now;
            a.cancel = Some(cancel.clone());
        });
        let begun = ThreadTime::try_now().ok();
        let mut runner = run::Runner::new(&self.core, output, cancel);
        match request {
            Request::Batch(text) => runner.batch(&text),
            Request::Rpc(rpc) => runner.rpc(&rpc.procedure, rpc.params),
            Request::Transaction(request) => runner.transaction_request(&request),
        }
        let stopped = runner.stopped;
        self.core
            .connected
            .spent
            .computed(begun.and_then(|begun| begun.try_elapsed().ok()).unwrap_or_default());
        let now = self.core.instance.now_datetime();
        self.core.activity(|a| {
            a.running = false;
            a.command = "AWAITING COMMAND";
            a.request_end = Some(now);
            a.cancel = None;
        });
        if stopped { Err(Stopped) } else { Ok(()) }
    }

    /// Counts the packets in which a request came.
    pub fn received(&self, packets: u32) {
        self.core.instance.packets_received.fetch_add(packets.into(), Ordering::Relaxed);
    }

    /// RESETCONNECTION: rolls back, drops temporary objects, restores login settings.
    pub fn reset(&mut self) {
        run::end_transaction(&self.core, run::End::Rollback);
        self.core.set_tran_count(0);
        self.core.settings.replace(session::Settings::default());
        self.core.locals.borrow_mut().clear();
        self.core.variables.borrow_mut().clear();
        self.core.prepared.borrow_mut().clear();
        self.core.reset_contexts();
        self.core.connected.spent.waits.forget();
        if let Some(database) = login::start_database(&self.core.instance, &self.core.login_request) {
            self.core.set_database(database);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        run::end_transaction(&self.core, run::End::Rollback);
        self.core.instance.disconnect(self.core.spid);
    }
}

#[cfg(test)]
mod tests;
