//! Rows of SQL Server on their way: taken out of the bytes of an answer ([`answer`]), many in a block ([`block`]), hashed ([`digest`]),
//! put into the columns of Parquet ([`columns`], [`kind`], [`moments`]) and encoded ([`row_group`]). Pure: no socket, no file.
//!
//! Apart from the agent because every row of every table passes through here: this is built for speed, the agent for size.

pub mod answer;
pub mod block;
pub mod columns;
pub mod digest;
pub mod kind;
mod mac;
pub mod moments;
pub mod row_group;

pub use block::{BlockRow, Cell, RowBlock};
