//! A front desk that looks up and changes one appointment after the other, and how long each takes.

use std::time::Instant;

use agent::mssql::{Param, Session};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Wire;
use super::readers::connection;

/// How long transactions took, in milliseconds.
#[derive(Default)]
pub struct Felt(Vec<f64>);

impl Felt {
    /// So many of a hundred took no longer than this.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_by(f64::total_cmp);
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * share / 100.0) as usize).copied().unwrap_or_default()
    }
}

/// Makes so many transactions, differently from one `seed` to the other.
pub fn work(port: u16, transactions: u32, seed: u64, felt: &mut Felt) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    felt.0.extend(runtime.block_on(transact(port, transactions, seed))?);
    Ok(())
}

async fn transact(port: u16, transactions: u32, seed: u64) -> Result<Vec<f64>> {
    let mut session = Session::connect(&connection(port, Wire::Off)).await?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut taken = Vec::new();
    for _ in 0..transactions {
        let id = [Param::Int(random.gen_range(1..100_000))];
        let begun = Instant::now();
        session.query("SELECT * FROM dbo.Appointment WHERE AppointmentID = @P1", &id).await?;
        session.query("UPDATE dbo.Appointment SET ChairID = ChairID WHERE AppointmentID = @P1", &id).await?;
        taken.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(taken)
}
