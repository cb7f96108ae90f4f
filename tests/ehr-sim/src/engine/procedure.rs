//! System procedures: `sp_executesql`, the prepare family, and the few that clients call by themselves.
//!
//! A procedure not listed is refused with 2812. Facts: "sp_executesql", MS-TDS 2.2.6.6 (well-known procedures).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the kinds named differ; all others share the documented default"
)]

use super::ast::Expr;
use super::fault::Fault;
use super::functions::split_name;
use super::message::{self, Result};
use super::parse::parse_declarations;
use super::run::{Ended, Runner};
use super::session::Variable;
use super::value::convert::{self, Fit};
use super::value::text;
use crate::types::{Datum, Param, SqlType};

/// A prepared statement.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub statement: String,
    pub declarations: String,
}

/// A call's argument.
pub type Arg = Param;

impl Runner<'_> {
    /// Runs a system procedure, in the database its name says. Answers its return status and changed output parameters.
    pub fn call(&mut self, procedure: &str, args: Vec<Arg>) -> Result<(i32, Vec<(u16, Param)>)> {
        let missing = || message::no_procedure(procedure);
        let name = split_name(procedure).ok_or_else(missing)?;
        let system = |schema: &str| text::equal(schema, "sys") || text::equal(schema, "dbo");
        if name.0.len() > 3 || name.schema().is_some_and(|schema| !system(schema)) {
            return Err(missing());
        }
        let home = self.core().database();
        if let Some(other) = name.database() {
            self.core().set_database(self.core().open_database(other)?);
        }
        let result = self.call_here(&name.object().to_ascii_lowercase(), procedure, args);
        self.core().set_database(home);
        result
    }

    fn call_here(
        &mut self,
        bare: &str,
        procedure: &str,
        mut args: Vec<Arg>,
    ) -> Result<(i32, Vec<(u16, Param)>)> {
        match bare {
            "sp_executesql" => {
                for (arg, name) in args.iter().zip(["@statement", "@parameters"]) {
                    if !arg.value.is_null() && !matches!(arg.ty, SqlType::NVarChar(_) | SqlType::NChar(_)) {
                        return Err(not_unicode(name));
                    }
                }
                let statement = required_text(&args, 0, "@statement", "sp_executesql")?;
                let declarations = optional_text(&args, 1);
                let values = args.split_off(args.len().min(2));
                self.execute_sql(&statement, &declarations, values, 2)
            }
            "sp_prepare" => {
                let declarations = optional_text(&args, 1);
                let statement = required_text(&args, 2, "@stmt", "sp_prepare")?;
                let handle = self.prepare(statement, declarations)?;
                Ok((0, handle_output(&args, handle)))
            }
            "sp_prepexec" => {
                let declarations = optional_text(&args, 1);
                let statement = required_text(&args, 2, "@stmt", "sp_prepexec")?;
                let handle = self.prepare(statement.clone(), declarations.clone())?;
                let mut outputs = handle_output(&args, handle);
                let values = args.split_off(args.len().min(3));
                let (status, more) = self.execute_sql(&statement, &declarations, values, 3)?;
                outputs.extend(more);
                Ok((status, outputs))
            }
            "sp_execute" => {
                let handle = handle(&args);
                let prepared = self.core().prepared.borrow().get(&handle).cloned();
                let prepared = prepared.ok_or_else(|| message::prepared_missing(handle))?;
                let values = args.split_off(args.len().min(1));
                self.execute_sql(&prepared.statement, &prepared.declarations, values, 1)
            }
            "sp_unprepare" => {
                let handle = handle(&args);
                let removed = self.core().prepared.borrow_mut().remove(&handle);
                removed.map(|_| (0, Vec::new())).ok_or_else(|| message::prepared_missing(handle))
            }
            "sp_reset_connection" => Ok((0, Vec::new())),
            "xp_ehrsim_fault" => self.fault(&args),
            _ => Err(message::no_procedure(procedure)),
        }
    }

    /// `xp_ehrsim_fault @fault, @subject, @milliseconds`, for sysadmin alone.
    fn fault(&mut self, args: &[Arg]) -> Result<(i32, Vec<(u16, Param)>)> {
        if !self.core().is_sysadmin() {
            return Err(message::denied_object("EXECUTE", "xp_ehrsim_fault", "mssqlsystemresource", "sys"));
        }
        let name = required_text(args, 0, "@fault", "xp_ehrsim_fault")?;
        let milliseconds = args.get(2).and_then(|a| a.value.as_i64()).unwrap_or(0);
        let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
        let fault = Fault::parse(&name, &optional_text(args, 1), milliseconds);
        let instance = self.core().instance.clone();
        match fault.and_then(|fault| super::fault::inject(&instance, &fault, self.cancelled())) {
            Ok(()) => Ok((0, Vec::new())),
            Err(error) => Err(message::SqlError::new(50000, 16, 1, error.to_string())),
        }
    }

    fn prepare(&mut self, statement: String, declarations: String) -> Result<i32> {
        super::parse::parse_batch(&statement)?;
        parse_declarations(&declarations)?;
        let core = self.core();
        let handle = core.next_handle.get();
        core.next_handle.set(handle + 1);
        core.prepared.borrow_mut().insert(handle, Prepared { statement, declarations });
        Ok(handle)
    }

    /// Runs parameterized text. `offset` is the ordinal of the first value among the call's arguments.
    fn execute_sql(
        &mut self,
        statement: &str,
        declarations: &str,
        values: Vec<Arg>,
        offset: u16,
    ) -> Result<(i32, Vec<(u16, Param)>)> {
        let declared = parse_declarations(declarations)?;
        let mut variables: Vec<Variable> = Vec::new();
        let mut given: Vec<Option<usize>> = Vec::new();
        for (position, declaration) in declared.iter().enumerate() {
            let at = match values.iter().position(|v| text::equal(&v.name, &declaration.name)) {
                Some(at) => Some(at),
                None => values.get(position).filter(|v| v.name.is_empty()).map(|_| position),
            };
            let ty =
                declaration.ty.ty.ok_or_else(|| message::bad_type(position + 1, &declaration.ty.name))?;
            let value = match (at, &declaration.default) {
                (Some(at), _) => passed(&values[at].value, ty)?,
                (None, Some(Expr::Literal(value, _))) => convert::convert(value, ty, 0, Fit::Cut)?,
                (None, Some(_)) => Datum::Null,
                (None, None) => {
                    let text = format!("({declarations}){statement}");
                    return Err(message::no_parameter_in(&text, &declaration.name));
                }
            };
            given.push(at);
            variables.push(Variable { name: declaration.name.clone(), ty, value });
        }
        for (at, value) in values.iter().enumerate() {
            if !given.contains(&Some(at)) {
                return Err(if value.name.is_empty() {
                    message::SqlError::new(
                        8144,
                        16,
                        2,
                        "Procedure or function  has too many arguments specified.",
                    )
                } else {
                    message::sp_parameter(&value.name)
                });
            }
        }
        let (ended, after) = self.nested(statement, variables)?;
        let outputs = given.iter().enumerate().filter_map(|(position, at)| {
            let at = (*at)?;
            let variable = after.get(position)?;
            (values[at].output && declared[position].output).then(|| {
                let name = values[at].name.clone();
                let param = Param { name, ty: variable.ty, value: variable.value.clone(), output: true };
                (offset + at as u16, param)
            })
        });
        let outputs = outputs.collect();
        match ended {
            Ended::Returned(status) => Ok((status, outputs)),
            Ended::Normally | Ended::Broke | Ended::Continued => Ok((0, outputs)),
        }
    }
}

fn required_text(args: &[Arg], at: usize, name: &str, procedure: &str) -> Result<String> {
    let Some(arg) = args.get(at) else {
        let text = format!(
            "Procedure or function '{procedure}' expects parameter '{name}', which was not supplied."
        );
        return Err(message::SqlError::new(201, 16, 10, text));
    };
    match &arg.value {
        Datum::NVarChar(s) | Datum::VarChar(s) => Ok(s.to_string()),
        Datum::Null => Ok(String::new()),
        _ => Err(not_unicode(name)),
    }
}

fn not_unicode(name: &str) -> message::SqlError {
    let text = format!("Procedure expects parameter '{name}' of type 'ntext/nchar/nvarchar'.");
    message::SqlError::new(214, 16, 2, text)
}

/// An argument as its parameter takes it; what fails to convert is 8114 for every type.
fn passed(value: &Datum, ty: SqlType) -> Result<Datum> {
    convert::convert(value, ty, 0, Fit::Cut).map_err(|error| match error.number {
        245 | 241 | 242 | 295 | 235 | 8169 => {
            message::error_converting(convert::type_of(value).name(), ty.name())
        }
        _ => error,
    })
}

fn optional_text(args: &[Arg], at: usize) -> String {
    args.get(at).and_then(|a| a.value.as_str()).unwrap_or_default().to_owned()
}

fn handle(args: &[Arg]) -> i32 {
    args.first().and_then(|a| a.value.as_i64()).unwrap_or(0) as i32
}

fn handle_output(args: &[Arg], handle: i32) -> Vec<(u16, Param)> {
    let name = args.first().map_or(String::new(), |a| a.name.clone());
    vec![(0, Param { name, ty: SqlType::Int, value: Datum::Int(handle), output: true })]
}
