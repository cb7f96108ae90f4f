//! Every way from one set of rights to another, word for word.

use crate::mssql::quote::ObjectName;

use super::*;

fn table() -> Securable {
    Securable::Object(ObjectName::parse("dbo.Appointment").unwrap())
}

fn right(securable: Securable, permission: &str, column: Option<&str>) -> Right {
    let permission = Permission::on(securable.class(), permission).unwrap();
    Right { securable, permission, column: column.map(|name| SqlName::new(name).unwrap()) }
}

fn select(columns: &[(Option<&str>, RightState)]) -> Rights {
    columns.iter().map(|(column, state)| (right(table(), "SELECT", *column), *state)).collect()
}

fn granted(columns: &[Option<&str>]) -> Rights {
    select(&columns.iter().map(|column| (*column, RightState::Granted)).collect::<Vec<_>>())
}

fn way(wish: &Rights, found: &Rights, aim: Aim) -> Difference {
    difference(&SqlName::new("sync]er").unwrap(), wish, found, aim).unwrap()
}

fn sql(difference: &Difference) -> Vec<&str> {
    difference.plan.statements.iter().map(Statement::sql).collect()
}

const EXACT: Aim = Aim::Exact(Prune::Revoke);
const ON: &str = "SELECT ON OBJECT::[dbo].[Appointment]";

#[test]
fn only_the_missing_columns_are_granted() {
    let way_there = way(&granted(&[Some("A"), Some("B]")]), &granted(&[Some("A")]), Aim::Present);
    assert_eq!(sql(&way_there), [format!("GRANT {ON} ([B]]]) TO [sync]]er]")]);
    let change = way_there.plan.changes.get("SELECT on dbo.Appointment").unwrap();
    assert_eq!(change.get("old").unwrap(), &Value::List(vec!["A".into()]));
    assert_eq!(change.get("new").unwrap(), &Value::List(vec!["A".into(), "B]".into()]));
}

#[test]
fn a_grant_of_the_whole_covers_its_columns_unless_one_was_taken_out() {
    let wish = granted(&[Some("A"), Some("B")]);
    assert!(way(&wish, &granted(&[None]), Aim::Present).plan.is_empty());
    let without_b = select(&[(None, RightState::Granted), (Some("B"), RightState::Excepted)]);
    assert_eq!(sql(&way(&wish, &without_b, Aim::Present)), [format!("GRANT {ON} ([B]) TO [sync]]er]")]);
    assert_eq!(sql(&way(&granted(&[None]), &without_b, Aim::Present)), [format!("GRANT {ON} TO [sync]]er]")]);
}

#[test]
fn exact_narrows_the_whole_to_columns_by_revoking_first() {
    let wish = granted(&[Some("A"), Some("B")]);
    let found = granted(&[None, Some("A"), Some("C")]);
    let way_there = way(&wish, &found, EXACT);
    assert_eq!(
        sql(&way_there),
        [
            format!("REVOKE {ON} FROM [sync]]er]"),
            format!("REVOKE {ON} ([C]) FROM [sync]]er]"),
            format!("GRANT {ON} ([A], [B]) TO [sync]]er]"),
        ]
    );
}

#[test]
fn exact_revokes_what_was_not_declared_or_names_it() {
    let found: Rights = granted(&[Some("A"), Some("Z")])
        .known
        .into_iter()
        .chain([
            (right(Securable::Database, "CONNECT", None), RightState::Granted),
            (right(Securable::Database, "EXECUTE", None), RightState::Grantable),
            (right(Securable::Schema(SqlName::new("crm").unwrap()), "UPDATE", None), RightState::Denied),
        ])
        .collect();
    let revoked = way(&granted(&[Some("A")]), &found, EXACT);
    assert_eq!(
        sql(&revoked),
        ["REVOKE EXECUTE FROM [sync]]er] CASCADE", &format!("REVOKE {ON} ([Z]) FROM [sync]]er]")]
    );
    assert_eq!(revoked.left, ["UPDATE on schema crm, denied"], "a DENY stays");
    let named = way(&granted(&[Some("A")]), &found, Aim::Exact(Prune::Report));
    assert!(named.plan.is_empty() && named.plan.changes.is_empty());
    assert_eq!(
        named.left,
        ["EXECUTE on the database", "UPDATE on schema crm, denied", "SELECT on dbo.Appointment (Z)"]
    );
}

#[test]
fn a_deny_is_made_when_asked_and_never_overridden() {
    let deny = select(&[(Some("A"), RightState::Denied)]);
    assert_eq!(
        sql(&way(&deny, &granted(&[Some("A")]), Aim::Present)),
        [format!("DENY {ON} ([A]) TO [sync]]er]")]
    );
    assert!(way(&deny, &deny, EXACT).plan.is_empty());
    let grantee = SqlName::new("sync").unwrap();
    for aim in [Aim::Present, EXACT] {
        let text = difference(&grantee, &granted(&[Some("A")]), &deny, aim).unwrap_err().to_string();
        assert!(text.contains("denied to sync of column A"), "{text}");
    }
}

#[test]
fn the_grant_option_is_given_and_taken_by_itself() {
    let option = select(&[(Some("A"), RightState::Grantable)]);
    let given = way(&option, &granted(&[Some("A")]), Aim::Present);
    assert_eq!(sql(&given), [format!("GRANT {ON} ([A]) TO [sync]]er] WITH GRANT OPTION")]);
    let taken = way(&granted(&[Some("A")]), &option, EXACT);
    assert_eq!(sql(&taken), [format!("REVOKE GRANT OPTION FOR {ON} ([A]) FROM [sync]]er] CASCADE")]);
    assert!(way(&granted(&[Some("A")]), &option, Aim::Present).plan.is_empty());
}

#[test]
fn absent_revokes_grants_and_denials_and_refuses_a_part_of_the_whole() {
    let found = select(&[(Some("A"), RightState::Granted), (Some("C"), RightState::Denied)]);
    assert_eq!(
        sql(&way(&granted(&[None]), &found, Aim::Absent)),
        [format!("REVOKE {ON} ([A], [C]) FROM [sync]]er]")]
    );
    assert_eq!(
        sql(&way(&granted(&[Some("A")]), &found, Aim::Absent)),
        [format!("REVOKE {ON} ([A]) FROM [sync]]er]")]
    );
    assert!(way(&granted(&[None]), &Rights::default(), Aim::Absent).plan.is_empty());
    let grantee = SqlName::new("sync").unwrap();
    let part = difference(&grantee, &granted(&[Some("A")]), &granted(&[None]), Aim::Absent);
    assert!(part.unwrap_err().to_string().contains("one by one"));
}

#[test]
fn server_database_and_schema_are_securables_too() {
    let rights = [
        (right(Securable::Server, "VIEW SERVER STATE", None), RightState::Granted),
        (right(Securable::Database, "VIEW DATABASE STATE", None), RightState::Granted),
        (right(Securable::Schema(SqlName::new("d]bo").unwrap()), "EXECUTE", None), RightState::Granted),
    ];
    let way_there = way(&rights.into_iter().collect(), &Rights::default(), EXACT);
    assert_eq!(
        sql(&way_there),
        [
            "GRANT VIEW SERVER STATE TO [sync]]er]",
            "GRANT VIEW DATABASE STATE TO [sync]]er]",
            "GRANT EXECUTE ON SCHEMA::[d]]bo] TO [sync]]er]"
        ]
    );
}
