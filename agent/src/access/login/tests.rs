//! Plans for logins word for word: created, corrected, left alone, refused.

use super::*;

fn wish(pairs: &[(&str, Value)]) -> Result<LoginWish, AccessError> {
    let mut args = Map::new();
    for (key, value) in pairs {
        args.insert(*key, value.clone());
    }
    LoginWish::read("sync]er", &args)
}

fn full() -> LoginWish {
    let options = Value::List(vec!["CHECK_POLICY=OFF".into(), "DEFAULT_DATABASE=[Main_OMS]".into()]);
    wish(&[
        ("password", "it's".into()),
        ("server_roles", Value::List(vec!["processadmin".into()])),
        ("options", options),
    ])
    .unwrap()
}

fn found() -> LoginFound {
    LoginFound {
        default_database: "Main_OMS".into(),
        server_roles: vec!["processadmin".into()],
        password_matches: true,
        ..LoginFound::default()
    }
}

fn sql(plan: &Plan) -> Vec<&str> {
    plan.statements.iter().map(Statement::sql).collect()
}

#[test]
fn a_missing_login_is_created_with_everything() {
    let plan = full().plan(None).unwrap();
    assert_eq!(
        sql(&plan),
        [
            "CREATE LOGIN [sync]]er] WITH PASSWORD = N'it''s', CHECK_POLICY = OFF, DEFAULT_DATABASE = [Main_OMS]",
            "ALTER SERVER ROLE [processadmin] ADD MEMBER [sync]]er]"
        ]
    );
    assert_eq!(plan.changes.get("sync]er").and_then(Value::as_str), Some("Present"));
}

#[test]
fn no_secret_is_shown() {
    let plan = full().plan(None).unwrap();
    assert!(!plan.script().contains("it''s") && !format!("{plan:?}").contains("it''s"));
    assert!(plan.script().contains("PASSWORD = N'***'"));
}

#[test]
fn a_login_that_is_as_wanted_is_left_alone() {
    let plan = full().plan(Some(&found())).unwrap();
    assert!(plan.is_empty() && plan.changes.is_empty());
}

#[test]
fn what_differs_is_corrected() {
    let is = LoginFound {
        password_matches: false,
        default_database: "master".into(),
        check_policy: true,
        server_roles: vec![],
        ..found()
    };
    let plan = full().plan(Some(&is)).unwrap();
    assert_eq!(
        sql(&plan),
        [
            "ALTER LOGIN [sync]]er] WITH PASSWORD = N'it''s'",
            "ALTER LOGIN [sync]]er] WITH DEFAULT_DATABASE = [Main_OMS]",
            "ALTER LOGIN [sync]]er] WITH CHECK_POLICY = OFF",
            "ALTER SERVER ROLE [processadmin] ADD MEMBER [sync]]er]"
        ]
    );
    let change = plan.changes.get("default_database").unwrap();
    assert_eq!(
        (change.get("old").unwrap().as_str(), change.get("new").unwrap().as_str()),
        (Some("master"), Some("Main_OMS"))
    );
}

#[test]
fn disabled_is_touched_only_when_asked() {
    let disabled = LoginFound { disabled: true, ..found() };
    assert!(full().plan(Some(&disabled)).unwrap().is_empty());
    let asked = LoginWish { disabled: Some(false), ..full() };
    assert_eq!(sql(&asked.plan(Some(&disabled)).unwrap()), ["ALTER LOGIN [sync]]er] ENABLE"]);
}

#[test]
fn a_windows_login_takes_no_password() {
    let plan = wish(&[("domain", "CLINIC".into())]).unwrap().plan(None).unwrap();
    assert_eq!(sql(&plan), ["CREATE LOGIN [CLINIC\\sync]]er] FROM WINDOWS"]);
    let neither = wish(&[]).unwrap_err().to_string();
    assert_eq!(neither, "One and only one of password and domain should be specifies");
}

#[test]
fn a_hash_is_passed_as_a_hash() {
    let hash = format!("0x0200{}", "AB".repeat(68));
    let plan = wish(&[("password", hash.as_str().into())]).unwrap().plan(None).unwrap();
    assert_eq!(sql(&plan), [format!("CREATE LOGIN [sync]]er] WITH PASSWORD = {hash} HASHED")]);
    assert!(!plan.script().contains(&hash));
}

#[test]
fn kind_and_sid_cannot_be_changed() {
    let windows = LoginFound { windows: true, ..found() };
    assert!(matches!(full().plan(Some(&windows)), Err(AccessError::Conflict(_))));
    let options = Value::List(vec!["SID=0x01AB".into()]);
    let fixed = wish(&[("password", "x".into()), ("options", options)]).unwrap();
    assert!(fixed.plan(Some(&LoginFound { sid: "0x01ab".into(), ..found() })).unwrap().is_empty());
    assert!(fixed.plan(Some(&LoginFound { sid: "0x02".into(), ..found() })).is_err());
}

#[test]
fn a_fixed_sid_follows_from_the_name_and_is_not_forced_on_an_existing_login() {
    let fixed = wish(&[("password", "x".into()), ("sid", "fixed".into())]).unwrap();
    let made = fixed.plan(None).unwrap().script();
    assert!(made.contains("SID = 0x") && made == fixed.plan(None).unwrap().script(), "{made}");
    let digits = made.split("SID = 0x").nth(1).unwrap().split(|c: char| !c.is_ascii_hexdigit()).next();
    assert_eq!(digits.unwrap().len(), 32);
    assert!(fixed.plan(Some(&LoginFound { sid: "0x02".into(), ..found() })).unwrap().script().is_empty());
    assert_ne!(sid_of("a"), sid_of("b"));
}

#[test]
fn exact_server_roles_take_the_others_away() {
    let exact = LoginWish { extent: Extent::Exact(super::super::difference::Prune::Revoke), ..full() };
    let is = LoginFound { server_roles: vec!["processadmin".into(), "sysadmin".into()], ..found() };
    assert!(full().plan(Some(&is)).unwrap().is_empty());
    let plan = exact.plan(Some(&is)).unwrap();
    assert_eq!(sql(&plan), ["ALTER SERVER ROLE [sysadmin] DROP MEMBER [sync]]er]"]);
    assert!(exact.plan(Some(&found())).unwrap().is_empty());
}

#[test]
fn an_option_that_is_not_known_is_refused_not_pasted() {
    let options = Value::List(vec!["CHECK_POLICY=OFF; DROP DATABASE x".into()]);
    assert!(wish(&[("password", "x".into()), ("options", options)]).is_err());
    let options = Value::List(vec!["X; DROP DATABASE y=1".into()]);
    assert!(wish(&[("password", "x".into()), ("options", options)]).is_err());
    let options = Value::List(vec!["SID=0x01, PASSWORD=N'y'".into()]);
    assert!(wish(&[("password", "x".into()), ("options", options)]).is_err());
}

#[test]
fn a_login_that_is_locked_or_must_change_is_made_usable_again() {
    let barred = LoginFound { barred: vec![LOCKED, "must_change"], ..found() };
    let plan = full().plan(Some(&barred)).unwrap();
    assert_eq!(sql(&plan), ["ALTER LOGIN [sync]]er] WITH PASSWORD = N'it''s' UNLOCK"]);
    let changed = |key: &str| plan.changes.get(key).is_some();
    assert!(changed("locked") && changed("must_change") && !changed("password"));
}

#[test]
fn a_policy_that_is_switched_on_lets_no_password_expire_unasked() {
    let options = |list: &[&str]| {
        let list = Value::List(list.iter().map(|option| (*option).into()).collect());
        wish(&[("password", "it's".into()), ("options", list)]).unwrap()
    };
    let plan = options(&["CHECK_POLICY=ON"]).plan(Some(&found())).unwrap();
    assert_eq!(sql(&plan), ["ALTER LOGIN [sync]]er] WITH CHECK_POLICY = ON, CHECK_EXPIRATION = OFF"]);
    assert!(plan.changes.get("check_expiration").is_none());
    let plan = options(&["CHECK_POLICY=ON", "CHECK_EXPIRATION=ON"]).plan(Some(&found())).unwrap();
    assert_eq!(sql(&plan), ["ALTER LOGIN [sync]]er] WITH CHECK_POLICY = ON, CHECK_EXPIRATION = ON"]);
    let strict = LoginFound { check_policy: true, check_expiration: true, ..found() };
    let plan = options(&["CHECK_POLICY=OFF"]).plan(Some(&strict)).unwrap();
    assert_eq!(sql(&plan), ["ALTER LOGIN [sync]]er] WITH CHECK_POLICY = OFF"]);
    assert!(plan.changes.get("check_expiration").is_some(), "it goes along, and is told");
}
