//! HTTP requests of states and of the file client.
//!
//! One request, one answer; redirects are followed, certificates are checked against the machine's own store, and a
//! proxy of the environment or of Windows is used. Everything waits, so it runs on a blocking thread.
//! User and password of an address go into the request's header and into no message.

use std::{io::Read, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;
use ureq::{
    Agent, Body,
    config::ConfigBuilder,
    http::{Method, Request, Response},
    tls::{RootCerts, TlsConfig, TlsProvider},
    typestate::AgentScope,
};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest {
    /// The address, `http` or `https`.
    pub url: String,
    /// The method; GET when empty.
    pub method: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub data: Option<Vec<u8>>,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// When to give up waiting for the next byte.
    pub timeout: Option<Duration>,
}

/// What came back, whatever its status.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Its words.
    pub reason: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    body: Body,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The address cannot be asked.
    #[error("{url} cannot be asked: {why}")]
    Address {
        /// The address without credentials.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server could not be reached, or broke off.
    #[error("{url} does not answer: {source}")]
    Transport {
        /// The address without credentials.
        url: String,
        /// The reason.
        source: ureq::Error,
    },
}

impl HttpAnswer {
    /// The body as a stream.
    pub fn reader(&mut self) -> impl Read + '_ {
        self.body.as_reader()
    }

    /// The body as a stream that outlives the answer.
    pub fn into_reader(self) -> impl Read + Send + 'static {
        self.body.into_reader()
    }

    /// The body as text, up to a bound.
    ///
    /// # Errors
    /// It broke off.
    pub fn text(&mut self) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        self.body.as_reader().take(LARGEST_TEXT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Sends a request. Blocks.
///
/// # Errors
/// See [`HttpError`]; a status of any kind is an answer.
pub fn send(request: &HttpRequest) -> Result<HttpAnswer, HttpError> {
    let (url, credentials) = without_credentials(&request.url);
    let shown = redacted(&request.url);
    let bad = |why: String| HttpError::Address { url: shown.clone(), why };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(bad("only http and https are known".to_owned()));
    }
    let method = if request.method.is_empty() { "GET" } else { &request.method };
    let method =
        Method::from_bytes(method.to_uppercase().as_bytes()).map_err(|error| bad(error.to_string()))?;
    let mut built = Request::builder().method(method).uri(&url);
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    if let Some((user, password)) = request.credentials.clone().or(credentials) {
        built =
            built.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    }
    let transport = |source| HttpError::Transport { url: shown.clone(), source };
    let agent = agent(request.timeout.unwrap_or(PATIENCE));
    let answer = match &request.data {
        Some(data) => {
            let built = built.body(data.as_slice()).map_err(|error| bad(error.to_string()))?;
            agent.run(built)
        }
        None => agent.run(built.body(()).map_err(|error| bad(error.to_string()))?),
    };
    Ok(answered(answer.map_err(transport)?))
}

fn answered(answer: Response<Body>) -> HttpAnswer {
    let (parts, body) = answer.into_parts();
    let headers = parts.headers.iter();
    HttpAnswer {
        status: parts.status.as_u16(),
        reason: parts.status.canonical_reason().unwrap_or_default().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
    }
}

/// A client that takes a redirect for an answer, as a signed request needs it.
pub(crate) fn agent_without_redirects(patience: Duration) -> Agent {
    configured(patience).max_redirects(0).max_redirects_will_error(false).build().into()
}

fn agent(patience: Duration) -> Agent {
    configured(patience).build().into()
}

fn configured(patience: Duration) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_connect(Some(patience))
        .timeout_recv_response(Some(patience))
        .timeout_recv_body(Some(LONGEST_BODY))
        .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")))
}

/// The address without user and password, and these.
fn without_credentials(url: &str) -> (String, Option<(String, String)>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((login, host)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (format!("{scheme}://{host}{}", &rest[end..]), Some((user.to_owned(), password.to_owned())))
        }
        None => (url.to_owned(), None),
    }
}

/// The address as messages may show it.
#[must_use]
pub fn redacted(url: &str) -> String {
    match without_credentials(url) {
        (plain, Some(_)) => plain.replacen("://", "://<redacted>@", 1),
        (plain, None) => plain,
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_BODY: Duration = Duration::from_secs(6 * 3600);
const LARGEST_TEXT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_password() {
        assert_eq!(redacted("https://u:secret@h/p?q=a@b"), "https://<redacted>@h/p?q=a@b");
        assert_eq!(redacted("https://h/a@b"), "https://h/a@b");
        let (url, credentials) = without_credentials("http://u:p@h:8/x");
        assert_eq!((url.as_str(), credentials), ("http://h:8/x", Some(("u".to_owned(), "p".to_owned()))));
    }

    #[test]
    fn refuses_other_schemes() {
        let request = HttpRequest { url: "ftp://h/x".to_owned(), ..HttpRequest::default() };
        assert!(send(&request).unwrap_err().to_string().contains("only http and https"));
    }
}
