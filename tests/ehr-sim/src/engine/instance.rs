//! The instance: its databases, server metadata, locks, clock, and who is connected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rand::RngCore;

use super::ast::SecurableClass;
use super::fault::FaultState;
use super::message::{self, Result};
use super::permission::{Grant, GrantState};
use super::principal::{self, Login, PasswordHash, Principal, PrincipalKind, ServerMetadata, ServerRole};
use super::spent::Spent;
use super::storage::cell::Versioned;
use super::storage::database::Database;
use super::storage::lock::LockManager;
use super::storage::schema::{Metadata, Schema};
use super::storage::transaction::CommitClock;
use super::storage::{TxnId, guard};
use super::value::temporal::{self, Moment};
use super::value::text;
use crate::engine::EngineOptions;
use crate::types::{Cancel, ClientWait, DateTimeValue};

/// A connected session, as others see it.
#[derive(Debug)]
pub struct Connected {
    pub spid: u16,
    pub login_id: i32,
    pub login: String,
    pub host: String,
    pub program: String,
    pub library: String,
    pub client_pid: u32,
    pub client_address: String,
    pub packet_size: u32,
    pub encrypted: bool,
    pub login_time: DateTimeValue,
    /// Set by KILL; the server closes the connection.
    pub killed: Cancel,
    pub activity: Mutex<Activity>,
    /// What it has cost.
    pub spent: Spent,
}

impl Connected {
    /// Does what makes the session wait for something but a lock, seen and counted as `kind`.
    pub fn waiting<T>(&self, kind: &'static str, wait: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        guard(&self.activity).wait = Some((kind, begun));
        let done = wait();
        self.spent.waits.note(kind.to_owned(), begun.elapsed());
        guard(&self.activity).wait = None;
        done
    }
}

impl ClientWait for Connected {
    fn wait(&self, send: &mut dyn FnMut()) {
        self.waiting("ASYNC_NETWORK_IO", send);
    }
}

/// What a session is doing.
#[derive(Debug, Clone)]
pub struct Activity {
    pub database: u16,
    pub running: bool,
    pub command: &'static str,
    pub request_start: DateTimeValue,
    pub request_end: Option<DateTimeValue>,
    pub isolation: i16,
    pub lock_timeout: i64,
    pub deadlock_priority: i32,
    pub transaction: Option<OpenTransaction>,
    pub row_count: i64,
    pub cancel: Option<Cancel>,
    /// What it waits for besides locks, and since when.
    pub wait: Option<(&'static str, Instant)>,
}

/// A session's open transaction.
#[derive(Debug, Clone)]
pub struct OpenTransaction {
    pub id: TxnId,
    pub name: String,
    pub began: DateTimeValue,
    pub user: bool,
}

#[derive(Debug)]
pub struct Instance {
    pub options: EngineOptions,
    pub databases: RwLock<Vec<Arc<Database>>>,
    pub server: Versioned<ServerMetadata>,
    pub locks: LockManager,
    pub clock: CommitClock,
    pub sessions: Mutex<BTreeMap<u16, Arc<Connected>>>,
    started: Mutex<Moment>,
    pub faults: FaultState,
    /// Packets in which requests came; those of logins and of attentions to a running request are not counted.
    pub packets_received: AtomicU64,
    transactions: AtomicU64,
    ranges: AtomicU64,
    objects: AtomicI32,
}

/// First session id of a user; lower ones are the server's own.
const FIRST_SPID: u16 = 51;

impl Instance {
    pub fn new(options: EngineOptions) -> Self {
        let started = now();
        let stamp = as_datetime(started);
        let instance = Self {
            server: Versioned::new(server_metadata(&options, stamp)),
            options,
            databases: RwLock::default(),
            locks: LockManager::default(),
            clock: CommitClock::default(),
            sessions: Mutex::default(),
            started: Mutex::new(started),
            faults: FaultState::default(),
            packets_received: AtomicU64::new(0),
            transactions: AtomicU64::new(1),
            ranges: AtomicU64::new(1),
            objects: AtomicI32::new(FIRST_OBJECT),
        };
        for (id, name) in [(1, "master"), (2, "tempdb"), (3, "model"), (4, "msdb")] {
            instance.add_database(Database::new(id, name, stamp, SA_SID.to_vec(), instance.new_metadata(id)));
        }
        instance
    }

    pub fn now(&self) -> Moment {
        now()
    }

    pub fn now_datetime(&self) -> DateTimeValue {
        as_datetime(now())
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        rand::thread_rng().fill_bytes(&mut bytes);
        bytes
    }

    pub fn next_transaction(&self) -> TxnId {
        TxnId(self.transactions.fetch_add(1, Ordering::Relaxed))
    }

    /// Tells one key range from another.
    pub fn next_range(&self) -> u64 {
        self.ranges.fetch_add(1, Ordering::Relaxed)
    }

    pub fn next_object(&self) -> i32 {
        self.objects.fetch_add(16, Ordering::Relaxed)
    }

    pub fn add_database(&self, database: Database) -> Arc<Database> {
        let database = Arc::new(database);
        self.databases.write().unwrap_or_else(PoisonError::into_inner).push(database.clone());
        database
    }

    pub fn all_databases(&self) -> Vec<Arc<Database>> {
        self.databases.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn database(&self, name: &str) -> Option<Arc<Database>> {
        self.all_databases().into_iter().find(|d| text::equal(&d.name, name))
    }

    pub fn database_by_id(&self, id: u16) -> Option<Arc<Database>> {
        self.all_databases().into_iter().find(|d| d.id == id)
    }

    /// Creates a database owned by a login.
    pub fn create_database(&self, name: &str, owner_sid: Vec<u8>) -> Result<Arc<Database>> {
        let mut databases = self.databases.write().unwrap_or_else(PoisonError::into_inner);
        if databases.iter().any(|d| text::equal(&d.name, name)) {
            return Err(message::database_exists(name));
        }
        let id = databases.iter().map(|d| d.id).max().unwrap_or(4) + 1;
        let metadata = self.new_metadata(id);
        let database = Arc::new(Database::new(id, name, as_datetime(now()), owner_sid, metadata));
        databases.push(database.clone());
        Ok(database)
    }

    pub fn remove_database(&self, id: u16) {
        self.databases.write().unwrap_or_else(PoisonError::into_inner).retain(|d| d.id != id);
    }

    /// Registers a session under the lowest free id.
    pub fn connect(&self, build: impl FnOnce(u16) -> Connected) -> Arc<Connected> {
        let mut sessions = guard(&self.sessions);
        let spid = (FIRST_SPID..).find(|id| !sessions.contains_key(id)).unwrap_or(FIRST_SPID);
        let connected = Arc::new(build(spid));
        sessions.insert(spid, connected.clone());
        connected
    }

    /// When the instance began.
    pub fn started(&self) -> Moment {
        *guard(&self.started)
    }

    /// A new tempdb, no counts of index use, and a new start time.
    pub fn begin_anew(&self) {
        *guard(&self.started) = now();
        let tempdb = Database::new(2, "tempdb", self.now_datetime(), SA_SID.to_vec(), self.new_metadata(2));
        let mut databases = self.databases.write().unwrap_or_else(PoisonError::into_inner);
        for database in databases.iter_mut() {
            if database.id == 2 {
                *database = Arc::new(tempdb);
                break;
            }
        }
        let tables = databases.iter().map(|d| d.metadata.read(None));
        tables.for_each(|metadata| metadata.tables().for_each(|t| t.usage.clear()));
    }

    /// Sessions whose current database it is, but one's own.
    pub fn users_of(&self, database: u16, own: u16) -> Vec<Arc<Connected>> {
        let sessions = guard(&self.sessions);
        let inside = |c: &&Arc<Connected>| c.spid != own && guard(&c.activity).database == database;
        sessions.values().filter(inside).cloned().collect()
    }

    pub fn disconnect(&self, spid: u16) {
        guard(&self.sessions).remove(&spid);
    }

    /// Everything a new database starts with: schemas, fixed roles, dbo and guest.
    fn new_metadata(&self, id: u16) -> Metadata {
        let stamp = as_datetime(self.started());
        let mut metadata = Metadata::default();
        let schemas = [
            (1, "dbo", principal::DBO),
            (2, "guest", principal::GUEST),
            (3, "INFORMATION_SCHEMA", 3),
            (4, "sys", 4),
        ];
        let fixed = principal::DATABASE_ROLES.iter().filter(|(id, _)| *id >= principal::DB_OWNER);
        let roles = fixed.map(|(id, name)| (*id, *name, *id));
        for (id, name, owner) in schemas.into_iter().chain(roles) {
            metadata.schemas.insert(text::fold_name(name), Schema { id, name: name.to_owned(), owner });
        }
        let users =
            [(principal::DBO, "dbo"), (principal::GUEST, "guest"), (3, "INFORMATION_SCHEMA"), (4, "sys")];
        for (id, name) in users {
            let sid = match id {
                principal::DBO => Some(SA_SID.to_vec()),
                principal::GUEST => Some(vec![0]),
                _ => None,
            };
            metadata.principals.list.insert(id, fixed_principal(id, name, PrincipalKind::User, sid, stamp));
        }
        for (id, name) in principal::DATABASE_ROLES {
            metadata.principals.list.insert(id, fixed_principal(id, name, PrincipalKind::Role, None, stamp));
        }
        // dbo may always connect; guest may in the system databases that everybody uses.
        let connects = [Some(principal::DBO), [1, 2, 4].contains(&id).then_some(principal::GUEST)];
        for grantee in connects.into_iter().flatten() {
            metadata.grants.set(Grant {
                class: SecurableClass::Database,
                major: 0,
                minor: 0,
                permission: "CONNECT",
                grantee,
                grantor: principal::DBO,
                state: GrantState::Grant,
            });
        }
        metadata
    }
}

fn fixed_principal(
    id: i32,
    name: &str,
    kind: PrincipalKind,
    sid: Option<Vec<u8>>,
    stamp: DateTimeValue,
) -> Principal {
    Principal {
        id,
        name: name.to_owned(),
        kind,
        sid,
        without_login: false,
        default_schema: (id == principal::DBO).then(|| "dbo".to_owned()),
        owner: (kind == PrincipalKind::Role).then_some(principal::DBO),
        fixed: true,
        created: stamp,
        modified: stamp,
    }
}

fn server_metadata(options: &EngineOptions, stamp: DateTimeValue) -> ServerMetadata {
    let mut server = ServerMetadata::default();
    let mut salt = [0; 4];
    rand::thread_rng().fill_bytes(&mut salt);
    server.logins.insert(
        principal::SA,
        Login {
            id: principal::SA,
            name: "sa".into(),
            sid: SA_SID.to_vec(),
            password: PasswordHash::new(&options.sa_password, salt),
            disabled: false,
            must_change: false,
            expired: false,
            locked: false,
            check_policy: true,
            check_expiration: false,
            default_database: "master".into(),
            default_language: "us_english".into(),
            created: stamp,
            modified: stamp,
        },
    );
    for (id, name) in principal::SERVER_ROLES {
        server.roles.insert(id, ServerRole { id, name: name.to_owned(), fixed: true, created: stamp });
    }
    server.members.insert((principal::SYSADMIN, principal::SA));
    for (grantee, permission) in
        [(principal::SERVER_PUBLIC, "VIEW ANY DATABASE"), (principal::SA, "CONNECT SQL")]
    {
        server.grants.set(Grant {
            class: SecurableClass::Server,
            major: 0,
            minor: 0,
            permission,
            grantee,
            grantor: principal::SA,
            state: GrantState::Grant,
        });
    }
    server
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ticks = since.as_nanos() / 100;
    let days = (ticks / u128::from(temporal::DAY)) as i32 + UNIX_DAYS;
    Moment { days, ticks: (ticks % u128::from(temporal::DAY)) as u64 }
}

/// A moment as the catalog's datetime columns hold it.
pub fn as_datetime(moment: Moment) -> DateTimeValue {
    moment.to_datetime().unwrap_or(DateTimeValue { days: 0, ticks: 0 })
}

/// `sa`'s SID.
pub const SA_SID: [u8; 1] = [1];
const FIRST_OBJECT: i32 = 581_577_110;
/// Days from 0001-01-01 to 1970-01-01.
const UNIX_DAYS: i32 = 719_162;
