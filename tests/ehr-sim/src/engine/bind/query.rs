//! Binding of SELECT: items, grouping, windows, ORDER BY, set operators; conditions placed where they cost least.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]
#![expect(clippy::wrong_self_convention, reason = "FROM and GROUP BY are the clauses that are bound")]

use super::common_type::{cast_to, common_of};
use super::from::conjuncts;
use super::{Binder, CteScope, Scope, ScopeColumn, qualifies};
use crate::engine::ast::{Body, Expr, Item, JoinKind, OrderItem, Query, Select, Top};
use crate::engine::message::{self, Result};
use crate::engine::plan::{
    BodyPlan, Bound, Grouping, Kind, QueryPlan, SelectPlan, SortKey, Source, TopPlan, Window,
};
use crate::engine::value::text;
use crate::types::{Column, Datum, SqlType};

/// Column numbers from here on are windows until the row's width is known.
pub(super) const WINDOW_BASE: usize = 1 << 20;

/// Nesting of queries.
const MAX_QUERIES: usize = 48;

struct Items {
    bound: Vec<Bound>,
    columns: Vec<Column>,
    assign: Vec<(usize, Option<crate::engine::ast::BinaryOp>)>,
}

impl<'q> Binder<'_, 'q> {
    /// Binds a query as it stands (a statement, a derived table, a subquery).
    pub fn query(&mut self, query: &'q Query) -> Result<QueryPlan> {
        self.depth += 1;
        if self.depth > MAX_QUERIES {
            return Err(message::too_deep());
        }
        let known = self.ctes.len();
        self.push_ctes(&query.ctes)?;
        let plan = self.query_inner(query);
        self.ctes.truncate(known);
        self.depth -= 1;
        plan
    }

    /// Makes CTEs visible to what follows.
    pub fn push_ctes(&mut self, ctes: &'q [crate::engine::ast::Cte]) -> Result<()> {
        for cte in ctes {
            if refers_to(&cte.query, &cte.name) {
                return Err(message::not_supported("recursive common table expression"));
            }
            let visible = self.ctes.len();
            self.ctes.push(CteScope {
                name: cte.name.clone(),
                columns: cte.columns.clone(),
                query: &cte.query,
                visible,
            });
        }
        Ok(())
    }

    fn query_inner(&mut self, query: &'q Query) -> Result<QueryPlan> {
        let mut plan = match &query.body {
            Body::Select(select) => self.select(select, &query.order)?,
            Body::Set(op, left, right) => {
                let mut plan = self.set(*op, left, right)?;
                plan.order = set_order(&query.order, &plan.columns)?;
                plan
            }
            Body::Nested(inner) => {
                let inner = self.query(inner)?;
                if query.order.is_empty() && query.offset.is_none() {
                    return Ok(inner);
                }
                return Err(message::syntax_keyword("ORDER"));
            }
        };
        if query.offset.is_some()
            && let BodyPlan::Select(select) = &plan.body
            && select.top.is_some()
        {
            return Err(message::top_with_offset());
        }
        plan.offset = self.row_count(query.offset.as_ref())?;
        plan.fetch = self.row_count(query.fetch.as_ref())?;
        Ok(plan)
    }

    fn row_count(&mut self, expr: Option<&'q Expr>) -> Result<Option<Bound>> {
        let Some(expr) = expr else { return Ok(None) };
        let scopes = std::mem::take(&mut self.scopes);
        let value = self.value(expr);
        self.scopes = scopes;
        let value = value?;
        if !value.ty.is_integer() && !matches!(value.ty, SqlType::Decimal { scale: 0, .. }) {
            return Err(message::bad_top());
        }
        Ok(Some(cast_to(value, SqlType::BigInt)))
    }

    pub fn top(&mut self, top: Option<&'q Top>) -> Result<Option<TopPlan>> {
        let Some(top) = top else { return Ok(None) };
        let scopes = std::mem::take(&mut self.scopes);
        let count = self.value(&top.count);
        self.scopes = scopes;
        let count = count?;
        let to = if top.percent { SqlType::Float } else { SqlType::BigInt };
        if !top.percent && !count.ty.is_integer() && !matches!(count.ty, SqlType::Decimal { scale: 0, .. }) {
            return Err(message::bad_top());
        }
        Ok(Some(TopPlan { count: cast_to(count, to), percent: top.percent, ties: top.ties }))
    }

    fn set(&mut self, op: crate::engine::ast::SetOp, left: &'q Body, right: &'q Body) -> Result<QueryPlan> {
        let (mut left, mut right) = (self.body(left)?, self.body(right)?);
        if left.columns.len() != right.columns.len() {
            return Err(message::set_arity());
        }
        let mut columns = left.columns.clone();
        for (at, column) in columns.iter_mut().enumerate() {
            let side = |plan: &QueryPlan| match &plan.body {
                BodyPlan::Select(select) => select.items[at].clone(),
                BodyPlan::Set(..) => Bound::column(at, plan.columns[at].ty, true),
            };
            let ty = common_of(&[side(&left), side(&right)]);
            convert_column(&mut left, at, ty)?;
            convert_column(&mut right, at, ty)?;
            column.ty = ty;
            column.nullable |= right.columns[at].nullable;
            column.identity = false;
            column.computed = true;
        }
        let body = BodyPlan::Set(op, Box::new(left), Box::new(right));
        Ok(QueryPlan { body, order: Vec::new(), offset: None, fetch: None, columns, assign: Vec::new() })
    }

    fn body(&mut self, body: &'q Body) -> Result<QueryPlan> {
        match body {
            Body::Select(select) => self.select(select, &[]),
            Body::Set(op, left, right) => self.set(*op, left, right),
            Body::Nested(query) => self.query(query),
        }
    }

    /// Binds the FROM list and pushes its scope; answers the source.
    pub fn from_list(&mut self, from: &'q [crate::engine::ast::From]) -> Result<Source> {
        let mut source: Option<(Source, Vec<ScopeColumn>)> = None;
        for item in from {
            let base = source.as_ref().map_or(0, |(_, columns)| columns.len());
            let (right, right_columns) = self.from(item, base)?;
            source = Some(match source {
                None => (right, right_columns),
                Some((left, mut columns)) => {
                    super::from::check_exposed(&columns, &right_columns)?;
                    let (left_width, right_width) = (columns.len(), right_columns.len());
                    columns.extend(right_columns);
                    let kind = JoinKind::Cross;
                    let join = crate::engine::plan::JoinSource {
                        kind,
                        left,
                        right,
                        on: Vec::new(),
                        left_width,
                        right_width,
                        filters: Vec::new(),
                    };
                    (Source::Join(Box::new(join)), columns)
                }
            });
        }
        let (source, columns) = source.unwrap_or((Source::Single, Vec::new()));
        self.scopes.push(Scope { columns });
        Ok(source)
    }

    fn select(&mut self, select: &'q Select, order: &'q [OrderItem]) -> Result<QueryPlan> {
        let source = self.from_list(&select.from)?;
        let bound = self.select_in_scope(select, order, source);
        self.scopes.pop();
        bound
    }

    fn select_in_scope(
        &mut self,
        select: &'q Select,
        order: &'q [OrderItem],
        mut source: Source,
    ) -> Result<QueryPlan> {
        let filter = select.filter.as_ref().map(|f| self.condition(f)).transpose()?;
        let mut filters = Vec::new();
        if let Some(filter) = filter {
            place_all(&mut source, conjuncts(filter), &mut filters);
        }
        place_join_conditions(&mut source);
        let keys = select.group.iter().map(|e| self.value(e)).collect::<Result<Vec<_>>>()?;
        self.aggregates = Some(Vec::new());
        self.windows = Some(Vec::new());
        let mut items = self.items(&select.items)?;
        let having = select.having.as_ref().map(|h| self.condition(h)).transpose()?;
        let mut sort = self.order(order, select, &items)?;
        let aggregates = self.aggregates.take().unwrap_or_default();
        let mut windows = self.windows.take().unwrap_or_default();
        let mut width = self.scopes.last().map_or(0, |s| s.columns.len());
        let mut group = None;
        if !keys.is_empty() || !aggregates.is_empty() || having.is_some() {
            width = keys.len() + aggregates.len();
            let mut grouping = Grouping { keys, aggregates, having };
            self.regroup_all(&mut grouping, &mut items.bound, &mut sort, &mut windows)?;
            group = Some(grouping);
        }
        for bound in items.bound.iter_mut().chain(sort.iter_mut().filter_map(|(key, _)| match key {
            SortKey::Expr(b) => Some(b),
            SortKey::Item(_) => None,
        })) {
            number_windows(bound, width);
        }
        let top = self.top(select.top.as_ref())?;
        set_wanted(
            &mut source,
            &sort,
            &items.bound,
            group.is_none() && windows.is_empty() && !select.distinct,
        );
        let plan = SelectPlan {
            source,
            filters,
            group,
            windows,
            items: items.bound,
            distinct: select.distinct,
            top,
        };
        let body = BodyPlan::Select(Box::new(plan));
        Ok(QueryPlan {
            body,
            order: sort,
            offset: None,
            fetch: None,
            columns: items.columns,
            assign: items.assign,
        })
    }

    fn items(&mut self, list: &'q [Item]) -> Result<Items> {
        let mut items = Items { bound: Vec::new(), columns: Vec::new(), assign: Vec::new() };
        for item in list {
            match item {
                Item::Star(qualifier) => self.star(qualifier, &mut items)?,
                Item::Expr { expr, .. } => {
                    let bound = self.value(expr)?;
                    let column = self.describe(Self::item_name(item), &bound);
                    items.bound.push(bound);
                    items.columns.push(column);
                }
                Item::Assign { variable, op, expr } => {
                    let target = self.exec.session.variable(variable);
                    let (index, ty) = target.ok_or_else(|| message::must_declare(variable))?;
                    let value = self.value(expr)?;
                    let value = match op {
                        Some(op) => {
                            let current = Bound { kind: Kind::Variable(index), ty, nullable: true };
                            super::expr::arithmetic(*op, current, value)?
                        }
                        None => value,
                    };
                    items.bound.push(super::implicit(value, ty)?);
                    items.assign.push((index, None));
                }
            }
        }
        if !items.assign.is_empty() && items.assign.len() != items.bound.len() {
            return Err(message::assign_mixed());
        }
        Ok(items)
    }

    /// Binds an OUTPUT list against the scope in force.
    pub fn output_items(&mut self, list: &'q [Item]) -> Result<(Vec<Bound>, Vec<Column>)> {
        let items = self.items(list)?;
        Ok((items.bound, items.columns))
    }

    fn star(&mut self, qualifier: &[String], items: &mut Items) -> Result<()> {
        let columns: Vec<(usize, ScopeColumn)> = {
            let scope = self.scopes.last().map(|s| s.columns.as_slice()).unwrap_or_default();
            let chosen = scope.iter().enumerate().filter(|(_, c)| qualifies(c, qualifier) && c.name != "\0");
            chosen.map(|(at, c)| (at, c.clone())).collect()
        };
        if columns.is_empty() {
            return Err(match qualifier {
                [] => message::SqlError::new(263, 16, 1, "Must specify table to select from."),
                _ => message::no_prefix_columns(qualifier.join(".")),
            });
        }
        for (at, column) in columns {
            if let Some((used, id)) = column.origin {
                self.uses[used].columns.insert(id);
            }
            let bound = Bound::column(at, column.ty, column.nullable);
            let described = self.describe(column.name.clone(), &bound);
            items.bound.push(bound);
            items.columns.push(described);
        }
        Ok(())
    }

    fn describe(&self, name: String, bound: &Bound) -> Column {
        let base = match bound.kind {
            Kind::Column { depth: 0, index } => self.scopes.last().and_then(|s| s.columns.get(index)),
            _ => None,
        };
        Column {
            name,
            ty: bound.ty,
            nullable: bound.nullable,
            identity: base.is_some_and(|c| c.identity),
            computed: base.is_none(),
        }
    }

    fn order(
        &mut self,
        order: &'q [OrderItem],
        select: &Select,
        items: &Items,
    ) -> Result<Vec<(SortKey, bool)>> {
        let mut keys = Vec::new();
        for item in order {
            keys.push((self.order_key(&item.expr, select, items)?, item.descending));
        }
        Ok(keys)
    }

    fn order_key(&mut self, expr: &'q Expr, select: &Select, items: &Items) -> Result<SortKey> {
        if let Expr::Literal(Datum::Int(n), _) = expr {
            let at = usize::try_from(*n).ok().filter(|n| (1..=items.bound.len()).contains(n));
            return at.map(|n| SortKey::Item(n - 1)).ok_or_else(|| message::order_position(n));
        }
        if is_constant(expr) {
            return Err(message::SqlError::new(
                408,
                16,
                1,
                "A constant expression was encountered in the ORDER BY list, position 1.",
            ));
        }
        if let Expr::Column(parts) = expr
            && let [name] = parts.as_slice()
        {
            let named: Vec<usize> =
                (0..items.columns.len()).filter(|at| text::equal(&items.columns[*at].name, name)).collect();
            match named.as_slice() {
                [] => {}
                [first, rest @ ..] if rest.iter().all(|at| items.bound[*at] == items.bound[*first]) => {
                    return Ok(SortKey::Item(*first));
                }
                _ => return Err(message::ambiguous_column(name)),
            }
        }
        let bound = self.value(expr)?;
        if let Some(at) = items.bound.iter().position(|b| *b == bound) {
            return Ok(SortKey::Item(at));
        }
        if select.distinct { Err(message::order_distinct()) } else { Ok(SortKey::Expr(bound)) }
    }

    /// Rewrites everything above GROUP BY to read the group's row: its keys, then its aggregates.
    fn regroup_all(
        &self,
        grouping: &mut Grouping,
        items: &mut [Bound],
        sort: &mut [(SortKey, bool)],
        windows: &mut [Window],
    ) -> Result<()> {
        let keys = grouping.keys.clone();
        for item in items {
            self.regroup(item, &keys, &|name| message::not_grouped(name))?;
        }
        for (key, _) in sort {
            if let SortKey::Expr(bound) = key {
                self.regroup(bound, &keys, &|name| message::not_grouped_order(name))?;
            }
        }
        for window in windows {
            for bound in window.partition.iter_mut().chain(window.order.iter_mut().map(|(b, _)| b)) {
                self.regroup(bound, &keys, &|name| message::not_grouped(name))?;
            }
        }
        if let Some(having) = &mut grouping.having {
            self.regroup(having, &keys, &|name| message::not_grouped_having(name))?;
        }
        Ok(())
    }

    fn regroup(
        &self,
        bound: &mut Bound,
        keys: &[Bound],
        refuse: &dyn Fn(String) -> message::SqlError,
    ) -> Result<()> {
        if let Some(at) = keys.iter().position(|key| key == bound) {
            bound.kind = Kind::Column { depth: 0, index: at };
            return Ok(());
        }
        match bound.kind {
            Kind::Aggregate(at) => {
                bound.kind = Kind::Column { depth: 0, index: keys.len() + at };
                Ok(())
            }
            Kind::Column { depth: 0, index } if index < WINDOW_BASE => {
                let column = self.scopes.last().and_then(|s| s.columns.get(index));
                Err(refuse(column.map_or(String::new(), |c| format!("{}.{}", c.qualifier, c.name))))
            }
            _ => bound.for_each_child_mut(&mut |child| self.regroup(child, keys, refuse)),
        }
    }
}

fn number_windows(bound: &mut Bound, width: usize) {
    if let Kind::Column { depth: 0, index } = &mut bound.kind
        && *index >= WINDOW_BASE
    {
        *index = *index - WINDOW_BASE + width;
    }
    let _ = bound.for_each_child_mut::<()>(&mut |child| {
        number_windows(child, width);
        Ok(())
    });
}

fn set_order(order: &[OrderItem], columns: &[Column]) -> Result<Vec<(SortKey, bool)>> {
    let key = |item: &OrderItem| match &item.expr {
        Expr::Literal(Datum::Int(n), _) => usize::try_from(*n)
            .ok()
            .filter(|n| (1..=columns.len()).contains(n))
            .map(|n| n - 1)
            .ok_or_else(|| message::order_position(n)),
        Expr::Column(parts) => columns
            .iter()
            .position(|c| parts.last().is_some_and(|name| text::equal(&c.name, name)))
            .ok_or_else(message::order_set),
        _ => Err(message::order_set()),
    };
    order.iter().map(|item| Ok((SortKey::Item(key(item)?), item.descending))).collect()
}

fn convert_column(plan: &mut QueryPlan, at: usize, ty: SqlType) -> Result<()> {
    match &mut plan.body {
        BodyPlan::Select(select) => {
            let item = std::mem::replace(&mut select.items[at], Bound::constant(Datum::Null, ty));
            select.items[at] = super::implicit(item, ty)?;
        }
        BodyPlan::Set(_, left, right) => {
            convert_column(left, at, ty)?;
            convert_column(right, at, ty)?;
        }
    }
    plan.columns[at].ty = ty;
    Ok(())
}

/// Hands each condition to the lowest source that has its columns; what needs the whole row stays.
pub fn place_all(source: &mut Source, conditions: Vec<Bound>, rest: &mut Vec<Bound>) {
    for condition in conditions {
        if condition.has_query() {
            rest.push(condition);
        } else if let Some(back) = place(source, condition, 0) {
            rest.push(back);
        }
    }
}

/// Places a condition on the leaf where its last column appears; gives it back if no leaf may take it.
fn place(source: &mut Source, condition: Bound, base: usize) -> Option<Bound> {
    match source {
        Source::Single => Some(condition),
        Source::Table(table) => {
            table.filters.push(condition);
            None
        }
        Source::Rows { filters, .. } | Source::Query { filters, .. } | Source::Values { filters, .. } => {
            filters.push(condition);
            None
        }
        Source::Join(join) => {
            let split = base + join.left_width;
            let on_left = condition.reach() <= split;
            match join.kind {
                JoinKind::Inner | JoinKind::Cross if on_left => place(&mut join.left, condition, base),
                JoinKind::Inner | JoinKind::Cross => place(&mut join.right, condition, split),
                JoinKind::Left | JoinKind::CrossApply | JoinKind::OuterApply if on_left => {
                    place(&mut join.left, condition, base)
                }
                JoinKind::Left
                | JoinKind::Right
                | JoinKind::Full
                | JoinKind::CrossApply
                | JoinKind::OuterApply => {
                    join.filters.push(condition);
                    None
                }
            }
        }
    }
}

/// Moves ON conditions of inner joins, and of the inner side of left joins, to the leaves they belong to.
pub fn place_join_conditions(source: &mut Source) {
    place_joins(source, 0);
}

fn place_joins(source: &mut Source, base: usize) {
    let Source::Join(join) = source else { return };
    let split = base + join.left_width;
    place_joins(&mut join.left, base);
    place_joins(&mut join.right, split);
    let plain_right = !matches!(join.right, Source::Join(_));
    for condition in std::mem::take(&mut join.on) {
        let movable = !condition.has_query();
        let back = match join.kind {
            JoinKind::Inner if movable && condition.reach() <= split => {
                place(&mut join.left, condition, base)
            }
            JoinKind::Inner if movable => place(&mut join.right, condition, split),
            JoinKind::Left if movable && plain_right => place(&mut join.right, condition, split),
            _ => Some(condition),
        };
        join.on.extend(back);
    }
}

/// Tells a lone table which order would spare the sort.
fn set_wanted(source: &mut Source, sort: &[(SortKey, bool)], items: &[Bound], plain: bool) {
    let Source::Table(table) = source else { return };
    if !plain {
        return;
    }
    let column = |key: &SortKey| {
        let bound = match key {
            SortKey::Item(at) => &items[*at],
            SortKey::Expr(bound) => bound,
        };
        match bound.kind {
            Kind::Column { depth: 0, index } => Some(index),
            _ => None,
        }
    };
    let wanted: Option<Vec<_>> = sort.iter().map(|(key, desc)| Some((column(key)?, *desc))).collect();
    table.wanted = wanted.unwrap_or_default();
}

fn refers_to(query: &Query, name: &str) -> bool {
    fn in_body(body: &Body, name: &str) -> bool {
        match body {
            Body::Select(select) => select.from.iter().any(|f| in_from(f, name)),
            Body::Set(_, a, b) => in_body(a, name) || in_body(b, name),
            Body::Nested(query) => in_body(&query.body, name),
        }
    }
    fn in_from(from: &crate::engine::ast::From, name: &str) -> bool {
        use crate::engine::ast::From;
        match from {
            From::Table { name: table, .. } => table.0.len() == 1 && text::equal(table.object(), name),
            From::Derived { query, .. } => in_body(&query.body, name),
            From::Join { left, right, .. } => in_from(left, name) || in_from(right, name),
            From::Function { .. } | From::Changes { .. } | From::Values { .. } => false,
        }
    }
    in_body(&query.body, name)
}

/// Literals, and arithmetic on them alone.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) | Expr::Null => true,
        Expr::Negate(inner) => is_constant(inner),
        Expr::Binary(_, left, right) => is_constant(left) && is_constant(right),
        _ => false,
    }
}
