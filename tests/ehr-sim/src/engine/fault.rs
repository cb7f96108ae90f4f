//! Faults on command: a slow disk, a full log, a lock nobody releases, an expired or locked-out login, a restart.
//!
//! What SQL Server itself can be told is left to T-SQL (KILL, ALTER TABLE, ALTER LOGIN ... DISABLE, ALTER DATABASE ...
//! SET OFFLINE). What only the world around a server does to it is asked for here: from a test with
//! [`Engine::inject`], from any client of a sysadmin with `EXEC sys.xp_ehrsim_fault @fault, @subject, @milliseconds`,
//! or from the command line with `ehr-sim fault`. SQL Server knows no such procedure and answers 2812.
//!
//! Every fault shows as it does on SQL Server: waits in the dynamic management views, 9002, 18487, 18486, 1222.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use thiserror::Error;

use super::Engine;
use super::instance::{Activity, Connected, Instance, OpenTransaction};
use super::principal;
use super::spent::Spent;
use super::storage::lock::{Mode, Resource, Waiter};
use super::storage::schema::Object;
use super::storage::{TxnId, guard};
use crate::types::Cancel;

/// A fault to bring about, or to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every page read and every commit takes this much longer; zero ends it.
    SlowDisk(Duration),
    /// Writes to the database fail with 9002.
    FillLog(String),
    /// There is room in the log again.
    FreeLog(String),
    /// A session that does nothing holds an exclusive lock on `database.schema.table`.
    HoldLock(String),
    /// Every lock held on command is released.
    ReleaseLocks,
    /// Change Tracking forgets every change so far, as when they are past retention.
    CleanTracking(String),
    /// The login's password has expired (18487) until ALTER LOGIN gives it another.
    ExpirePassword(String),
    /// The login is locked out (18486) until ALTER LOGIN unlocks it.
    LockLogin(String),
    /// Connections break, open transactions roll back, and clients are refused for this long.
    Restart(Duration),
}

/// Why a fault was not brought about.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FaultError {
    /// No fault has this name.
    #[error("there is no fault '{0}'; the faults are {NAMES}")]
    Unknown(String),
    /// No database has this name.
    #[error("there is no database '{0}'")]
    Database(String),
    /// No table has this name.
    #[error("there is no table '{0}'; name it as database.schema.table")]
    Table(String),
    /// No login has this name.
    #[error("there is no login '{0}'")]
    Login(String),
    /// The lock was not free before the caller gave up.
    #[error("the lock on '{0}' was not granted")]
    Lock(String),
}

/// The faults, as the command line and the procedure name them.
pub const NAMES: &str = "slow-disk, fill-log, free-log, hold-lock, release-locks, clean-tracking, expire-password, lock-login, restart";

impl Fault {
    /// Reads a fault as `sys.xp_ehrsim_fault` takes it.
    pub fn parse(name: &str, subject: &str, milliseconds: u64) -> Result<Self, FaultError> {
        let (subject, duration) = (subject.to_owned(), Duration::from_millis(milliseconds));
        Ok(match name {
            "slow-disk" => Self::SlowDisk(duration),
            "fill-log" => Self::FillLog(subject),
            "free-log" => Self::FreeLog(subject),
            "hold-lock" => Self::HoldLock(subject),
            "release-locks" => Self::ReleaseLocks,
            "clean-tracking" => Self::CleanTracking(subject),
            "expire-password" => Self::ExpirePassword(subject),
            "lock-login" => Self::LockLogin(subject),
            "restart" => Self::Restart(duration),
            _ => return Err(FaultError::Unknown(name.to_owned())),
        })
    }

    /// The statement that asks a server for it.
    pub fn statement(&self) -> String {
        let (name, subject, duration) = match self {
            Self::SlowDisk(delay) => ("slow-disk", "", *delay),
            Self::FillLog(database) => ("fill-log", database.as_str(), Duration::ZERO),
            Self::FreeLog(database) => ("free-log", database.as_str(), Duration::ZERO),
            Self::HoldLock(table) => ("hold-lock", table.as_str(), Duration::ZERO),
            Self::ReleaseLocks => ("release-locks", "", Duration::ZERO),
            Self::CleanTracking(database) => ("clean-tracking", database.as_str(), Duration::ZERO),
            Self::ExpirePassword(login) => ("expire-password", login.as_str(), Duration::ZERO),
            Self::LockLogin(login) => ("lock-login", login.as_str(), Duration::ZERO),
            Self::Restart(down) => ("restart", "", *down),
        };
        let subject = subject.replace('\'', "''");
        format!("EXEC sys.xp_ehrsim_fault N'{name}', N'{subject}', {}", duration.as_millis())
    }
}

/// Called with how long the server shall be down.
pub type RestartHook = Box<dyn Fn(Duration) + Send + Sync>;

/// The faults in force.
#[derive(Default)]
pub struct FaultState {
    disk_delay: AtomicU64,
    on_restart: Mutex<Vec<RestartHook>>,
    holders: Mutex<Vec<(u16, TxnId)>>,
}

impl std::fmt::Debug for FaultState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultState(disk_delay: {:?})", self.disk_delay())
    }
}

impl FaultState {
    /// How much longer a page read or a commit takes.
    pub fn disk_delay(&self) -> Duration {
        Duration::from_millis(self.disk_delay.load(Ordering::Relaxed))
    }

    /// A server that can restart.
    pub fn on_restart(&self, hook: RestartHook) {
        guard(&self.on_restart).push(hook);
    }
}

impl Engine {
    /// Brings a fault about, or ends one.
    pub fn inject(&self, fault: &Fault) -> Result<(), FaultError> {
        inject(&self.instance, fault, &Cancel::new())
    }

    /// Calls `hook` when a restart is asked for.
    pub fn on_restart(&self, hook: RestartHook) {
        self.instance.faults.on_restart(hook);
    }

    /// Begins anew, as after a restart: sessions end, their transactions roll back, what lived in memory is gone.
    pub fn restart(&self) {
        self.instance.restart();
    }
}

/// Brings a fault about for a caller that may give up waiting.
pub fn inject(instance: &Arc<Instance>, fault: &Fault, cancel: &Cancel) -> Result<(), FaultError> {
    let database = |name: &String| instance.database(name).ok_or_else(|| FaultError::Database(name.clone()));
    match fault {
        Fault::SlowDisk(delay) => {
            let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
            instance.faults.disk_delay.store(milliseconds, Ordering::Relaxed);
        }
        Fault::FillLog(name) => database(name)?.set_log_full(true),
        Fault::FreeLog(name) => database(name)?.set_log_full(false),
        Fault::HoldLock(table) => hold_lock(instance, table, cancel)?,
        Fault::ReleaseLocks => instance.release_fault_locks(),
        Fault::CleanTracking(name) => {
            let metadata = database(name)?.metadata.read(None);
            let tracked = metadata.tables().filter_map(|table| table.info.tracking.as_ref());
            tracked.for_each(|tracking| guard(tracking).forget());
        }
        Fault::ExpirePassword(login) => change_login(instance, login, |l| l.expired = true)?,
        Fault::LockLogin(login) => change_login(instance, login, |l| l.locked = true)?,
        Fault::Restart(down) => {
            let hooks = guard(&instance.faults.on_restart);
            hooks.iter().for_each(|hook| hook(*down));
            if hooks.is_empty() {
                instance.restart();
            }
        }
    }
    Ok(())
}

fn change_login(
    instance: &Instance,
    name: &str,
    change: impl FnOnce(&mut principal::Login),
) -> Result<(), FaultError> {
    let txn = instance.next_transaction();
    let mut server = (*instance.server.read(None)).clone();
    let id = server.login(name).ok_or_else(|| FaultError::Login(name.to_owned()))?.id;
    if let Some(login) = server.logins.get_mut(&id) {
        change(login);
    }
    instance.server.write(txn, server);
    instance.server.commit(txn);
    Ok(())
}

/// An idle session with an open transaction takes the table's X lock; KILL ends it like any other.
fn hold_lock(instance: &Arc<Instance>, name: &str, cancel: &Cancel) -> Result<(), FaultError> {
    let missing = || FaultError::Table(name.to_owned());
    let [database, schema, table]: [String; 3] =
        super::functions::split_name(name).and_then(|n| n.0.try_into().ok()).ok_or_else(missing)?;
    let database = instance.database(&database).ok_or_else(missing)?;
    let metadata = database.metadata.read(None);
    let object = metadata.schema(&schema).and_then(|s| metadata.object(s.id, &table)).ok_or_else(missing)?;
    let Object::Table(table) = object else { return Err(missing()) };
    let txn = instance.next_transaction();
    let connected = holder(instance, database.id, txn);
    let waiter = Waiter {
        txn,
        spid: connected.spid,
        timeout: None,
        priority: 0,
        cost: 0,
        cancel: cancel.clone(),
        waits: connected.spent.waits.clone(),
    };
    let resource = Resource::Table(table.info.object_id);
    guard(&instance.faults.holders).push((connected.spid, txn));
    if instance.locks.acquire(&waiter, resource, Mode::Exclusive).is_err() {
        instance.end_holder(connected.spid);
        return Err(FaultError::Lock(name.to_owned()));
    }
    let (weak, spid): (Weak<Instance>, u16) = (Arc::downgrade(instance), connected.spid);
    // The hook lives as long as the session, which ends with it.
    std::mem::forget(connected.killed.on_cancel(move || {
        if let Some(instance) = weak.upgrade() {
            instance.end_holder(spid);
        }
    }));
    Ok(())
}

fn holder(instance: &Instance, database: u16, txn: TxnId) -> Arc<Connected> {
    let now = instance.now_datetime();
    let name = "user_transaction".to_owned();
    instance.connect(|spid| Connected {
        spid,
        login_id: principal::SA,
        login: "sa".into(),
        host: "FRONTDESK".into(),
        program: "Vendor service".into(),
        library: "ehr-sim".into(),
        client_pid: 0,
        client_address: String::new(),
        packet_size: 4096,
        encrypted: false,
        login_time: now,
        killed: Cancel::new(),
        activity: Mutex::new(Activity {
            database,
            running: false,
            command: "AWAITING COMMAND",
            request_start: now,
            request_end: Some(now),
            isolation: 2,
            lock_timeout: -1,
            deadlock_priority: 0,
            transaction: Some(OpenTransaction { id: txn, name, began: now, user: true }),
            row_count: 0,
            cancel: None,
            wait: None,
        }),
        spent: Spent::default(),
    })
}

impl Instance {
    fn end_holder(&self, spid: u16) {
        let mut holders = guard(&self.faults.holders);
        let Some(at) = holders.iter().position(|(held, _)| *held == spid) else { return };
        let (_, txn) = holders.swap_remove(at);
        drop(holders);
        self.locks.release_all(txn);
        self.disconnect(spid);
    }

    fn release_fault_locks(&self) {
        let spids: Vec<u16> = guard(&self.faults.holders).iter().map(|(spid, _)| *spid).collect();
        spids.into_iter().for_each(|spid| self.end_holder(spid));
    }

    /// Ends every session, waits until clients' ones have rolled back, and forgets what lived in memory.
    fn restart(&self) {
        self.release_fault_locks();
        for connected in guard(&self.sessions).values() {
            connected.killed.cancel();
            if let Some(cancel) = guard(&connected.activity).cancel.clone() {
                cancel.cancel();
            }
        }
        let never = Cancel::new();
        let remote = || guard(&self.sessions).values().any(|c| !c.client_address.is_empty());
        for _ in 0..ROLLBACK_STEPS {
            if !remote() {
                break;
            }
            never.wait_timeout(ROLLBACK_STEP);
        }
        self.begin_anew();
    }
}

const ROLLBACK_STEP: Duration = Duration::from_millis(5);
const ROLLBACK_STEPS: u32 = 6000;
