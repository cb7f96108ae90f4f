//! Later supervisors, good and bad, as programs of the shell; the agent is one too.

use super::*;
use crate::release::successor;

/// Watches no agent, but says all that a good one says.
const WATCHES: &str = "echo alive; echo note warning its own words; echo confirm; while read line; do echo \"$line\" >> \"$AGENT_INSTALL_DIR/told\"; [ \"$line\" = stop ] && exit 0; done";

struct Site {
    folder: tempfile::TempDir,
    notes: Notes,
}

impl Site {
    /// 1.0.0 is installed, and its release carries `supervisor`.
    fn carrying(supervisor: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap(), notes: Notes::default() };
        put(&site.layout(), "1.0.0", GOOD);
        pointer::create(&site.layout(), &Pointer::first(version("1.0.0"))).unwrap();
        site.carry("1.0.0", supervisor);
        site
    }

    fn carry(&self, release: &str, supervisor: &str) {
        let path = self.layout().carried_supervisor(&version(release));
        let script = "#!/bin/sh\necho \"watch $AGENT_SUPERVISED\" >> \"$AGENT_INSTALL_DIR/starts\"\n";
        fs::write(&path, format!("{script}{supervisor}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn layout(&self) -> Layout {
        Layout::new(self.folder.path())
    }

    fn book(&self) -> successor::Book {
        successor::read(&self.layout()).unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Runs the installed supervisor 0.9.0 until `done`.
    fn run(&self, limits: Limits, done: impl Fn(&Self) -> bool + Send + Sync) {
        let (events, received) = mpsc::channel();
        let supervisor = Supervisor {
            layout: self.layout(),
            role: alone(),
            version: version("0.9.0"),
            program: vec![],
            limits,
            host: &self.notes,
            events,
        };
        until(&supervisor, &received, || done(self));
    }

    fn notes(&self) -> String {
        self.notes.0.lock().unwrap().join("\n")
    }

    /// The refusal of the supervisor of 1.0.0, after which the agent runs under the installed one.
    fn refusal(&self, limits: Limits) -> String {
        self.run(limits, |site| site.read("starts").lines().last() == Some("1.0.0"));
        let book = self.book();
        assert_eq!((&book.confirmed, &book.trial), (&None, &None), "{}", self.notes());
        book.refused.first().unwrap().why.clone()
    }
}

#[test]
fn a_later_supervisor_that_proves_itself_watches_from_then_on() {
    let site = Site::carrying(WATCHES);
    site.run(Limits::default(), |site| site.book().confirmed.is_some());
    assert_eq!(site.read("starts"), "watch 1.0.0\n", "the agent was started by two");
    assert_eq!(site.read("told"), "stop\n");
    assert!(site.notes().contains("its own words"), "{}", site.notes());
    // The release goes; its supervisor stays.
    fs::remove_file(site.layout().carried_supervisor(&version("1.0.0"))).unwrap();
    site.run(Limits::default(), |site| site.read("starts").lines().count() == 2);
    assert_eq!(site.read("starts"), "watch 1.0.0\nwatch 1.0.0\n");
}

#[test]
fn one_that_ends_hangs_or_is_late_is_refused_and_the_installed_one_watches() {
    assert!(Site::carrying("exit 3").refusal(Limits::default()).contains("exit status: 3"));
    let limits = Limits { silence: Duration::from_secs(1), ..Limits::default() };
    assert!(Site::carrying("exec sleep 3600").refusal(limits).contains("said nothing for 1 s"));
    let limits = Limits { succession: Duration::from_secs(1), ..Limits::default() };
    let late = "while true; do echo alive; sleep 0.2; done";
    assert!(Site::carrying(late).refusal(limits).contains("did not prove itself within 1 s"));
}

#[test]
fn a_refused_one_is_not_tried_again_and_the_next_release_is() {
    let site = Site::carrying("exit 3");
    site.refusal(Limits::default());
    let before = site.read("starts");
    site.run(Limits::default(), |site| site.read("starts").lines().count() > before.lines().count());
    assert_eq!(site.read("starts"), format!("{before}1.0.0\n"));
    put(&site.layout(), "1.1.0", PROVES);
    site.carry("1.1.0", WATCHES);
    let trial = Trial { version: version("1.1.0"), jid: None, deadline: 60, phase: Phase::Wanted };
    let done = pointer::update(&site.layout(), |pointer| pointer.propose(trial));
    done.map(drop).unwrap_or_else(|error: PointerError| panic!("{error}"));
    site.run(Limits::default(), |site| {
        // What the agent does once it has told the master.
        let told = pointer::update(&site.layout(), |pointer| {
            pointer.verdict = None;
            Ok::<_, PointerError>(())
        });
        told.is_ok() && site.book().confirmed == Some(version("1.1.0"))
    });
    let starts = site.read("starts");
    assert!(starts.ends_with("1.1.0\nwatch 1.1.0\n"), "the agent comes first: {starts}");
}

#[test]
fn when_a_confirmed_one_fails_the_installed_one_watches_until_the_next_start() {
    let site = Site::carrying(WATCHES);
    site.run(Limits::default(), |site| site.book().confirmed.is_some());
    let gone = site.layout().successor(&version("1.0.0"));
    fs::write(&gone, "#!/bin/sh\nexit 9\n").unwrap();
    site.run(Limits::default(), |site| {
        site.read("starts").ends_with("1.0.0\n1.0.0\n") || site.read("starts") == "watch 1.0.0\n1.0.0\n"
    });
    assert!(site.notes().contains("exit status: 9"), "{}", site.notes());
    assert_eq!(site.book().confirmed, Some(version("1.0.0")));
    fs::remove_dir_all(site.layout().successors()).unwrap();
    fs::remove_file(site.layout().carried_supervisor(&version("1.0.0"))).unwrap();
    let before = site.read("starts").lines().count();
    site.run(Limits::default(), |site| site.read("starts").lines().count() > before);
    assert!(site.read("starts").ends_with("1.0.0\n"), "{}", site.notes());
}

#[test]
fn a_stop_during_the_trial_is_no_refusal_and_three_are() {
    let site = Site::carrying("echo alive; while read line; do [ \"$line\" = stop ] && exit 0; done");
    for attempt in 1..=3 {
        site.run(Limits::default(), |site| site.read("starts").lines().count() == attempt);
        assert_eq!(site.book().trial.unwrap().attempt, u32::try_from(attempt).unwrap());
    }
    let why = site.refusal(Limits::default());
    assert!(why.contains("stopped every time"), "{why}");
}

#[test]
fn a_damaged_book_leaves_the_installed_one() {
    let site = Site::carrying(WATCHES);
    fs::write(site.layout().successors_book(), "{\"format\": \"2\"}").unwrap();
    site.run(Limits::default(), |site| site.read("starts") == "1.0.0\n");
    assert!(site.notes().contains("no later supervisor can be started"), "{}", site.notes());
}
