use super::*;

fn entry_of(text: &str, common: &Common) -> Result<Entry, EntryError> {
    Entry::read("job1", states::yaml::load(text).unwrap().as_map().unwrap(), common)
}

fn entry(text: &str) -> Result<Entry, EntryError> {
    entry_of(text, &Common::default())
}

/// A Sunday.
fn noon() -> DateTime<Local> {
    Local.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap()
}

fn next(text: &str) -> Option<DateTime<Local>> {
    entry(text).unwrap().after(noon(), &mut rand::thread_rng())
}

#[test]
fn adds_up_the_units_of_an_interval() {
    assert_eq!(next("{function: test.ping, minutes: 1, seconds: 30}"), Some(noon() + TimeDelta::seconds(90)));
}

#[test]
fn splays_between_its_bounds() {
    for (splay, bounds) in [
        ("splay: {start: 5, end: 10}", 65_000..=70_000),
        ("splay: 3", 61_000..=63_000),
        ("jitter: 2", 60_000..=62_000),
        ("splay: {start: 9, end: 1}", 60_000..=60_000),
    ] {
        let entry = entry(&format!("{{function: test.ping, seconds: 60, {splay}}}")).unwrap();
        for _ in 0..50 {
            let later = entry.after(noon(), &mut rand::thread_rng()).unwrap() - noon();
            assert!(bounds.contains(&later.num_milliseconds()), "{splay}: {later}");
        }
    }
}

#[test]
fn takes_the_schedules_own_splay_where_it_has_none() {
    let common = Common { splay: Some(5.into()), ..Common::default() };
    let entry = entry_of("{function: test.ping, seconds: 60}", &common).unwrap();
    assert!(entry.after(noon(), &mut rand::thread_rng()).unwrap() >= noon() + TimeDelta::seconds(61));
}

#[test]
fn runs_once_and_never_in_the_past() {
    assert_eq!(next("{function: a.b, once: '2026-11-22T13:00:00'}"), Some(noon() + TimeDelta::hours(1)));
    assert_eq!(
        next("{function: a.b, once: '22.11.26 13:00', once_fmt: '%d.%m.%y %H:%M'}"),
        Some(noon() + TimeDelta::hours(1))
    );
    assert_eq!(next("{function: a.b, once: '2026-11-22T11:00:00'}"), None);
}

#[test]
fn runs_when_it_is_told_by_time_of_day_weekday_and_name() {
    assert_eq!(next("{function: a.b, when: 5:00pm}"), Some(noon() + TimeDelta::hours(5)));
    assert_eq!(
        next("{function: a.b, when: ['8:00am', 'Sunday 1:00pm']}"),
        Some(noon() + TimeDelta::hours(1))
    );
    let whens = [("tea time", "4:00pm")].into_iter().collect();
    let entry = entry_of("{function: a.b, when: tea time}", &Common { whens, ..Common::default() }).unwrap();
    assert_eq!(entry.after(noon(), &mut rand::thread_rng()), Some(noon() + TimeDelta::hours(4)));
}

#[test]
fn is_open_between_after_and_until() {
    let text =
        "{function: test.ping, seconds: 1, after: '2026-11-22T11:00:00', until: '2026-11-22T13:00:00'}";
    let entry = entry(text).unwrap();
    assert_eq!(entry.verdict(noon()), Verdict::Run);
    assert_eq!(entry.verdict(noon() + TimeDelta::hours(2)), Verdict::Skip("until_passed"));
    assert_eq!(entry.verdict(noon() - TimeDelta::hours(2)), Verdict::Skip("after_not_passed"));
}

#[test]
fn runs_in_its_range_or_outside_of_it_when_inverted() {
    let inside = entry("{function: a.b, seconds: 1, range: {start: 8:00am, end: 1:00pm}}").unwrap();
    assert_eq!(inside.verdict(noon()), Verdict::Run);
    assert_eq!(inside.verdict(noon() + TimeDelta::hours(2)), Verdict::Skip("not_in_range"));
    let outside =
        entry("{function: a.b, seconds: 1, range: {start: 8:00am, end: 1:00pm, invert: true}}").unwrap();
    assert_eq!(outside.verdict(noon()), Verdict::Skip("in_skip_range"));
    assert_eq!(outside.verdict(noon() + TimeDelta::hours(2)), Verdict::Run);
}

#[test]
fn a_skipped_range_leaves_out_runs_something_else_or_catches_up_at_its_end() {
    let text = "{function: a.b, seconds: 1, skip_during_range: {start: 11:00am, end: 1:00pm}, run_after_skip_range: true}";
    let skipping = entry(text).unwrap();
    assert_eq!(skipping.verdict(noon()), Verdict::Skip("in_skip_range"));
    let end = noon() + TimeDelta::hours(1);
    assert!(skipping.runs_between(end, end + TimeDelta::seconds(1)));
    assert!(!skipping.runs_between(end + TimeDelta::seconds(1), end + TimeDelta::seconds(9)));
    let common = Common { skip_function: Some("test.nop".to_owned()), ..Common::default() };
    let replaced = entry_of(text, &common).unwrap();
    assert_eq!(replaced.verdict(noon()), Verdict::RunInstead("test.nop".to_owned()));
}

#[test]
fn skips_and_runs_at_the_times_it_is_told() {
    let entry = entry(
        "{function: a.b, seconds: 1, skip_explicit: [{time: '2026-11-22T12:00:00', time_fmt: '%Y-%m-%dT%H:%M:%S'}], run_explicit: [{time: '2026-11-22T12:30:00'}]}",
    )
    .unwrap();
    assert_eq!(entry.verdict(noon()), Verdict::Skip("skip_explicit"));
    assert_eq!(entry.verdict(noon() + TimeDelta::seconds(2)), Verdict::Run);
    let half_past = noon() + TimeDelta::minutes(30);
    assert!(entry.runs_between(half_past - TimeDelta::seconds(5), half_past));
    assert!(!entry.runs_between(half_past, half_past + TimeDelta::seconds(5)));
}

#[test]
fn reads_who_gets_the_return() {
    let returns = |text: &str| entry(&format!("{{function: a.b, seconds: 1{text}}}")).unwrap().returns;
    assert_eq!(returns(""), Returns::Master);
    assert_eq!(returns(", return_job: false"), Returns::Nobody);
    assert_eq!(returns(", return_job: nocache"), Returns::Uncached);
}

#[test]
fn refuses_what_it_cannot_honour() {
    let refused = |text: &str| entry(text).unwrap_err();
    let name = || "job1".to_owned();
    assert_eq!(refused("{seconds: 1}"), EntryError::Function(name()));
    assert_eq!(refused("{function: test.ping}"), EntryError::Trigger(name()));
    assert_eq!(refused("{function: a.b, seconds: 0}"), EntryError::Interval(name()));
    assert_eq!(refused("{function: a.b, seconds: 1, cron: '* * * * *'}"), EntryError::Conflict(name()));
    assert_eq!(refused("{function: a.b, when: soon}"), EntryError::Moment(name(), "when"));
    assert_eq!(refused("{function: a.b, once: tomorrow}"), EntryError::Moment(name(), "once"));
    assert_eq!(
        refused("{function: a.b, seconds: 1, range: {start: 2:00pm, end: 1:00pm}}"),
        EntryError::Range(name(), "range")
    );
    assert!(matches!(refused("{function: a.b, cron: 'x * * * *'}"), EntryError::Cron(..)));
}
