//! Whatever names and values are made of, the statements keep their shape: a property, held over every plan.
//!
//! The texts are read by a small lexer of T-SQL that shares nothing with the quoting: brackets and literals as SQL Server
//! delimits them ("Database identifiers", "Constants"), comments, words and marks.

use proptest::prelude::*;
use states::{Map, Value};

use super::difference::{Aim, Prune};
use super::grant::{GrantFound, GrantWish};
use super::login::LoginWish;
use super::role::RoleWish;
use super::user::UserWish;
use super::{Plan, database};
use crate::mssql::quote::SqlName;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Word(String),
    Mark(char),
}

/// The tokens of a script; panics at a comment and at anything that does not end.
fn tokens(sql: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some(inside) = rest.strip_prefix("N'") {
            let (text, after) = delimited(inside, '\'');
            found.push(Token::Text(text));
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('[') {
            let (name, after) = delimited(inside, ']');
            found.push(Token::Name(name));
            rest = after;
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            assert!(!rest.starts_with("--") && !rest.starts_with("/*"), "a comment in {sql:?}");
            assert!(first.is_ascii_whitespace() || "(),;:.=*".contains(first), "{first:?} in {sql:?}");
            if !first.is_ascii_whitespace() {
                found.push(Token::Mark(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The text up to the closing mark, which stands for itself when doubled.
fn delimited(inside: &str, end: char) -> (String, &str) {
    let mut text = String::new();
    let mut chars = inside.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != end {
            text.push(c);
        } else if chars.next_if(|(_, next)| *next == end).is_some() {
            text.push(end);
        } else {
            return (text, &inside[at + end.len_utf8()..]);
        }
    }
    panic!("{inside:?} does not end")
}

/// The names and values of one round.
#[derive(Debug, Clone)]
struct Given {
    login: String,
    user: String,
    role: String,
    schema: String,
    table: String,
    column: String,
    password: String,
}

fn given() -> impl Strategy<Value = Given> {
    let piece = prop_oneof![
        prop::sample::select(vec![
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
            "\n",
            "\nGO\n",
            ".",
            "::",
            "N'",
            "@P1",
            "\\",
            "] TO public --",
            "'); DROP LOGIN sa --",
            "é",
            "漢",
            "\u{202e}",
            "\u{2019}",
            "\u{ff07}",
            " ",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_filter("NUL is refused", |c| *c != '\0').prop_map(String::from),
        "[a-zA-Z0-9_]{1,8}",
    ];
    let name = || prop::collection::vec(piece.clone(), 1..8).prop_map(|pieces| pieces.concat());
    (name(), name(), name(), name(), name(), name(), name()).prop_map(
        |(login, user, role, schema, table, column, password)| Given {
            login,
            user,
            role,
            schema,
            table,
            column,
            password: format!("p{password}"),
        },
    )
}

fn map(pairs: &[(&str, Value)]) -> Map {
    pairs.iter().cloned().collect()
}

/// Every kind of plan over the names.
fn plans(given: &Given) -> Vec<Plan> {
    let name = |text: &str| SqlName::new(text).unwrap();
    let login = map(&[
        ("password", given.password.as_str().into()),
        ("server_roles", Value::List(vec![given.role.as_str().into()])),
        ("default_database", given.schema.as_str().into()),
        ("sid", "fixed".into()),
    ]);
    let user = map(&[
        ("login", given.login.as_str().into()),
        ("roles", Value::List(vec![given.role.as_str().into()])),
        ("default_schema", given.schema.as_str().into()),
    ]);
    let object = format!("{}.{}", name(&given.schema).quoted(), name(&given.table).quoted());
    let on_object = map(&[
        ("object", object.into()),
        ("columns", Value::List(vec![given.column.as_str().into()])),
        ("grant_option", true.into()),
    ]);
    let on_schema = map(&[("schema", given.schema.as_str().into()), ("permissions", "EXECUTE".into())]);
    let grant = map(&[
        ("login", given.login.as_str().into()),
        ("roles", Value::List(vec![given.role.as_str().into()])),
        ("grants", Value::List(vec![on_object.into(), on_schema.into()])),
    ]);
    let wish = GrantWish::read(&given.user, &grant).unwrap();
    let held =
        GrantFound { rights: wish.rights.clone(), roles: vec![given.role.clone()], ..GrantFound::default() };
    let nothing =
        GrantWish::read(&given.user, &map(&[("permissions", "CONNECT".into()), ("roles", Value::Nil)]));
    let exact = Aim::Exact(Prune::Revoke);
    let wish_role = RoleWish::read(&given.role, &map(&[("owner", given.user.as_str().into())])).unwrap();
    vec![
        LoginWish::read(&given.login, &login).unwrap().plan(None).unwrap(),
        UserWish::read(&given.user, &user).unwrap().plan(None).unwrap(),
        wish.plan(&GrantFound::default(), exact).unwrap().plan,
        nothing.unwrap().plan(&held, exact).unwrap().plan,
        wish.plan(&held, Aim::Absent).unwrap().plan,
        wish_role.plan_role(None),
        database::removal(&name(&format!("d{}", given.table))).unwrap(),
    ]
}

/// A script with names and texts blotted out, and what stood there.
fn read(plan: &Plan) -> (Vec<Token>, Vec<String>) {
    let mut contents = Vec::new();
    let script: Vec<&str> = plan.statements.iter().map(super::Statement::sql).collect();
    let shape = tokens(&script.join(";"))
        .into_iter()
        .map(|token| match token {
            Token::Name(name) => {
                contents.push(name);
                Token::Name(String::new())
            }
            Token::Text(text) => {
                contents.push(text);
                Token::Text(String::new())
            }
            Token::Word(word) if word.starts_with("0x") => Token::Word("0x".to_owned()),
            token @ (Token::Word(_) | Token::Mark(_)) => token,
        })
        .collect();
    (shape, contents)
}

proptest! {
    #[test]
    fn names_and_values_never_change_the_shape_of_a_statement(given in given()) {
        let plain = Given {
            login: "l".into(), user: "u".into(), role: "r".into(), schema: "s".into(), table: "t".into(),
            column: "c".into(), password: "p".into(),
        };
        let known = [
            &given.login, &given.user, &given.role, &given.schema, &given.table, &given.column, &given.password,
            &"master".to_owned(), &format!("d{}", given.table),
        ];
        for (odd, plain) in plans(&given).iter().zip(plans(&plain)) {
            let ((shape, contents), (wanted, _)) = (read(odd), read(&plain));
            prop_assert_eq!(shape, wanted);
            for content in contents {
                prop_assert!(known.contains(&&content), "{:?}", content);
            }
            let secret = format!("'{}'", given.password);
            prop_assert!(!odd.script().contains(&secret));
        }
    }
}
