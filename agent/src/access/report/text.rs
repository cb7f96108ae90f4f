//! The report on a terminal.

use std::fmt::Write as _;

use super::{Access, May, Report, Table, Work};

/// The report as lines of text.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, &format!("What the agent on {} may do with SQL Server", report.minion));
    line(&mut out, &format!("Made {} by agent {}", report.made, report.agent));
    if report.accesses.is_empty() {
        line(&mut out, "\nNothing: no sync job, no write and no access is declared on this machine.");
    }
    for access in &report.accesses {
        one(&mut out, access);
    }
    out
}

fn one(out: &mut String, access: &Access) {
    let Access { login, server, database, user, .. } = access;
    line(out, &format!("\n== Login {login} on {server}, database {database} =="));
    if let Some(trouble) = &access.trouble {
        line(out, &format!("Does not work: {trouble}"));
    } else {
        line(out, &format!("SQL Server:  {}", access.product));
        line(out, &format!("Login:       {login}, since {}", access.login_since));
        line(out, &format!("User:        {user}, since {}", access.user_since));
    }
    line(out, &format!("Agreed:      {}", agreed(access)));
    section(out, "Reads and writes", access.tables.iter().map(table));
    section(out, "For", access.work.iter().map(work));
    section(out, "May", access.may.iter().map(may));
    section(out, "In excess: may, and needs for nothing", access.excess.iter().cloned());
    section(out, "Missing: needs, and may not", access.missing.iter().cloned());
    if !access.revoke_script.is_empty() {
        section(
            out,
            "To end all of it, run as an administrator",
            access.revoke_script.lines().map(str::to_owned),
        );
    }
}

/// How the access was agreed, in words.
#[must_use]
pub fn agreed(access: &Access) -> String {
    let what = match access.agreed.as_str() {
        "derived" => "just what the jobs and writes below need",
        "full" => "full access (db_owner), as the installation guide asks",
        "exact" => "the permissions listed in the state files",
        _ => "not by the agent's state files: made by hand",
    };
    match (&access.agreed_since, &access.changed) {
        (Some(since), Some(changed)) => {
            format!("{what}; since {}, last changed by the agent {}", day(since), day(changed))
        }
        (Some(since), None) => format!("{what}; since {}", day(since)),
        (None, _) => what.to_owned(),
    }
}

/// The day of a moment.
#[must_use]
pub fn day(moment: &str) -> &str {
    moment.get(..10).unwrap_or(moment)
}

/// A moment without its seconds.
#[must_use]
pub fn minute(moment: &str) -> String {
    moment.get(..16).map_or_else(|| moment.to_owned(), |short| format!("{} UTC", short.replace('T', " ")))
}

fn table(table: &Table) -> String {
    let mut text = table.table.clone();
    if !table.reads.is_empty() {
        let _ = write!(text, "\n      reads {}", columns(&table.reads));
    }
    for write in &table.writes {
        let _ = write!(text, "\n      writes: {write}");
    }
    let _ = write!(text, "\n      for {}", table.needed_by.join(", "));
    text
}

fn columns(columns: &[String]) -> String {
    match columns {
        [all] if all == "*" => "every column".to_owned(),
        some => format!("{} columns: {}", some.len(), some.join(", ")),
    }
}

fn work(work: &Work) -> String {
    let used = work
        .last_used
        .as_deref()
        .map_or_else(|| "not used yet".to_owned(), |at| format!("last used {}", minute(at)));
    let what = if work.what.is_empty() { String::new() } else { format!(" {};", work.what) };
    format!("{} {}:{what} {used}", work.kind, work.name)
}

fn may(may: &May) -> String {
    let columns = match may.columns.len() {
        0 => String::new(),
        1 => " (1 column)".to_owned(),
        count => format!(" ({count} columns)"),
    };
    let needed = match may.needed_by.as_slice() {
        [] => String::new(),
        by => format!("; needed by {}", by.join(", ")),
    };
    format!("{}{columns}: {}; {}{needed}", may.right, may.meaning, may.through)
}

fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    line(out, &format!("\n  {title}"));
    let mut any = false;
    for text in lines {
        any = true;
        line(out, &format!("    {text}"));
    }
    if !any {
        line(out, "    nothing");
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
