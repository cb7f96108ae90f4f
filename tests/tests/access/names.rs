//! Injection: every name and every value stays what it is, whatever it is made of.

use agent::mssql::quote::{ObjectName, SqlName};
use agent::store::Secret;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::minion::Minion;
use crate::sim::Sim;

/// Pieces that end quoting, begin comments, or mean something to a parser of YAML, T-SQL or a terminal.
const PIECES: &[&str] = &[
    "]",
    "]]",
    "[",
    "'",
    "''",
    "\"",
    ";",
    "--",
    "/*",
    "*/",
    " ",
    "\t",
    "\n",
    "\r\n",
    ".",
    "..",
    "::",
    "\\",
    "%",
    "_",
    "$(x)",
    "{{",
    "}}",
    "GO",
    "\nGO\n",
    "DROP TABLE dbo.Visit",
    "] TO public --",
    "') OR 1=1 --",
    "N'",
    "0x41",
    "@P1",
    "é",
    "漢字",
    "☃",
    "𝄞",
    "\u{202e}",
    "ß",
    "İ",
    "\u{0}1",
    "public",
    "dbo",
    "sa",
    "#",
    "##",
    "~",
    "`",
    "\u{feff}",
];

fn name(random: &mut StdRng, number: usize) -> String {
    let count = random.gen_range(1..7);
    let mut name: String = (0..count).map(|_| PIECES[random.gen_range(0..PIECES.len())]).collect();
    // Names must differ from each other and hold no NUL, which is refused before anything is sent.
    name.push_str(&format!("n{number}"));
    name.replace('\u{0}', "")
}

/// A text as a double-quoted YAML scalar.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_and_no_password_ends_its_quoting() {
    let sim = Sim::start().await;
    let minion = Minion::of(&sim);
    let seed = 20_261_125;
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..30 {
        let [login, user, role, schema, table, column, password] =
            std::array::from_fn(|part| name(&mut random, number * 10 + part));
        // A table whose name begins with # is a temporary one, in brackets as well.
        let table = format!("t{table}");
        let said = format!(
            "seed {seed}, round {number}: {login:?} {user:?} {role:?} {schema:?} {table:?} {column:?}"
        );
        let quoted = |name: &str| SqlName::new(name).unwrap().quoted().to_string();
        sim.batch(&format!("CREATE SCHEMA {}", quoted(&schema))).await;
        sim.batch(&format!(
            "CREATE TABLE {}.{} ({} int NULL)",
            quoted(&schema),
            quoted(&table),
            quoted(&column)
        ))
        .await;
        let object = format!("{}.{}", quoted(&schema), quoted(&table));
        assert_eq!(ObjectName::parse(&object).unwrap().name.as_str(), table);

        let args = format!("{{password: {}, options: [CHECK_POLICY=OFF], sid: fixed}}", yaml(&password));
        minion.converge("mssql_login.present", &login, &args).await;
        minion.converge("mssql_role.present", &role, "{}").await;
        let args = format!(
            "{{login: {}, roles: [{}], default_schema: {}}}",
            yaml(&login),
            yaml(&role),
            yaml(&schema)
        );
        minion.converge("mssql_user.present", &user, &args).await;
        let args = format!(
            "{{login: {}, roles: [{}], grants: [{{object: {}, columns: [{}]}}, {{schema: {}, permissions: EXECUTE}}, \
             {{securable: server, permissions: VIEW ANY DATABASE}}]}}",
            yaml(&login),
            yaml(&role),
            yaml(&object),
            yaml(&column),
            yaml(&schema)
        );
        minion.converge("mssql_grant.exact", &user, &args).await;

        let options = sim.connection("Clinic").with_login(&login, Secret::new(password));
        let mut session = agent::mssql::Session::connect(&options).await.unwrap();
        session.batch(&format!("SELECT {} FROM {object}", quoted(&column))).await.expect(&said);
        let refused = session.batch("SELECT VisitID FROM dbo.Visit").await.unwrap_err();
        assert_eq!(refused.number(), Some(229), "{said}");
        session.close().await;
        minion.converge("mssql_user.absent", &user, "{}").await;
        minion.converge("mssql_role.absent", &role, "{}").await;
    }
    let left = sim
        .batch("SELECT COUNT(*) FROM sys.database_permissions AS p WHERE p.grantee_principal_id = 0 AND p.major_id > 0")
        .await;
    assert_eq!(left[0][0].get::<i32, _>(0), Some(0), "nothing was granted to public");
}
