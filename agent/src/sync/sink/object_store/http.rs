//! HTTP for the object store: the client that everything else here uses, behind the store's own interface. A second client
//! with its own TLS would come with forty more crates.
//!
//! Invariant: what a store answers is told by its error code alone; its text may quote keys and signed requests.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "errors of others: a few have a meaning here, any other has none"
)]

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{BackoffConfig, ClientOptions, Error, RetryConfig};
use ureq::http::header::{HeaderValue, IF_NONE_MATCH};
use ureq::http::request::Parts;
use ureq::http::{Method, Request, Response};

use crate::http::agent_without_redirects;
use crate::tasks::Tasks;

/// Makes the client.
#[derive(Debug)]
pub(super) struct UreqConnector(Service);

#[derive(Debug, Clone)]
struct Service {
    agent: ureq::Agent,
    tasks: Tasks,
}

impl UreqConnector {
    pub(super) fn new(tasks: Tasks) -> Self {
        Self(Service { agent: agent_without_redirects(PATIENCE), tasks })
    }
}

impl HttpConnector for UreqConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        if completes_parts(&parts) {
            parts.headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let body = body.collect().await?.to_bytes();
        let agent = self.agent.clone();
        let asked = self.tasks.blocking(move || ask(&agent, Request::from_parts(parts, body))).await;
        asked.map_err(|gone| HttpError::new(HttpErrorKind::Interrupted, gone))?
    }
}

/// Whether the request makes an object of its parts. The crate completes them whatever is there meanwhile; the condition
/// may be added to the signed request, because only `host` and `x-amz-*` must be signed.
fn completes_parts(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.query().is_some_and(|query| query.contains("uploadId="))
}

fn ask(agent: &ureq::Agent, request: Request<bytes::Bytes>) -> Result<HttpResponse, HttpError> {
    let (parts, body) = request.into_parts();
    let answer = if body.is_empty() && parts.method != "PUT" && parts.method != "POST" {
        agent.run(Request::from_parts(parts, ()))
    } else {
        agent.run(Request::from_parts(parts, &body[..]))
    };
    let (parts, mut body) = answer.map_err(of_ureq)?.into_parts();
    let content = body.with_config().limit(LARGEST_ANSWER).read_to_vec().map_err(of_ureq)?;
    Ok(Response::from_parts(parts, HttpResponseBody::from(content)))
}

fn of_ureq(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Io(reason) if reason.kind() == std::io::ErrorKind::ConnectionRefused => {
            HttpErrorKind::Connect
        }
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}

/// Few and soon: the delivery itself is tried again with growing pauses.
pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(200), ..BackoffConfig::default() },
        max_retries: 3,
        retry_timeout: Duration::from_secs(60),
    }
}

/// What a store's refusal means, without anything it quotes.
#[must_use]
pub fn reason(error: &Error) -> String {
    let whole = error.to_string();
    let code =
        whole.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
    let code = code.filter(|code| code.len() <= 60 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let meaning = match error {
        Error::NotFound { .. } => "no such bucket or object",
        Error::PermissionDenied { .. } => "the keys may not do this, or are not valid",
        Error::Unauthenticated { .. } => "the keys are refused",
        Error::AlreadyExists { .. } | Error::Precondition { .. } => "something else is there",
        _ => "the store did not take it",
    };
    match code {
        Some(code) => format!("{meaning} ({code})"),
        None => match transport(error) {
            Some(why) => format!("the store cannot be reached: {why}"),
            None => meaning.to_owned(),
        },
    }
}

/// The reason of a request that got no answer.
fn transport(error: &Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(source) = cause {
        if let Some(broken) = source.downcast_ref::<ureq::Error>() {
            return Some(broken.to_string());
        }
        cause = source.source();
    }
    None
}

const PATIENCE: Duration = Duration::from_secs(60);
const LARGEST_ANSWER: u64 = 256 << 20;
