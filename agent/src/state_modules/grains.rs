//! Salt's `grains` state module: grains that are kept in the grains file.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "data is asked for the shape it can have here; any other is one case"
)]

use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    modules::{
        ModuleError,
        lookup::{DELIMITER, traverse},
    },
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Grains;

impl StateModule for Grains {
    fn name(&self) -> &'static str {
        "grains"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["absent", "append", "exists", "list_absent", "list_present", "present"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            let delimiter = args.text("delimiter").unwrap_or_else(|| DELIMITER.to_owned());
            let name = args.name.replace(&delimiter, DELIMITER);
            // Earlier states of the run may have changed them.
            let grains = run.services.grains_ready().await;
            let held = traverse(&grains, &name, DELIMITER).cloned();
            let grain = Grain { name, held, args, run };
            let done = match fun {
                "present" => grain.present().await,
                "absent" => grain.absent().await,
                "append" => grain.append().await,
                "list_present" => grain.list_present().await,
                "list_absent" => grain.list_absent().await,
                _ => Ok(grain.exists()),
            };
            let mut ret = done.unwrap_or_else(|error| StateReturn::failed(error.to_string()));
            ret.extra.insert("name", grain.name);
            ret
        })
    }
}

struct Grain<'a> {
    name: String,
    held: Option<Value>,
    args: &'a StateArgs,
    run: &'a StateContext,
}

impl Grain<'_> {
    fn dry(&self) -> bool {
        self.run.mode == RunMode::Test
    }

    fn value(&self) -> Value {
        self.args.args.get("value").cloned().unwrap_or_default()
    }

    async fn execute(&self, fun: &str, value: Value, kwargs: Map) -> Result<Value, ModuleError> {
        self.run.execute(&format!("grains.{fun}"), vec![self.name.as_str().into(), value], kwargs).await
    }

    fn exists(&self) -> StateReturn {
        match self.held {
            Some(_) => StateReturn::ok("Grain exists"),
            None => StateReturn::failed("Grain does not exist"),
        }
    }

    async fn present(&self) -> Result<StateReturn, ModuleError> {
        let (name, value) = (&self.name, self.value());
        if self.held.as_ref() == Some(&value) {
            return Ok(StateReturn::ok("Grain is already set"));
        }
        if self.dry() {
            return Ok(match self.held {
                None => {
                    let changes = [("new", name.as_str())].into_iter().collect();
                    StateReturn::would_change(format!("Grain {name} is set to be added"), changes)
                }
                Some(_) => {
                    let change: Map = [(name.as_str(), value)].into_iter().collect();
                    let changes = [("changed", change)].into_iter().collect();
                    StateReturn::would_change(format!("Grain {name} is set to be changed"), changes)
                }
            });
        }
        let mut ret = self.set(value.clone()).await?;
        if ret.result == Some(true) && ret.changes.is_truthy() {
            ret.comment = format!("Set grain {name} to {value}");
        }
        Ok(ret)
    }

    /// `grains.set`, whose answer is the state's.
    async fn set(&self, value: Value) -> Result<StateReturn, ModuleError> {
        let mut kwargs = Map::new();
        for key in ["force", "destructive"] {
            kwargs.insert(key, self.args.flag(key, false));
        }
        let answer = self.execute("set", value, kwargs).await?;
        Ok(StateReturn {
            result: answer.get("result").and_then(Value::as_bool),
            comment: answer.get("comment").map(ToString::to_string).unwrap_or_default(),
            changes: answer.get("changes").cloned().unwrap_or_default(),
            ..StateReturn::default()
        })
    }

    async fn absent(&self) -> Result<StateReturn, ModuleError> {
        let name = &self.name;
        let Some(held) = &self.held else {
            return Ok(StateReturn::ok(format!("Grain {name} does not exist")));
        };
        let destructive = self.args.args.get("destructive") == Some(&Value::Bool(true));
        let deleted: Map = [("deleted", name.as_str())].into_iter().collect();
        let emptied: Map =
            [("grain", Value::from(name.as_str())), ("value", Value::Nil)].into_iter().collect();
        if self.dry() {
            return Ok(match (destructive, held) {
                (true, _) => StateReturn::would_change(format!("Grain {name} is set to be deleted"), deleted),
                (false, Value::Nil) => StateReturn::would_change("", Map::new()),
                (false, _) => {
                    let comment = format!("Value for grain {name} is set to be deleted (None)");
                    StateReturn::would_change(comment, emptied)
                }
            });
        }
        let mut ret = self.set(Value::Nil).await?;
        if ret.result == Some(true) && destructive {
            (ret.comment, ret.changes) = (format!("Grain {name} was deleted"), deleted.into());
        } else if ret.result == Some(true) && !held.is_nil() {
            (ret.comment, ret.changes) = (format!("Value for grain {name} was set to None"), emptied.into());
        }
        Ok(ret)
    }

    async fn append(&self) -> Result<StateReturn, ModuleError> {
        let (name, value) = (&self.name, self.value());
        let added = || -> Map { [("added", value.clone())].into_iter().collect() };
        let done = format!("Value {value} was added to grain {name}");
        match &self.held {
            None => Ok(StateReturn::failed(format!("Grain {name} does not exist"))),
            Some(Value::List(held)) if held.contains(&value) => {
                Ok(StateReturn::ok(format!("Value {value} is already in the list for grain {name}")))
            }
            Some(Value::List(_)) if self.dry() => {
                let comment = format!("Value {value} in grain {name} is set to be added");
                Ok(StateReturn::would_change(comment, added()))
            }
            Some(Value::List(_)) => {
                self.execute("append", value.clone(), Map::new()).await?;
                Ok(StateReturn::changed(done, added()))
            }
            Some(held) if self.args.args.get("convert") == Some(&Value::Bool(true)) => {
                if self.dry() {
                    let comment = format!(
                        "Grain {name} is set to be converted to list and value {value} will be added"
                    );
                    return Ok(StateReturn::would_change(comment, added()));
                }
                let first = Some(held.clone()).filter(|held| !held.is_nil());
                let list: Vec<Value> = first.into_iter().chain([value.clone()]).collect();
                self.execute("setval", list.into(), Map::new()).await?;
                Ok(StateReturn::changed(done, added()))
            }
            Some(_) => Ok(StateReturn::failed(format!("Grain {name} is not a valid list"))),
        }
    }

    async fn list_present(&self) -> Result<StateReturn, ModuleError> {
        let (name, mut value) = (&self.name, self.value());
        let mut comment = String::new();
        let held = self.held.clone().filter(Value::is_truthy);
        if let Some(held) = &held {
            let Value::List(items) = held else {
                return Ok(StateReturn::failed(format!("Grain {name} is not a valid list")));
            };
            let already = |value: &Value| {
                StateReturn::ok(format!("Value {value} is already in grain {name} (or pending)"))
            };
            match &value {
                Value::List(values) => {
                    let (known, new): (Vec<Value>, Vec<Value>) =
                        values.iter().cloned().partition(|value| items.contains(value));
                    if new.is_empty() {
                        return Ok(already(&value));
                    }
                    if !known.is_empty() {
                        comment = format!(
                            "Removed value {} from update due to value found in \"{name}\" (or pending).\n",
                            Value::List(known)
                        );
                    }
                    value = new.into();
                }
                one if items.contains(one) => return Ok(already(&value)),
                _ => {}
            }
            if self.dry() {
                let changes = [("new", held.clone())].into_iter().collect();
                let comment = format!("Value {value} is set to be appended to grain {name}");
                return Ok(StateReturn::would_change(comment, changes));
            }
        }
        if self.dry() {
            let held = self.held.clone().unwrap_or_else(|| "".into());
            let changes = [("new", held)].into_iter().collect();
            return Ok(StateReturn::would_change(format!("Grain {name} is set to be added"), changes));
        }
        let new = self.execute("append", value.clone(), Map::new()).await?;
        let grains = self.run.services.grains.current();
        let actual = traverse(&grains, name, DELIMITER).and_then(Value::as_list).unwrap_or_default();
        let wanted = match &value {
            Value::List(values) => values.clone(),
            one => vec![one.clone()],
        };
        if let Some(lost) = wanted.iter().find(|value| !actual.contains(value)) {
            return Ok(StateReturn::failed(format!("Failed append value {lost} to grain {name}")));
        }
        let changes = [("new", new)].into_iter().collect();
        Ok(StateReturn::changed(format!("{comment}Append value {value} to grain {name}"), changes))
    }

    async fn list_absent(&self) -> Result<StateReturn, ModuleError> {
        let name = &self.name;
        let held = match self.held.clone().filter(Value::is_truthy) {
            None => return Ok(StateReturn::ok(format!("Grain {name} does not exist"))),
            Some(Value::List(held)) => held,
            Some(_) => return Ok(StateReturn::failed(format!("Grain {name} is not a valid list"))),
        };
        let values = match self.value() {
            Value::List(values) => values,
            one => vec![one],
        };
        let (mut comments, mut deleted) = (Vec::new(), Vec::new());
        for value in values {
            if !held.contains(&value) {
                comments.push(format!("Value {value} is absent from grain {name}"));
                continue;
            }
            if self.dry() {
                comments.push(format!("Value {value} in grain {name} is set to be deleted"));
            } else {
                self.execute("remove", value.clone(), Map::new()).await?;
                comments.push(format!("Value {value} was deleted from grain {name}"));
            }
            deleted.push(value);
        }
        let changes: Map =
            (!deleted.is_empty()).then(|| ("deleted", Value::List(deleted.clone()))).into_iter().collect();
        let comment = comments.join("\n");
        Ok(match self.dry() && !deleted.is_empty() {
            true => StateReturn::would_change(comment, changes),
            false => StateReturn::changed(comment, changes),
        })
    }
}
