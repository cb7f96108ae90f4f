//! Aggregates: one accumulator per group and function. NULLs are left out, as in SQL Server.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use std::collections::HashSet;

use super::{Exec, Rows};
use crate::engine::ast::BinaryOp;
use crate::engine::message::{self, Result};
use crate::engine::plan::{Aggregate, AggregateKind};
use crate::engine::value::{arith, compare, convert};
use crate::types::{Datum, SqlType};

/// The state of one aggregate in one group.
pub struct Accumulator {
    count: i64,
    value: Datum,
    text: Option<String>,
    seen: HashSet<Vec<u8>>,
}

impl Accumulator {
    pub fn new() -> Self {
        Self { count: 0, value: Datum::Null, text: None, seen: HashSet::new() }
    }

    /// Takes one row in.
    pub fn add(&mut self, aggregate: &Aggregate, exec: &Exec<'_>, rows: &Rows<'_>) -> Result<()> {
        let Some(arg) = &aggregate.arg else {
            self.count += 1;
            return Ok(());
        };
        let value = exec.eval(arg, rows)?;
        if value.is_null() || aggregate.distinct && !self.first_time(&value) {
            return Ok(());
        }
        self.count += 1;
        match aggregate.kind {
            AggregateKind::Count | AggregateKind::CountBig => {}
            AggregateKind::Min | AggregateKind::Max => {
                let ordering = compare::compare(&value, &self.value);
                let better =
                    if aggregate.kind == AggregateKind::Min { ordering.is_lt() } else { ordering.is_gt() };
                if self.value.is_null() || better {
                    self.value = value;
                }
            }
            AggregateKind::Sum | AggregateKind::Avg => self.sum(value, aggregate.ty)?,
            AggregateKind::StringAgg => {
                let separator = match &aggregate.separator {
                    Some(separator) => exec.eval(separator, rows)?,
                    None => Datum::Null,
                };
                let piece = convert::to_text(&value, 0)?;
                match &mut self.text {
                    Some(text) => {
                        text.push_str(separator.as_str().unwrap_or(""));
                        text.push_str(&piece);
                    }
                    None => self.text = Some(piece),
                }
            }
        }
        Ok(())
    }

    fn first_time(&mut self, value: &Datum) -> bool {
        let mut key = Vec::new();
        compare::append_key(value, false, &mut key);
        self.seen.insert(key)
    }

    fn sum(&mut self, value: Datum, ty: SqlType) -> Result<()> {
        let ty = if let SqlType::Decimal { .. } = ty {
            let scale = match &value {
                Datum::Decimal(d) => d.scale,
                _ => 0,
            };
            SqlType::Decimal { precision: 38, scale }
        } else {
            ty
        };
        // Wide while it adds up, so that int averages do not overflow before the division.
        let wide = if ty == SqlType::Int { SqlType::BigInt } else { ty };
        self.value = if self.value.is_null() {
            convert::convert(&value, wide, 0, convert::Fit::Cut)?
        } else {
            arith::apply(BinaryOp::Add, &self.value, &value, wide)?
        };
        Ok(())
    }

    /// The result; an empty group gives 0 for COUNT and NULL for the rest.
    pub fn finish(self, aggregate: &Aggregate) -> Result<Datum> {
        match aggregate.kind {
            AggregateKind::Count => {
                i32::try_from(self.count).map(Datum::Int).map_err(|_| message::overflow("int"))
            }
            AggregateKind::CountBig => Ok(Datum::BigInt(self.count)),
            AggregateKind::Min | AggregateKind::Max => Ok(self.value),
            AggregateKind::Sum => convert::convert(&self.value, aggregate.ty, 0, convert::Fit::Cut)
                .map_err(|_| message::overflow(aggregate.ty.name())),
            AggregateKind::Avg if self.count == 0 => Ok(Datum::Null),
            AggregateKind::Avg => {
                let count = Datum::BigInt(self.count);
                let ty = if aggregate.ty == SqlType::Int { SqlType::BigInt } else { aggregate.ty };
                let average = arith::apply(BinaryOp::Div, &self.value, &count, ty)?;
                convert::convert(&average, aggregate.ty, 0, convert::Fit::Cut)
            }
            AggregateKind::StringAgg => match self.text {
                Some(text) => convert::convert(&Datum::text(text), aggregate.ty, 0, convert::Fit::Cut),
                None => Ok(Datum::Null),
            },
        }
    }
}
