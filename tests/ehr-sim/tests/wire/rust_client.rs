//! tiberius against the parrot: encryption and typed parameters, as the agent's own client uses them.

use ehr_sim::tds::prelogin::TlsMode;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, Query};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use crate::parrot::{PASSWORD, Parrot};
use crate::support::Running;

async fn connect(
    server: &Running,
    encryption: EncryptionLevel,
) -> tiberius::Result<Client<Compat<TcpStream>>> {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(server.address.port());
    config.authentication(AuthMethod::sql_server("sa", PASSWORD));
    config.encryption(encryption);
    config.trust_cert();
    let socket = TcpStream::connect(server.address).await?;
    socket.set_nodelay(true)?;
    Client::connect(config, socket.compat_write()).await
}

/// Runs a client on a runtime of its own; the server lives outside it.
fn block_on<T>(client: impl Future<Output = T>) -> T {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(client)
}

#[test]
fn connects_under_every_encryption() {
    for (mode, level) in [
        (TlsMode::Off, EncryptionLevel::NotSupported),
        (TlsMode::Login, EncryptionLevel::NotSupported),
        (TlsMode::Login, EncryptionLevel::Off),
        (TlsMode::Login, EncryptionLevel::Required),
        (TlsMode::On, EncryptionLevel::Off),
        (TlsMode::On, EncryptionLevel::Required),
    ] {
        let server = Running::start(Parrot::default(), mode);
        let rows = block_on(async {
            let mut client = connect(&server, level).await?;
            client.simple_query("rows 5000").await?.into_first_result().await
        });
        let rows = rows.unwrap_or_else(|error| panic!("{mode:?} {level:?}: {error}"));
        assert_eq!(rows.len(), 5000, "{mode:?} {level:?}");
        assert_eq!(rows[4999].get::<&str, _>("text"), Some("row 4999"));
    }
}

#[test]
fn parameters_come_back_as_they_went() {
    let server = Running::start(Parrot::default(), TlsMode::Off);
    let moment =
        chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap().and_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    let (text, bytes) = ("Zoë 🦷".repeat(2000), [0u8, 255, 7].repeat(4000));
    let mut query = Query::new("echo");
    query.bind(i64::MIN);
    query.bind(text.as_str());
    query.bind(bytes.clone());
    query.bind(moment);
    query.bind(moment.and_utc());
    query.bind(tiberius::numeric::Numeric::new_with_scale(-123_456, 3));
    query.bind(None::<i32>);
    query.bind(true);
    let row = block_on(async {
        let mut client = connect(&server, EncryptionLevel::NotSupported).await?;
        query.query(&mut client).await?.into_row().await
    });
    let row = row.unwrap().unwrap();
    assert_eq!(row.get::<i64, _>(0), Some(i64::MIN));
    assert_eq!(row.get::<&str, _>(1), Some(text.as_str()));
    assert_eq!(row.get::<&[u8], _>(2), Some(bytes.as_slice()));
    assert_eq!(row.get::<chrono::NaiveDateTime, _>(3), Some(moment));
    assert_eq!(row.get::<chrono::DateTime<chrono::Utc>, _>(4), Some(moment.and_utc()));
    assert_eq!(
        row.get::<tiberius::numeric::Numeric, _>(5),
        Some(tiberius::numeric::Numeric::new_with_scale(-123_456, 3))
    );
    assert_eq!(row.get::<i32, _>(6), None);
    assert_eq!(row.get::<bool, _>(7), Some(true));
}

#[test]
fn reads_every_type() {
    let server = Running::start(Parrot::default(), TlsMode::Login);
    let rows = block_on(async {
        let mut client = connect(&server, EncryptionLevel::Required).await?;
        client.simple_query("types").await?.into_first_result().await
    });
    let rows = rows.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get::<i64, _>("bigint"), Some(i64::MAX));
    assert_eq!(rows[0].get::<&str, _>("nvarchar"), Some("naïve 🦷"));
    assert_eq!(rows[0].get::<&str, _>("varchar"), Some("Zoë €"));
    assert_eq!(rows[0].get::<&[u8], _>("rowversion"), Some(&2001u64.to_be_bytes()[..]));
    assert_eq!(rows[1].get::<&str, _>("nvarchar_max"), None);
}
