//! Salt's `http` state module: whether an address answers as expected.

use std::time::{Duration, Instant};

use fancy_regex::Regex;
use futures_util::future::BoxFuture;
use states::{Map, StateReturn, Value};

use crate::{
    http::{self, HttpRequest},
    state_modules::{RunMode, StateArgs, StateContext, StateModule},
};

/// The module.
pub struct Http;

impl StateModule for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn functions(&self) -> &'static [&'static str] {
        &["query", "wait_for_successful_query"]
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: &'a StateArgs,
        run: &'a StateContext,
    ) -> BoxFuture<'a, StateReturn> {
        Box::pin(async move {
            match fun {
                "query" if args.given("wait_for").is_none() => query(args, run).await,
                _ => patient(args, run).await,
            }
        })
    }
}

/// Asks until the answer is right or the time is over.
async fn patient(args: &StateArgs, run: &StateContext) -> StateReturn {
    let seconds = |key: &str| args.given(key).and_then(Value::as_float);
    let wait = Duration::try_from_secs_f64(seconds("wait_for").unwrap_or(300.0)).unwrap_or_default();
    let pause = Duration::try_from_secs_f64(seconds("request_interval").unwrap_or(1.0)).unwrap_or_default();
    let begun = Instant::now();
    loop {
        let ret = query(args, run).await;
        if ret.result != Some(false) || begun.elapsed() > wait || run.cancel.is_cancelled() {
            return ret;
        }
        tokio::time::sleep(pause).await;
    }
}

async fn query(args: &StateArgs, run: &StateContext) -> StateReturn {
    let (wanted, status) = (args.given("match"), args.given("status"));
    if wanted.is_none() && status.is_none() {
        let why = " Either match text (match) or a status code (status) is required.";
        let extra = [("data", Map::new())].into_iter().collect();
        return StateReturn { extra, ..StateReturn::failed(why) };
    }
    let dry = run.mode == RunMode::Test;
    let asked = request(args);
    let answer = match (dry, asked) {
        (true, _) => Ok((0, String::new())),
        (false, Err(why)) => Err(why),
        (false, Ok(request)) => run
            .services
            .tasks
            .blocking(move || answered(&request))
            .await
            .unwrap_or_else(|error| Err(error.to_string())),
    };
    let mut data = Map::new();
    let (code, text) = match answer {
        Ok(_) if dry => (String::new(), String::new()),
        Ok((code, text)) => {
            data.insert("status", i64::from(code));
            data.insert("text", text.as_str());
            (code.to_string(), text)
        }
        Err(error) => {
            data.insert("error", error);
            data.insert("status", 0);
            ("0".to_owned(), String::new())
        }
    };
    let mut verdict = Verdict { result: None, comment: String::new() };
    if let Some(wanted) = wanted {
        verdict.text(&wanted.to_string(), &args.text("match_type").unwrap_or_default(), &text);
    }
    if let Some(status) = status {
        verdict.status(status, &args.text("status_type").unwrap_or_default(), &code);
    }
    let mut ret = StateReturn { result: verdict.result, ..StateReturn::ok(verdict.comment.trim()) };
    if dry {
        ret.result = None;
        ret.comment.push_str(" (TEST MODE)");
    }
    ret.extra.insert("data", data);
    ret
}

fn request(args: &StateArgs) -> Result<HttpRequest, String> {
    for key in ["cert", "backend", "template_data", "data_file", "header_file", "params"] {
        if args.given(key).is_some() {
            return Err(format!("The '{key}' option of http.query is not supported by this minion"));
        }
    }
    if args.args.get("verify_ssl") == Some(&Value::Bool(false)) {
        return Err("Certificates are always verified by this minion: leave 'verify_ssl' out".to_owned());
    }
    let headers = args.given("header_dict").and_then(Value::as_map).into_iter().flatten();
    let credentials = args.text("username").map(|user| (user, args.text("password").unwrap_or_default()));
    Ok(HttpRequest {
        url: args.name.clone(),
        method: args.text("method").unwrap_or_default(),
        headers: headers.map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        data: args.text("data").map(String::into_bytes),
        credentials,
        timeout: args
            .given("timeout")
            .and_then(Value::as_float)
            .and_then(|s| Duration::try_from_secs_f64(s).ok()),
    })
}

fn answered(request: &HttpRequest) -> Result<(u16, String), String> {
    let mut answer = http::send(request).map_err(|error| error.to_string())?;
    let text = answer.text().map_err(|error| error.to_string())?;
    Ok((answer.status, text))
}

struct Verdict {
    result: Option<bool>,
    comment: String,
}

impl Verdict {
    fn text(&mut self, wanted: &str, kind: &str, text: &str) {
        let (found, word) = match kind {
            "pcre" => (finds(wanted, text), "pattern"),
            "" | "string" => (text.contains(wanted), "text"),
            _ => return,
        };
        self.result = Some(found);
        let not = if found { "" } else { "not " };
        self.comment.push_str(&format!(" Match {word} \"{wanted}\" was {not}found."));
    }

    fn status(&mut self, wanted: &Value, kind: &str, code: &str) {
        let found = match (kind, wanted) {
            ("list", Value::List(codes)) => {
                let hit = codes.iter().find(|wanted| wanted.to_string() == code);
                match hit {
                    Some(hit) => self.comment.push_str(&format!(" Status {hit} was found.")),
                    None => self.comment.push_str(&format!(" Statuses {wanted} were not found.")),
                }
                hit.is_some()
            }
            ("pcre", _) => {
                let found = finds(&wanted.to_string(), code);
                let not = if found { "" } else { "not " };
                self.comment.push_str(&format!(" Status pattern \"{wanted}\" was {not}found."));
                found
            }
            (_, _) => {
                let found = wanted.to_string() == code;
                let not = if found { "" } else { "not " };
                self.comment.push_str(&format!(" Status {wanted} was {not}found."));
                found
            }
        };
        self.result = Some(found && self.result != Some(false));
    }
}

fn finds(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|regex| regex.is_match(text).unwrap_or(false))
}
