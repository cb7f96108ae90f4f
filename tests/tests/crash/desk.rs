//! A front desk that books, changes, cancels and thinks better of it until it is closed, whatever happens to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent::mssql::{ConnectionOptions, Session, SqlError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;

use crate::sim::{CANARY, Sim};

/// An open desk.
pub struct Desk {
    closing: Arc<AtomicBool>,
    work: JoinHandle<()>,
}

impl Desk {
    /// Begins to work.
    pub fn open(sim: &Sim, seed: u64) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let work = tokio::spawn(work(sim.connection("Clinic"), seed, Arc::clone(&closing)));
        Self { closing, work }
    }

    /// Ends what it is at and waits for it.
    pub async fn close(self) {
        self.closing.store(true, Ordering::Relaxed);
        self.work.await.unwrap();
    }
}

async fn work(connection: ConnectionOptions, seed: u64, closing: Arc<AtomicBool>) {
    let mut random = StdRng::seed_from_u64(seed);
    while !closing.load(Ordering::Relaxed) {
        // A server that restarts refuses for a moment.
        if serve(&connection, &mut random, &closing).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Serves until the connection breaks or the desk closes.
async fn serve(
    connection: &ConnectionOptions,
    random: &mut StdRng,
    closing: &AtomicBool,
) -> Result<(), SqlError> {
    let mut session = Session::connect(connection).await?;
    while !closing.load(Ordering::Relaxed) {
        let statements: Vec<String> = (0..random.gen_range(1..4)).map(|_| statement(random)).collect();
        let end = if random.gen_bool(0.9) { "COMMIT TRANSACTION" } else { "ROLLBACK TRANSACTION" };
        session.batch("BEGIN TRANSACTION").await?;
        for statement in statements {
            session.batch(&statement).await?;
            tokio::time::sleep(Duration::from_millis(random.gen_range(0..8))).await;
        }
        session.batch(end).await?;
    }
    Ok(())
}

fn statement(random: &mut StdRng) -> String {
    let id = random.gen_range(1..400);
    match random.gen_range(0..10) {
        0..=2 => format!(
            "IF NOT EXISTS (SELECT 1 FROM dbo.Visit WHERE VisitID = {id} AND Branch = N'b{0}') INSERT INTO dbo.Visit \
             (VisitID, Branch, Note, Fee, Changed) VALUES ({id}, N'b{0}', N'{CANARY} {id}', {id}.5, SYSDATETIME())",
            id % 3
        ),
        3 => format!("DELETE FROM dbo.Visit WHERE VisitID = {id}"),
        _ => format!(
            "UPDATE dbo.Visit SET Fee = {}, Changed = SYSDATETIME() WHERE VisitID = {id}",
            random.gen_range(1..9999)
        ),
    }
}
