//! A front desk that looks up and changes one appointment after the other, and how long each takes.

use std::time::Instant;

use agent::mssql::{Param, Session};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::Runtime;

use super::Wire;
use super::readers::connection;

/// How long transactions took, in milliseconds.
#[derive(Default)]
pub struct Felt(Vec<f64>);

impl Felt {
    /// How many of a hundred took longer than this.
    pub fn share_above(&self, milliseconds: f64) -> f64 {
        let above = self.0.iter().filter(|taken| **taken > milliseconds).count();
        100.0 * above as f64 / self.0.len().max(1) as f64
    }

    /// Takes in others.
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(&others.0);
    }

    /// So many of a hundred took no longer than this.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * share / 100.0) as usize).copied().unwrap_or_default()
    }
}

/// A front desk of one person.
pub struct Desk {
    runtime: Runtime,
    session: Session,
    random: StdRng,
}

impl Desk {
    /// Opens.
    pub fn open(port: u16) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let session = runtime.block_on(Session::connect(&connection(port, Wire::Off)))?;
        Ok(Self { runtime, session, random: StdRng::seed_from_u64(0) })
    }

    /// Makes so many transactions.
    pub fn work(&mut self, transactions: u32) -> Result<Felt> {
        let Self { runtime, session, random } = self;
        let one = |_| runtime.block_on(transaction(session, random));
        Ok(Felt((0..transactions).map(one).collect::<Result<_>>()?))
    }
}

/// How long it took, in milliseconds.
async fn transaction(session: &mut Session, random: &mut StdRng) -> Result<f64> {
    let id = [Param::Int(random.gen_range(1..100_000))];
    let begun = Instant::now();
    session.query("SELECT * FROM dbo.Appointment WHERE AppointmentID = @P1", &id).await?;
    session.query("UPDATE dbo.Appointment SET ChairID = ChairID WHERE AppointmentID = @P1", &id).await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
