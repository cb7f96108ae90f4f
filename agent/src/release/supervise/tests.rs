//! A supervisor in this process over programs of the shell that behave like agents, good and bad.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Mutex, mpsc},
    thread,
};

use super::{super::pointer::Trial, *};

/// Notes what an administrator would read.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Host for Notes {
    fn state(&self, _state: State) {}

    fn alive(&self) {}

    fn note(&self, _severity: Severity, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

const GOOD: &str = "echo alive; while read line; do [ \"$line\" = stop ] && exit 0; done";
const PROVES: &str = "echo confirm; while read line; do [ \"$line\" = stop ] && exit 0; echo alive; done";

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// Later than every supervisor of these tests.
fn alone() -> Role {
    Role::Installed { arguments: Vec::new() }
}

fn put(layout: &Layout, name: &str, script: &str) {
    let path = layout.agent(&version(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(
        &path,
        format!("#!/bin/sh\necho \"$AGENT_SUPERVISED\" >> \"$AGENT_INSTALL_DIR/starts\"\n{script}\n"),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs 1.0.0 with 1.1.0 = `script` on trial until `done`; gives the pointer and the notes.
fn trial_of(
    script: Option<&str>,
    limits: Limits,
    deadline: u64,
    done: impl Fn(&Pointer) -> bool + Send + Sync,
) -> (Pointer, String) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    put(&layout, "1.0.0", GOOD);
    let mut pointer = Pointer::first(version("1.0.0"));
    pointer.propose(Trial { version: version("1.1.0"), jid: None, deadline, phase: Phase::Wanted }).unwrap();
    pointer::create(&layout, &pointer).unwrap();
    if let Some(script) = script {
        put(&layout, "1.1.0", script);
    }
    let notes = Notes::default();
    let (events, received) = mpsc::channel();
    let supervisor = Supervisor {
        layout: layout.clone(),
        role: alone(),
        version: version("9.0.0"),
        program: vec![],
        limits,
        host: &notes,
        events: events.clone(),
    };
    until(&supervisor, &received, || done(&pointer::read(&layout).unwrap()));
    let notes = notes.0.lock().unwrap().join("\n");
    (pointer::read(&layout).unwrap(), notes)
}

/// Runs the supervisor until `done`, or fails when that takes too long.
fn until(supervisor: &Supervisor<'_>, received: &Receiver<Event>, done: impl Fn() -> bool + Send) {
    let events = supervisor.events.clone();
    let came = thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let patience = Instant::now();
            let came = loop {
                if done() {
                    break true;
                }
                if patience.elapsed() > Duration::from_secs(120) {
                    break false;
                }
                thread::sleep(Duration::from_millis(20));
            };
            events.send(Event::Stop).unwrap();
            came
        });
        supervisor.run(received).unwrap();
        watching.join().unwrap()
    });
    assert!(came, "it did not happen in time");
}

fn rejected(pointer: &Pointer) -> bool {
    pointer.verdict.as_ref().is_some_and(|verdict| !verdict.confirmed)
}

fn why(pointer: &Pointer) -> String {
    pointer.verdict.as_ref().unwrap().why.clone()
}

#[test]
fn a_version_that_proves_itself_is_confirmed() {
    let (pointer, notes) = trial_of(Some(PROVES), Limits::default(), 60, |pointer| pointer.trial.is_none());
    assert_eq!((pointer.confirmed, pointer.former), (version("1.1.0"), vec![version("1.0.0")]), "{notes}");
}

#[test]
fn sleep_and_waking_are_passed_on_to_the_agent() {
    const LISTENS: &str = "echo alive; while read line; do echo \"$line\" >> \"$AGENT_INSTALL_DIR/heard\"; [ \"$line\" = stop ] && exit 0; done";
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    put(&layout, "1.0.0", LISTENS);
    pointer::create(&layout, &Pointer::first(version("1.0.0"))).unwrap();
    let notes = Notes::default();
    let (events, received) = mpsc::channel();
    for event in [Event::Suspended, Event::Resumed] {
        events.send(event).unwrap();
    }
    let supervisor = Supervisor {
        layout,
        role: alone(),
        version: version("9.0.0"),
        program: vec![],
        limits: Limits::default(),
        host: &notes,
        events,
    };
    let heard = || fs::read_to_string(folder.path().join("heard")).unwrap_or_default();
    until(&supervisor, &received, || heard().contains("resumed"));
    assert_eq!(heard(), "suspended\nresumed\nstop\n");
}

#[test]
fn a_version_that_ends_is_taken_back_with_its_exit_code() {
    let (pointer, notes) = trial_of(Some("echo stage no login; exit 7"), Limits::default(), 60, rejected);
    assert_eq!(pointer.confirmed, version("1.0.0"));
    assert!(why(&pointer).contains("exit status: 7"), "{notes}");
}

#[test]
fn a_version_that_hangs_is_taken_back() {
    let limits = Limits { silence: Duration::from_secs(1), ..Limits::default() };
    let (pointer, notes) = trial_of(Some("exec sleep 3600"), limits, 60, rejected);
    assert!(why(&pointer).contains("said nothing for 1 s"), "{notes}");
}

#[test]
fn a_version_that_never_reaches_its_goal_is_taken_back_with_what_it_waited_for() {
    let script = "echo stage it did not log in to SQL Server; while true; do echo alive; sleep 0.2; done";
    let (pointer, notes) = trial_of(Some(script), Limits::default(), 1, rejected);
    assert!(why(&pointer).ends_with("within 1 s; it did not log in to SQL Server"), "{notes}");
}

#[test]
fn a_version_whose_program_was_deleted_is_taken_back() {
    let (pointer, notes) = trial_of(None, Limits::default(), 60, rejected);
    assert!(why(&pointer).contains("antivirus"), "{notes}");
    assert!(notes.contains("agent 1.0.0 started"), "{notes}");
}

#[test]
fn a_version_that_does_not_stop_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    put(&layout, "1.0.0", "trap '' TERM; while true; do echo alive; sleep 0.1; done");
    pointer::create(&layout, &Pointer::first(version("1.0.0"))).unwrap();
    let notes = Notes::default();
    let (events, received) = mpsc::channel();
    let limits = Limits { drain: Duration::from_millis(300), ..Limits::default() };
    let supervisor = Supervisor {
        layout,
        role: alone(),
        version: version("9.0.0"),
        program: vec![],
        limits,
        host: &notes,
        events: events.clone(),
    };
    events.send(Event::Stop).unwrap();
    supervisor.run(&received).unwrap();
    assert!(notes.0.lock().unwrap().join("\n").contains("did not stop in time"));
}

#[test]
fn a_confirmed_version_that_keeps_ending_is_started_again_and_an_older_one_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    put(&layout, "1.1.0", "rm -r \"$AGENT_INSTALL_DIR/versions/1.1.0\"; exit 1");
    put(&layout, "1.0.0", "exit 1");
    let mut pointer = Pointer::first(version("1.1.0"));
    pointer.former.push(version("1.0.0"));
    pointer::create(&layout, &pointer).unwrap();
    let notes = Notes::default();
    let (events, received) = mpsc::channel();
    let limits = Limits { pause: Duration::from_millis(10), ..Limits::default() };
    let supervisor = Supervisor {
        layout,
        role: alone(),
        version: version("9.0.0"),
        program: vec![],
        limits,
        host: &notes,
        events: events.clone(),
    };
    let starts = || fs::read_to_string(folder.path().join("starts")).unwrap_or_default();
    until(&supervisor, &received, || starts().lines().count() >= 4);
    assert_eq!(starts().lines().take(3).collect::<Vec<_>>(), ["1.1.0", "1.0.0", "1.0.0"]);
    let notes = notes.0.lock().unwrap().join("\n");
    assert!(notes.contains("is gone (antivirus?)"), "{notes}");
}

mod handover;
