//! Running plans: rows are pushed from sources through joins, grouping, sorting and limits to a consumer.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(
    clippy::too_many_arguments,
    reason = "the statement's clock, its target and the versions of a row travel together"
)]

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use super::aggregate::Accumulator;
use super::{Exec, Flow, Rows};
use crate::engine::ast::{JoinKind, SetOp};
use crate::engine::message::{self, Result};
use crate::engine::plan::{
    BodyPlan, Bound, Grouping, JoinSource, QueryPlan, SelectPlan, SortKey, Source, TableSource, TopPlan,
    Window,
};
use crate::engine::value::{compare, convert};
use crate::types::{Datum, Row};

/// Takes result rows.
pub type Sink<'s> = &'s mut dyn FnMut(&[Datum]) -> Result<Flow>;

/// Takes source rows, which see their enclosing rows.
type RowSink<'s> = &'s mut dyn FnMut(&Rows<'_>) -> Result<Flow>;

struct Limits {
    skip: u64,
    take: Option<u64>,
}

impl Exec<'_> {
    /// Runs a query; `outer` are the rows it may refer to.
    pub fn run(&self, plan: &QueryPlan, outer: Option<&Rows<'_>>, sink: Sink<'_>) -> Result<()> {
        self.check_cancelled()?;
        match &plan.body {
            BodyPlan::Select(select) => self.run_select(plan, select, outer, sink),
            BodyPlan::Set(op, left, right) => self.run_set(plan, *op, (left, right), outer, sink),
        }
    }

    fn limits(&self, plan: &QueryPlan) -> Result<Limits> {
        let number = |bound: &Bound| Ok(self.constant(bound)?.as_i64());
        let skip = match &plan.offset {
            Some(offset) => u64::try_from(number(offset)?.unwrap_or(0)).map_err(|_| message::bad_offset())?,
            None => 0,
        };
        let take = match &plan.fetch {
            Some(fetch) => match number(fetch)? {
                Some(n) if n > 0 => Some(n as u64),
                _ => return Err(message::bad_fetch()),
            },
            None => None,
        };
        Ok(Limits { skip, take })
    }

    fn run_select(
        &self,
        plan: &QueryPlan,
        select: &SelectPlan,
        outer: Option<&Rows<'_>>,
        sink: Sink<'_>,
    ) -> Result<()> {
        let mut limits = self.limits(plan)?;
        let top = select.top.as_ref();
        let percent = top.is_some_and(|t| t.percent);
        let ties = top.is_some_and(|t| t.ties);
        if let Some(top) = top.filter(|t| !t.percent) {
            limits.take = Some(self.top_count(&top.count)?);
        }
        if limits.take == Some(0) {
            return Ok(());
        }
        let locked = self.lock_sources(&select.source)?;
        let ordered = plan.order.is_empty() || self.comes_ordered(select, outer)?;
        let streams = ordered && !select.distinct && !percent && !ties;
        let result = if streams {
            self.stream(select, outer, &limits, sink)
        } else {
            self.gather(plan, select, outer).and_then(|rows| {
                let rows = self.finish(plan, select, rows)?;
                emit(&rows, &plan.order, &limits, ties, sink)
            })
        };
        locked.iter().for_each(|resource| self.unlock(resource));
        result
    }

    fn top_count(&self, count: &Bound) -> Result<u64> {
        match self.constant(count)?.as_i64() {
            Some(n) => u64::try_from(n).map_err(|_| message::negative_top()),
            None => Err(message::bad_top()),
        }
    }

    /// How many of `rows` rows a TOP lets through.
    pub fn top_rows(&self, top: &TopPlan, rows: usize) -> Result<usize> {
        if !top.percent {
            return Ok(usize::try_from(self.top_count(&top.count)?).unwrap_or(usize::MAX));
        }
        let percent = convert::to_float(&self.constant(&top.count)?).unwrap_or(0.0);
        if !(0.0..=100.0).contains(&percent) {
            return Err(message::percent_range());
        }
        Ok((rows as f64 * percent / 100.0).ceil() as usize)
    }

    fn lock_sources(&self, source: &Source) -> Result<Vec<crate::engine::storage::lock::Resource>> {
        Ok(match source {
            Source::Table(table) => self.lock_table(table)?.into_iter().collect(),
            Source::Join(join) => {
                let mut locks = self.lock_sources(&join.left)?;
                locks.extend(self.lock_sources(&join.right)?);
                locks
            }
            Source::Single | Source::Rows { .. } | Source::Query { .. } | Source::Values { .. } => Vec::new(),
        })
    }

    /// Whether a lone table gives the wanted order by itself.
    fn comes_ordered(&self, select: &SelectPlan, outer: Option<&Rows<'_>>) -> Result<bool> {
        match &select.source {
            Source::Table(table) if !table.wanted.is_empty() => {
                let rows = Rows { row: &[], outer };
                Ok(self.choose_path(table, &rows)?.ordered)
            }
            _ => Ok(false),
        }
    }

    /// Projects rows as they come.
    fn stream(
        &self,
        select: &SelectPlan,
        outer: Option<&Rows<'_>>,
        limits: &Limits,
        sink: Sink<'_>,
    ) -> Result<()> {
        let (mut skip, mut left) = (limits.skip, limits.take);
        let mut projected: Vec<Datum> = Vec::with_capacity(select.items.len());
        self.rows_before_projection(select, outer, &mut |rows| {
            if skip > 0 {
                skip -= 1;
                return Ok(Flow::More);
            }
            projected.clear();
            for item in &select.items {
                projected.push(self.eval(item, rows)?);
            }
            let flow = sink(&projected)?;
            if let Some(left) = &mut left {
                *left -= 1;
                if *left == 0 {
                    return Ok(Flow::Enough);
                }
            }
            Ok(flow)
        })
    }

    /// All rows with their sort keys in front.
    fn gather(
        &self,
        plan: &QueryPlan,
        select: &SelectPlan,
        outer: Option<&Rows<'_>>,
    ) -> Result<Vec<Vec<Datum>>> {
        let mut all = Vec::new();
        self.rows_before_projection(select, outer, &mut |rows| {
            let mut row = Vec::with_capacity(plan.order.len() + select.items.len());
            for (key, _) in &plan.order {
                match key {
                    SortKey::Expr(bound) => row.push(self.eval(bound, rows)?),
                    SortKey::Item(at) => row.push(self.eval(&select.items[*at], rows)?),
                }
            }
            for item in &select.items {
                row.push(self.eval(item, rows)?);
            }
            all.push(row);
            Ok(Flow::More)
        })?;
        Ok(all)
    }

    /// DISTINCT, ORDER BY and TOP PERCENT over gathered rows.
    fn finish(
        &self,
        plan: &QueryPlan,
        select: &SelectPlan,
        mut rows: Vec<Vec<Datum>>,
    ) -> Result<Vec<Vec<Datum>>> {
        let keys = plan.order.len();
        if select.distinct {
            let mut seen = std::collections::HashSet::new();
            rows.retain(|row| seen.insert(row_key(&row[keys..])));
        }
        sort(&mut rows, &plan.order);
        if let Some(top) = select.top.as_ref().filter(|t| t.percent) {
            rows.truncate(self.top_rows(top, rows.len())?);
        }
        Ok(rows)
    }

    /// FROM, WHERE, GROUP BY, HAVING and windows.
    fn rows_before_projection(
        &self,
        select: &SelectPlan,
        outer: Option<&Rows<'_>>,
        sink: RowSink<'_>,
    ) -> Result<()> {
        if select.windows.is_empty() {
            return self.grouped(select, outer, sink);
        }
        let mut rows: Vec<Vec<Datum>> = Vec::new();
        self.grouped(select, outer, &mut |row| {
            rows.push(row.row.to_vec());
            Ok(Flow::More)
        })?;
        for window in &select.windows {
            self.number(window, &mut rows, outer)?;
        }
        for row in &rows {
            if sink(&Rows { row, outer })? == Flow::Enough {
                break;
            }
        }
        Ok(())
    }

    /// Appends ROW_NUMBER to each row and leaves the rows in its order.
    fn number(&self, window: &Window, rows: &mut Vec<Vec<Datum>>, outer: Option<&Rows<'_>>) -> Result<()> {
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows.drain(..) {
            let at = Rows { row: &row, outer };
            let mut partition = Vec::new();
            for bound in &window.partition {
                compare::append_key(&self.eval(bound, &at)?, false, &mut partition);
            }
            let mut key = partition.clone();
            for (bound, descending) in &window.order {
                compare::append_key(&self.eval(bound, &at)?, *descending, &mut key);
            }
            keyed.push((key, partition, row));
        }
        keyed.sort_by(|a, b| a.0.cmp(&b.0));
        let mut previous: Option<Vec<u8>> = None;
        let mut n = 0;
        for (_, partition, mut row) in keyed {
            n = if previous.as_ref() == Some(&partition) { n + 1 } else { 1 };
            previous = Some(partition);
            row.push(Datum::BigInt(n));
            rows.push(row);
        }
        Ok(())
    }

    fn grouped(&self, select: &SelectPlan, outer: Option<&Rows<'_>>, sink: RowSink<'_>) -> Result<()> {
        let Some(grouping) = &select.group else {
            return self.filtered(select, outer, sink);
        };
        let mut groups: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut states: Vec<(Vec<Datum>, Vec<Accumulator>)> = Vec::new();
        if grouping.keys.is_empty() {
            groups.insert(Vec::new(), 0);
            states.push((Vec::new(), grouping.aggregates.iter().map(|_| Accumulator::new()).collect()));
        }
        self.filtered(select, outer, &mut |rows| {
            let keys = grouping.keys.iter().map(|k| self.eval(k, rows)).collect::<Result<Vec<_>>>()?;
            let at = *groups.entry(row_key(&keys)).or_insert_with(|| {
                states.push((keys, grouping.aggregates.iter().map(|_| Accumulator::new()).collect()));
                states.len() - 1
            });
            for (state, aggregate) in states[at].1.iter_mut().zip(&grouping.aggregates) {
                state.add(aggregate, self, rows)?;
            }
            Ok(Flow::More)
        })?;
        self.emit_groups(grouping, states, outer, sink)
    }

    fn emit_groups(
        &self,
        grouping: &Grouping,
        states: Vec<(Vec<Datum>, Vec<Accumulator>)>,
        outer: Option<&Rows<'_>>,
        sink: RowSink<'_>,
    ) -> Result<()> {
        for (mut row, accumulators) in states {
            for (state, aggregate) in accumulators.into_iter().zip(&grouping.aggregates) {
                row.push(state.finish(aggregate)?);
            }
            let rows = Rows { row: &row, outer };
            if let Some(having) = &grouping.having
                && self.truth(having, &rows)? != Some(true)
            {
                continue;
            }
            if sink(&rows)? == Flow::Enough {
                break;
            }
        }
        Ok(())
    }

    fn filtered(&self, select: &SelectPlan, outer: Option<&Rows<'_>>, sink: RowSink<'_>) -> Result<()> {
        let start = Rows { row: &[], outer };
        self.source(&select.source, &start, &mut |rows| {
            if self.all(&select.filters, rows)? { sink(rows) } else { Ok(Flow::More) }
        })
        .map(drop)
    }

    /// Pushes the rows of a source, each behind the row to its left.
    pub fn source(&self, source: &Source, left: &Rows<'_>, sink: RowSink<'_>) -> Result<Flow> {
        match source {
            Source::Single => sink(left),
            Source::Table(table) => self.table_rows(table, left, sink),
            Source::Rows { rows, filters } => {
                for row in rows.iter() {
                    if self.offer(left, row, filters, sink)? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                }
                Ok(Flow::More)
            }
            Source::Query { plan, lateral, filters, .. } => {
                let outer = if *lateral { Some(left) } else { left.outer };
                let mut flow = Flow::More;
                self.run(plan, outer, &mut |row| {
                    flow = self.offer(left, row, filters, sink)?;
                    Ok(flow)
                })?;
                Ok(flow)
            }
            Source::Values { rows, filters } => {
                for row in rows {
                    let seen = left.outer.unwrap_or(&super::NO_ROW);
                    let row = row.iter().map(|b| self.eval(b, seen)).collect::<Result<Vec<_>>>()?;
                    if self.offer(left, &row, filters, sink)? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                }
                Ok(Flow::More)
            }
            Source::Join(join) => self.join(join, left, sink),
        }
    }

    /// Joins a row to the one on its left and passes it on if the conditions hold.
    fn offer(&self, left: &Rows<'_>, row: &[Datum], filters: &[Bound], sink: RowSink<'_>) -> Result<Flow> {
        let joined: Vec<Datum>;
        let whole = if left.row.is_empty() {
            row
        } else {
            joined = [left.row, row].concat();
            &joined
        };
        let rows = Rows { row: whole, outer: left.outer };
        if self.all(filters, &rows)? { sink(&rows) } else { Ok(Flow::More) }
    }

    fn table_rows(&self, table: &TableSource, left: &Rows<'_>, sink: RowSink<'_>) -> Result<Flow> {
        let path = self.choose_path(table, left)?;
        self.note_range(table, &path.range);
        self.scan(table, &path.range, &mut |key, row| {
            if !table.with_key {
                return self.offer(left, row, &table.filters, sink);
            }
            let mut placed = row.to_vec();
            placed.push(Datum::Binary(key.clone()));
            self.offer(left, &placed, &table.filters, sink)
        })
    }

    fn join(&self, join: &JoinSource, left: &Rows<'_>, sink: RowSink<'_>) -> Result<Flow> {
        if matches!(join.kind, JoinKind::Right | JoinKind::Full) {
            return self.full_join(join, left, sink);
        }
        let outer_join = matches!(join.kind, JoinKind::Left | JoinKind::OuterApply);
        // An inner side that does not depend on the left row is read once.
        let kept = self.materialize(&join.right, left)?;
        self.source(&join.left, left, &mut |left_row| {
            let mut matched = false;
            let mut each = |rows: &Rows<'_>| {
                if !self.all(&join.on, rows)? {
                    return Ok(Flow::More);
                }
                matched = true;
                if self.all(&join.filters, rows)? { sink(rows) } else { Ok(Flow::More) }
            };
            let flow = match &kept {
                Some((rows, filters)) => {
                    let mut flow = Flow::More;
                    for row in rows {
                        flow = self.offer(left_row, row, filters, &mut each)?;
                        if flow == Flow::Enough {
                            break;
                        }
                    }
                    flow
                }
                None => self.source(&join.right, left_row, &mut each)?,
            };
            if matched || !outer_join || flow == Flow::Enough {
                return Ok(flow);
            }
            let mut row = left_row.row.to_vec();
            row.resize(row.len() + join.right_width, Datum::Null);
            let rows = Rows { row: &row, outer: left_row.outer };
            if self.all(&join.filters, &rows)? { sink(&rows) } else { Ok(Flow::More) }
        })
    }

    /// The rows of a derived table that reads nothing from its left, with its conditions.
    fn materialize<'s>(
        &self,
        source: &'s Source,
        left: &Rows<'_>,
    ) -> Result<Option<(Vec<Row>, &'s [Bound])>> {
        let Source::Query { plan, lateral: false, filters, .. } = source else { return Ok(None) };
        let mut rows: Vec<Row> = Vec::new();
        self.run(plan, left.outer, &mut |row| {
            rows.push(Arc::from(row));
            Ok(Flow::More)
        })?;
        Ok(Some((rows, filters)))
    }

    /// RIGHT and FULL: the right side is read once, unmatched rows of either side follow with NULLs.
    fn full_join(&self, join: &JoinSource, left: &Rows<'_>, sink: RowSink<'_>) -> Result<Flow> {
        let base = left.row.len();
        let mut blank = left.row.to_vec();
        blank.resize(base + join.left_width, Datum::Null);
        let empty = Rows { row: &blank, outer: left.outer };
        let mut right: Vec<(Vec<Datum>, bool)> = Vec::new();
        self.source(&join.right, &empty, &mut |rows| {
            right.push((rows.row[base + join.left_width..].to_vec(), false));
            Ok(Flow::More)
        })?;
        let flow = self.source(&join.left, left, &mut |left_row| {
            let mut matched = false;
            for (row, used) in &mut right {
                let joined = [left_row.row, row].concat();
                let rows = Rows { row: &joined, outer: left_row.outer };
                if self.all(&join.on, &rows)? {
                    (matched, *used) = (true, true);
                    if self.all(&join.filters, &rows)? && sink(&rows)? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                }
            }
            if matched || join.kind == JoinKind::Right {
                return Ok(Flow::More);
            }
            let mut row = left_row.row.to_vec();
            row.resize(row.len() + join.right_width, Datum::Null);
            let rows = Rows { row: &row, outer: left_row.outer };
            if self.all(&join.filters, &rows)? { sink(&rows) } else { Ok(Flow::More) }
        })?;
        if flow == Flow::Enough {
            return Ok(flow);
        }
        for (row, _) in right.iter().filter(|(_, used)| !used) {
            let joined = [&blank, row.as_slice()].concat();
            let rows = Rows { row: &joined, outer: left.outer };
            if self.all(&join.filters, &rows)? && sink(&rows)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    fn run_set(
        &self,
        plan: &QueryPlan,
        op: SetOp,
        (left, right): (&QueryPlan, &QueryPlan),
        outer: Option<&Rows<'_>>,
        sink: Sink<'_>,
    ) -> Result<()> {
        let limits = self.limits(plan)?;
        let collect = |side: &QueryPlan| {
            let mut rows: Vec<Vec<Datum>> = Vec::new();
            self.run(side, outer, &mut |row| {
                rows.push(row.to_vec());
                Ok(Flow::More)
            })?;
            Ok(rows)
        };
        let (mut rows, others) = (collect(left)?, collect(right)?);
        let mut seen = std::collections::HashSet::new();
        match op {
            SetOp::UnionAll => rows.extend(others),
            SetOp::Union => {
                rows.extend(others);
                rows.retain(|row| seen.insert(row_key(row)));
            }
            SetOp::Except | SetOp::Intersect => {
                let other: std::collections::HashSet<_> = others.iter().map(|row| row_key(row)).collect();
                rows.retain(|row| {
                    let key = row_key(row);
                    other.contains(&key) == (op == SetOp::Intersect) && seen.insert(key)
                });
            }
        }
        let mut keyed: Vec<Vec<Datum>> = rows
            .into_iter()
            .map(|row| {
                let mut keys: Vec<Datum> = plan
                    .order
                    .iter()
                    .map(|(key, _)| match key {
                        SortKey::Item(at) => row[*at].clone(),
                        SortKey::Expr(_) => Datum::Null,
                    })
                    .collect();
                keys.extend(row);
                keys
            })
            .collect();
        sort(&mut keyed, &plan.order);
        emit(&keyed, &plan.order, &limits, false, sink)
    }
}

/// A key equal for equal rows; NULLs are equal here, as GROUP BY and DISTINCT hold them.
fn row_key(row: &[Datum]) -> Vec<u8> {
    let mut key = Vec::with_capacity(row.len() * 9);
    for value in row {
        compare::append_key(value, false, &mut key);
    }
    key
}

fn order_of(a: &[Datum], b: &[Datum], order: &[(SortKey, bool)]) -> Ordering {
    for (at, (_, descending)) in order.iter().enumerate() {
        let ordering = match (a[at].is_null(), b[at].is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => compare::compare(&a[at], &b[at]),
        };
        if ordering.is_ne() {
            return if *descending { ordering.reverse() } else { ordering };
        }
    }
    Ordering::Equal
}

fn sort(rows: &mut [Vec<Datum>], order: &[(SortKey, bool)]) {
    if !order.is_empty() {
        rows.sort_by(|a, b| order_of(a, b, order));
    }
}

/// Passes sorted rows on within their limits, without the sort keys in front; with ties, rows equal to the last
/// one follow it.
fn emit(
    rows: &[Vec<Datum>],
    order: &[(SortKey, bool)],
    limits: &Limits,
    ties: bool,
    sink: Sink<'_>,
) -> Result<()> {
    let start = usize::try_from(limits.skip).unwrap_or(usize::MAX).min(rows.len());
    let mut end = limits.take.map_or(rows.len(), |n| start.saturating_add(n as usize).min(rows.len()));
    while ties && end > start && end < rows.len() && order_of(&rows[end - 1], &rows[end], order).is_eq() {
        end += 1;
    }
    for row in &rows[start..end] {
        if sink(&row[order.len()..])? == Flow::Enough {
            break;
        }
    }
    Ok(())
}
