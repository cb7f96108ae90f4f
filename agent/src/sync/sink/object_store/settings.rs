//! The options of an object store. Secrets are kept out of every text.

use states::Value;
use url::Url;

use crate::store::Secret;
use crate::sync::sink::BadSink;

/// Where an object store is and how it is entered.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreSettings {
    /// The bucket; empty for a folder.
    pub bucket: String,
    /// What every key begins with: the given prefix and the minion's id. A folder's path.
    pub prefix: String,
    /// Its address, when it is not Amazon's.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// Who enters.
    pub access_key_id: String,
    /// With which secret.
    pub secret_access_key: Secret,
    /// Of temporary keys.
    pub session_token: Option<Secret>,
    /// The bucket is a part of the host's name.
    pub virtual_hosted: bool,
    /// Without TLS: for tests, and stores behind a tunnel.
    pub allow_http: bool,
}

impl StoreSettings {
    /// Reads `agent:sync:object_store` for the minion of that id; without an id, keys begin with the prefix alone.
    ///
    /// # Errors
    /// An option is missing or wrong.
    pub fn read(options: &Value, minion: &str) -> Result<Self, BadSink> {
        let text = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_owned);
        let needed = |name: &'static str| text(name).ok_or(BadSink::Option { name, expected: "given" });
        let truth = |name: &str| options.get(name).and_then(Value::as_bool);
        let wrong = BadSink::Option { name: "url", expected: "s3://bucket/prefix or file:///folder" };
        let Ok(url) = Url::parse(&needed("url")?) else { return Err(wrong) };
        let path = url.path().trim_matches('/').to_owned();
        let endpoint = text("endpoint");
        let mut settings = Self {
            bucket: String::new(),
            prefix: url.path().to_owned(),
            virtual_hosted: truth("virtual_hosted").unwrap_or(endpoint.is_none()),
            endpoint,
            region: text("region").unwrap_or_else(|| DEFAULT_REGION.to_owned()),
            access_key_id: String::new(),
            secret_access_key: Secret::new(""),
            session_token: text("session_token").map(Secret::new),
            allow_http: truth("allow_http").unwrap_or(false),
        };
        match (url.scheme(), url.host_str()) {
            ("file", None) if !path.is_empty() => Ok(settings),
            ("s3", Some(bucket)) => {
                settings.bucket = bucket.to_owned();
                settings.prefix = format!("{path}/{minion}").trim_matches('/').to_owned();
                settings.access_key_id = needed("access_key_id")?;
                settings.secret_access_key = Secret::new(needed("secret_access_key")?);
                Ok(settings)
            }
            _ => Err(wrong),
        }
    }

    /// The folder, when it is one.
    #[must_use]
    pub fn folder(&self) -> Option<String> {
        self.bucket.is_empty().then(|| self.prefix.clone())
    }
}

const DEFAULT_REGION: &str = "us-east-1";
