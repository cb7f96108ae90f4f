//! Salt's `http` module: `query` and `wait_for_successful_query`.
//!
//! The answer holds what was asked for: `body`, or `text`, `dict` (with `decode`), `status`, `headers`. An address that does not
//! answer is told in `error`, as Salt tells it, and is no failure of the function.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use states::{Map, Value, yaml};

use crate::{
    http::{self, HttpRequest},
    modules::{Arguments, CallContext, FunctionSpec, Module, ModuleError},
};

/// The module.
pub struct Http;

impl Module for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn functions(&self) -> &'static [FunctionSpec] {
        FUNCTIONS
    }

    fn call<'a>(
        &'a self,
        fun: &'a str,
        args: Arguments,
        call: &'a CallContext,
    ) -> BoxFuture<'a, Result<Value, ModuleError>> {
        Box::pin(async move {
            match fun {
                "query" => query(&args, call).await.map(Into::into),
                _ => patient(&args, call).await,
            }
        })
    }
}

/// Asks until there is an answer or the time is over.
async fn patient(args: &Arguments, call: &CallContext) -> Result<Value, ModuleError> {
    let wait = Duration::from_secs(u64::try_from(args.integer("wait_for")?).unwrap_or(0));
    let begun = Instant::now();
    loop {
        let answer = query(args, call).await?;
        if !answer.contains_key("error") {
            return Ok(answer.into());
        }
        if begun.elapsed() > wait || call.cancel.is_cancelled() {
            return Err(ModuleError::Execution(
                answer.get("error").map(ToString::to_string).unwrap_or_default(),
            ));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn query(args: &Arguments, call: &CallContext) -> Result<Map, ModuleError> {
    let given = args.keywords.clone();
    let request = request(args.text("url")?, &given)?;
    let asked = call.services.tasks.blocking(move || answered(&request)).await;
    let mut answer = Map::new();
    match asked.map_err(|error| ModuleError::Execution(error.to_string()))? {
        Err(why) => {
            answer.insert("status", 0);
            answer.insert("error", why);
        }
        Ok(got) if got.status >= 400 => {
            answer.insert("status", i64::from(got.status));
            answer.insert("error", format!("HTTP {}: {}", got.status, got.reason));
            answer.insert("body", got.text);
        }
        Ok(got) => fill(&mut answer, got, &given)?,
    }
    Ok(answer)
}

/// What came back.
struct Answer {
    status: u16,
    reason: String,
    headers: Vec<(String, String)>,
    text: String,
}

fn answered(request: &HttpRequest) -> Result<Answer, String> {
    let mut got = http::send(request).map_err(|error| error.to_string())?;
    let text = got.text().map_err(|error| error.to_string())?;
    Ok(Answer { status: got.status, reason: got.reason, headers: got.headers, text })
}

fn fill(answer: &mut Map, got: Answer, given: &Map) -> Result<(), ModuleError> {
    let wants = |key: &str| given.get(key).is_some_and(Value::is_truthy);
    if wants("status") {
        answer.insert("status", i64::from(got.status));
    }
    if wants("headers") {
        let headers = got.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        answer.insert("headers", headers.collect::<Map>());
    }
    answer.insert("body", got.text.as_str());
    if wants("decode") {
        let kind = got.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let kind = kind.map_or("application/json", |(_, kind)| kind.as_str());
        let said = given.get("decode_type").map(ToString::to_string).filter(|kind| kind != "auto");
        let kind =
            said.as_deref().or_else(|| ["xml", "json", "yaml"].into_iter().find(|word| kind.contains(word)));
        let failed = |why: String| {
            ModuleError::Execution(format!("the answer is not {}: {why}", kind.unwrap_or("plain")))
        };
        match kind {
            Some("json") => {
                let data: Value =
                    serde_json::from_str(&got.text).map_err(|error| failed(error.to_string()))?;
                answer.insert("dict", data);
            }
            Some("yaml") => {
                answer.insert("dict", yaml::load(&got.text).map_err(|error| failed(error.to_string()))?);
            }
            Some("xml") => {
                return Err(failed("XML is not decoded by this minion; leave 'decode' out".to_owned()));
            }
            Some(_) | None => {
                answer.insert("text", got.text.as_str());
            }
        }
    }
    if wants("text") {
        answer.insert("text", got.text);
    }
    Ok(())
}

fn request(url: String, given: &Map) -> Result<HttpRequest, ModuleError> {
    for key in ["cert", "template_data", "data_file", "header_file", "formdata", "stream", "session"] {
        if given.get(key).is_some_and(Value::is_truthy) {
            let text = format!("The '{key}' option of http.query is not supported by this minion");
            return Err(ModuleError::Invocation(text));
        }
    }
    if given.get("verify_ssl") == Some(&Value::Bool(false)) {
        let text = "Certificates are always verified by this minion: leave 'verify_ssl' out";
        return Err(ModuleError::Invocation(text.to_owned()));
    }
    let text = |key: &str| given.get(key).filter(|value| !value.is_nil()).map(ToString::to_string);
    let pairs = |key: &str| given.get(key).and_then(Value::as_map).into_iter().flatten();
    let mut url = url;
    let mut sign = if url.contains('?') { '&' } else { '?' };
    for (name, value) in pairs("params") {
        let pair: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(&name.to_string(), &value.to_string())
            .finish();
        url.push(sign);
        url.push_str(&pair);
        sign = '&';
    }
    let mut headers: Vec<(String, String)> =
        pairs("header_dict").map(|(name, value)| (name.to_string(), value.to_string())).collect();
    for line in given.get("header_list").and_then(Value::as_list).unwrap_or_default() {
        if let Some((name, value)) = line.to_string().split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    let data = match given.get("data") {
        Some(Value::Map(pairs)) => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())));
            Some(form.finish().into_bytes())
        }
        _ => text("data").map(String::into_bytes),
    };
    let timeout = given.get("timeout").and_then(Value::as_float);
    Ok(HttpRequest {
        url,
        method: text("method").unwrap_or_default(),
        headers,
        data,
        credentials: text("username").map(|user| (user, text("password").unwrap_or_default())),
        timeout: timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    })
}

const FUNCTIONS: &[FunctionSpec] = &[
    FunctionSpec {
        name: "query",
        signature: "url, **kwargs",
        doc: "Asks an address: method, params, data, header_dict, header_list, username, password, timeout; returns body, \
              and with text, decode, status or headers also these.",
    },
    FunctionSpec {
        name: "wait_for_successful_query",
        signature: "url, wait_for=300, **kwargs",
        doc: "Asks an address until it answers.",
    },
];
