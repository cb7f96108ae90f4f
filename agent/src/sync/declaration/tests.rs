//! Arguments as operators write them.

use super::*;
use crate::mssql::Param;
use crate::sync::check::{MaskRequest, TestRequest};
use crate::sync::spec::Mask;

fn read(pairs: &[(&str, Value)]) -> Result<JobRequest, SyncError> {
    let mut arguments = Map::new();
    arguments.insert("database", "Main_OMS");
    arguments.insert("table", "Appointment");
    for (key, value) in pairs {
        arguments.insert(*key, value.clone());
    }
    let (opts, pillar) = (Map::new(), states::yaml::load("agent: {sync: {recipients: [age1x]}}").unwrap());
    JobRequest::read("j", &OptionSources { arguments: &arguments, opts: &opts, pillar: &pillar, taken: &[] })
}

#[test]
fn recipients_come_from_the_pillar_when_not_given() {
    assert_eq!(read(&[]).unwrap().seal, Seal::Recipients(vec!["age1x".into()]));
    let own = read(&[("recipients", Value::List(vec!["age1y".into()]))]).unwrap();
    assert_eq!(own.seal, Seal::Recipients(vec!["age1y".into()]));
    let none = ("recipients", Value::List(vec![]));
    assert!(matches!(read(std::slice::from_ref(&none)), Err(SyncError::NoRecipients)));
    assert_eq!(read(&[none, ("allow_plain", Value::Bool(true))]).unwrap().seal, Seal::Plain);
}

#[test]
fn cursors_are_read_with_what_they_need() {
    assert_eq!(read(&[]).unwrap().cursor, CursorRequest::Auto(None));
    let text = read(&[("cursor", "datetime".into())]).unwrap_err().to_string();
    assert!(text.contains("cursor_column must be given"), "{text}");
    let dated = read(&[("cursor", "datetime".into()), ("cursor_column", "Changed".into())]).unwrap();
    assert_eq!(dated.cursor, CursorRequest::Datetime("Changed".into()));
    assert!(read(&[("cursor", "digest".into()), ("cursor_column", "Changed".into())]).is_err());
    assert!(read(&[("cursor", "fastest".into())]).is_err());
    assert!(read(&[("overlap", Value::Int(5))]).is_err());
}

#[test]
fn sweeps_may_be_timed_or_left_out() {
    assert_eq!(read(&[]).unwrap().sweep, SweepRequest::AsNeeded);
    assert_eq!(read(&[("sweep", "never".into())]).unwrap().sweep, SweepRequest::Never);
    let every = read(&[("sweep", Value::Int(60))]).unwrap().sweep;
    assert_eq!(every, SweepRequest::Every(Duration::from_secs(60)));
}

#[test]
fn masks_filters_and_names_are_data() {
    let yaml = "mask: {SSN: drop, Note: ~, Phone: {truncate: 3}, Name: hash}\n\
                rename: {Fee: Amount}\n\
                filter: [{column: Status, op: in, value: [1, 2]}, {column: Gone, op: is null}, \
                {column: Booked, op: '>=', value: '2020-01-01'}]";
    let args = states::yaml::load(yaml).unwrap();
    let arg = |name: &'static str| (name, args.get(name).cloned().unwrap());
    let asked = read(&[arg("mask"), arg("rename"), arg("filter")]).unwrap();
    let masks: Vec<MaskRequest> = asked.mask.iter().map(|(_, mask)| *mask).collect();
    assert_eq!(
        masks,
        [
            MaskRequest::Drop,
            MaskRequest::As(Mask::Null),
            MaskRequest::As(Mask::Truncate(3)),
            MaskRequest::As(Mask::Hash)
        ]
    );
    assert_eq!(asked.rename, [("Fee".to_owned(), "Amount".to_owned())]);
    assert_eq!(asked.filter[0].test, TestRequest::In(vec![Param::BigInt(1), Param::BigInt(2)]));
    assert_eq!(asked.filter[1].test, TestRequest::Null(true));
    assert!(read(&[("filter", "Status = 1".into())]).is_err(), "a filter is no SQL");
}

#[test]
fn times_are_checked_when_they_are_declared() {
    let timed = read(&[("cron", "*/5 7-19 * * 1-5".into()), ("quiet_hours", "22:00-02:00".into())]);
    let timing = timed.unwrap().timing;
    assert_eq!(timing.quiet[0].to_string(), "22:00-02:00");
    assert!(read(&[("cron", "often".into())]).is_err());
    assert!(read(&[("quiet_hours", "at night".into())]).is_err());
    assert!(read(&[("priority", Value::Int(300))]).is_err());
}

#[test]
fn numbers_are_bounded() {
    assert_eq!(read(&[]).unwrap().timing.interval, Duration::from_secs(600));
    assert_eq!(read(&[("interval", Value::Float(0.5))]).unwrap().timing.interval, Duration::from_millis(500));
    assert!(read(&[("interval", Value::Int(0))]).is_err());
    assert!(read(&[("interval", Value::Int(-5))]).is_err());
    assert!(read(&[("batch_rows", Value::Int(0))]).is_err());
    assert!(read(&[("table", Value::Nil)]).is_err());
}

#[test]
fn all_columns_may_be_said_in_words() {
    assert_eq!(read(&[("columns", "all".into())]).unwrap().columns, None);
    let some = read(&[("columns", Value::List(vec!["A".into(), "B".into()]))]).unwrap();
    assert_eq!(some.columns, Some(vec!["A".to_owned(), "B".to_owned()]));
}

#[test]
fn a_misspelt_argument_is_named() {
    let args: Map = [("colums", "x"), ("table", "t"), ("__reqs__", "y")].into_iter().collect();
    assert_eq!(unknown_arguments(&args), ["colums"]);
}

#[test]
fn joined_tables_are_data_and_need_a_key() {
    let yaml = "key: [AppointmentID]\n\
                joins:\n\
                - {table: Patient, match: {ID: PatientID}, columns: [Name, {Born: BirthDate}]}\n\
                - {table: ref.Town, as: Home, kind: inner, match: {Zip: Patient.Zip}, columns: {Name: Town}}";
    let args = states::yaml::load(yaml).unwrap();
    let arg = |name: &'static str| (name, args.get(name).cloned().unwrap());
    let asked = read(&[arg("key"), arg("joins")]).unwrap();
    let [patient, home] = asked.joins.as_slice() else { panic!("{asked:?}") };
    let names = |pairs: &[(String, String)]| -> Vec<String> {
        pairs.iter().map(|(one, other)| format!("{one}={other}")).collect()
    };
    assert_eq!((patient.alias.as_str(), patient.kind), ("Patient", crate::sync::spec::JoinKind::Left));
    assert_eq!(names(&patient.columns), ["Name=Name", "Born=BirthDate"]);
    assert_eq!((home.alias.as_str(), home.kind), ("Home", crate::sync::spec::JoinKind::Inner));
    assert_eq!(
        (names(&home.on), names(&home.columns)),
        (vec!["Zip=Patient.Zip".into()], vec!["Name=Town".into()])
    );
    let keyless = read(&[arg("joins")]).unwrap_err().to_string();
    assert!(keyless.contains("the argument key must be given"), "{keyless}");
    let odd = states::yaml::load("[{table: Patient, match: {ID: PatientID}, where: x}]").unwrap();
    let odd = read(&[arg("key"), ("joins", odd)]).unwrap_err().to_string();
    assert!(odd.contains("without 'where'"), "{odd}");
}
