//! A front desk that looks up and changes one appointment after the other, and how long each takes.

use std::time::Instant;

use agent::mssql::{Param, Session};
use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::Wire;
use super::readers::connection;

/// What the desk felt, in milliseconds.
pub struct Felt {
    /// Half were quicker.
    pub p50: f64,
    /// One of a hundred was slower.
    pub p99: f64,
}

/// Makes so many transactions.
pub fn work(port: u16, transactions: u32) -> Result<Felt> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut taken = runtime.block_on(transact(port, transactions))?;
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    Ok(Felt { p50: at(0.5), p99: at(0.99) })
}

async fn transact(port: u16, transactions: u32) -> Result<Vec<f64>> {
    let mut session = Session::connect(&connection(port, Wire::Off)).await?;
    let mut random = StdRng::seed_from_u64(7);
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
