//! The permissions that a definition needs, and no others: derived from its words alone, so that they can be granted
//! before anything looks at the tables.
//!
//! UPDATE and SELECT are by column; INSERT and DELETE are not, because SQL Server knows them for whole tables only.

use crate::access::permission::Permission;
use crate::access::required::{RequesterKind, RequiredPermission, Requirement, Requires};
use crate::mssql::quote::{ObjectName, SqlName};

use super::definition::{Action, Condition, Demand, Once, Operand, Statement, WriteSpec};
use super::ledger::Ledger;

impl Requires for WriteSpec {
    fn requirement(&self) -> Requirement {
        let mut needs = Needs::default();
        for precondition in &self.preconditions {
            needs.read(&precondition.table, columns(&precondition.filter));
            if let Demand::Expect(conditions) = &precondition.demand {
                needs.read(&precondition.table, columns(conditions));
            }
        }
        for statement in &self.statements {
            needs.statement(self, statement);
        }
        needs.read(&self.read_back.table, self.read_back.columns.clone());
        needs.read(&self.read_back.table, columns(&self.read_back.filter));
        let mut requirement = Requirement::new(RequesterKind::Write, self.name.as_str(), &self.connection);
        if let Ok(database) = SqlName::new(self.connection.database.clone()) {
            requirement.permissions = needs.permissions(&database);
        }
        if let (Once::Ledger(database), Some(table)) = (&self.once, Ledger::table()) {
            for permission in
                [Permission::select(), Permission::insert(), Permission::update(), Permission::delete()]
            {
                requirement.permissions.push(RequiredPermission::on_object(
                    database.clone(),
                    table.clone(),
                    permission,
                ));
            }
        }
        requirement
    }
}

/// What is needed per table.
#[derive(Default)]
struct Needs(Vec<(ObjectName, Permission, Vec<SqlName>)>);

impl Needs {
    fn statement(&mut self, spec: &WriteSpec, statement: &Statement) {
        let table = &statement.table;
        self.read(table, columns(statement.filter()));
        let assigned = statement.assignments();
        match &statement.action {
            Action::Insert(_) => self.add(table, Permission::insert(), Vec::new()),
            Action::Delete(_) => self.add(table, Permission::delete(), Vec::new()),
            Action::Update(..) => {
                let set = assigned.iter().map(|assignment| assignment.column.clone()).collect();
                self.add(table, Permission::update(), set);
            }
        }
        let read = assigned.iter().filter(|a| a.operand == Operand::Next || a.operand.adds());
        self.read(table, read.map(|assignment| assignment.column.clone()).collect());
        if let (Once::ExternalId(column), Some(first)) = (&spec.once, spec.statements.first()) {
            self.read(&first.table, vec![column.clone()]);
        }
    }

    fn read(&mut self, table: &ObjectName, columns: Vec<SqlName>) {
        if !columns.is_empty() {
            self.add(table, Permission::select(), columns);
        }
    }

    fn add(&mut self, table: &ObjectName, permission: Permission, columns: Vec<SqlName>) {
        match self.0.iter_mut().find(|(known, held, _)| known == table && *held == permission) {
            Some((.., known)) => {
                for column in columns {
                    if !known.contains(&column) {
                        known.push(column);
                    }
                }
            }
            None => {
                let mut distinct = Vec::new();
                for column in columns {
                    if !distinct.contains(&column) {
                        distinct.push(column);
                    }
                }
                self.0.push((table.clone(), permission, distinct));
            }
        }
    }

    fn permissions(self, database: &SqlName) -> Vec<RequiredPermission> {
        let one = |(table, permission, columns): (ObjectName, Permission, Vec<SqlName>)| {
            if columns.is_empty() {
                RequiredPermission::on_object(database.clone(), table, permission)
            } else {
                RequiredPermission::on_columns(database.clone(), table, permission, columns)
            }
        };
        self.0.into_iter().map(one).collect()
    }
}

fn columns(conditions: &[Condition]) -> Vec<SqlName> {
    conditions.iter().map(|condition| condition.column.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::well_formed::tests::{reschedule, shaped};

    #[test]
    fn a_write_needs_what_its_statements_touch_and_its_ledger() {
        let requirement = shaped(reschedule()).requirement();
        let shown: Vec<String> = requirement
            .permissions
            .iter()
            .map(|needed| {
                let columns: Vec<&str> = needed.columns.iter().map(SqlName::as_str).collect();
                format!(
                    "{} {} {}({})",
                    needed.database,
                    needed.permission.as_str(),
                    needed.securable,
                    columns.join(",")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Main_OMS SELECT dbo.Appointment(AppointmentID,Status,RowVer,StartTime)",
                "Main_OMS UPDATE dbo.Appointment(StartTime,Note)",
                "ledger SELECT dbo.write_ledger()",
                "ledger INSERT dbo.write_ledger()",
                "ledger UPDATE dbo.write_ledger()",
                "ledger DELETE dbo.write_ledger()",
            ]
        );
    }
}
