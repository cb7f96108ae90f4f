//! The report as one printable page: no script, nothing loaded from elsewhere, light and dark.
//!
//! Everything that comes from declarations or the server is escaped.

use super::text::{agreed, minute};
use super::{Access, May, Report, Table, Work};

/// The page.
#[must_use]
pub fn render(report: &Report) -> String {
    let accesses: String = report.accesses.iter().map(one).collect();
    let body = if report.accesses.is_empty() {
        "<p>Nothing: no sync job, no write and no access is declared on this machine.</p>".to_owned()
    } else {
        accesses
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>SQL Server access of {minion}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<h1>What the agent may do with SQL Server</h1>\n<p class=\"made\">On <b>{minion}</b>, {made}, \
         agent {agent}</p>\n</header>\n{body}<footer>{SIGN}</footer>\n</main>\n</body>\n</html>\n",
        minion = escaped(&report.minion),
        made = escaped(&minute(&report.made)),
        agent = escaped(&report.agent),
    )
}

fn one(access: &Access) -> String {
    let trouble = access.trouble.as_ref().map_or_else(String::new, |trouble| {
        format!("<p class=\"alarm\"><b>This login does not work.</b> {}</p>\n", escaped(trouble))
    });
    format!(
        "<section>\n<h2>{login} <span>in {database}</span></h2>\n{trouble}{facts}{verdict}\
         <h3>What it reads and writes</h3>\n{tables}<h3>What for</h3>\n{work}<h3>What it may do</h3>\n{may}\
         {excess}{missing}<h3>How to end it</h3>\n<p>Pause or stop the agent, then run this as an administrator of \
         SQL Server. It takes away every permission, the user and the login.</p>\n<pre>{script}</pre>\n</section>\n",
        login = escaped(&access.login),
        database = escaped(&access.database),
        facts = facts(access),
        verdict = verdict(access),
        tables = rows(&["Table", "Reads", "Writes", "For"], access.tables.iter().map(table)),
        work = rows(&["Job or write", "What it does", "Last used"], access.work.iter().map(work)),
        may = rows(&["Permission", "Means", "Given", "Needed by"], access.may.iter().map(may)),
        excess = list("In excess", "It may do this and needs it for nothing:", &access.excess),
        missing = list("Missing", "It needs this and may not do it:", &access.missing),
        script = escaped(&access.revoke_script),
    )
}

fn facts(access: &Access) -> String {
    let mut facts = vec![("Server", access.server.clone())];
    if access.trouble.is_none() {
        facts.push(("SQL Server", access.product.clone()));
        facts.push(("Login since", access.login_since.clone()));
        facts.push(("Database user", format!("{}, since {}", access.user, access.user_since)));
    }
    facts.push(("Agreed", agreed(access)));
    let facts: String = facts
        .iter()
        .map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", escaped(value)))
        .collect();
    format!("<dl>\n{facts}</dl>\n")
}

/// The page in a line of four figures.
fn verdict(access: &Access) -> String {
    let reads = access.tables.iter().filter(|table| !table.reads.is_empty()).count();
    let writes = access.tables.iter().filter(|table| !table.writes.is_empty()).count();
    let figure =
        |count: usize, class: &str, text: &str| format!("<li class=\"{class}\"><b>{count}</b> {text}</li>\n");
    let excess = if access.excess.is_empty() { "good" } else { "warn" };
    let missing = if access.missing.is_empty() { "good" } else { "warn" };
    format!(
        "<ul class=\"figures\">\n{}{}{}{}</ul>\n",
        figure(reads, "", plural(reads, "table read", "tables read")),
        figure(writes, "", plural(writes, "table written", "tables written")),
        figure(
            access.excess.len(),
            excess,
            plural(access.excess.len(), "permission in excess", "permissions in excess")
        ),
        figure(
            access.missing.len(),
            missing,
            plural(access.missing.len(), "permission missing", "permissions missing")
        ),
    )
}

fn plural<'a>(count: usize, one: &'a str, more: &'a str) -> &'a str {
    if count == 1 { one } else { more }
}

fn table(table: &Table) -> Vec<String> {
    let reads = match table.reads.as_slice() {
        [] => "<i>nothing</i>".to_owned(),
        [all] if all == "*" => "every column".to_owned(),
        columns => names(columns),
    };
    let writes = match table.writes.as_slice() {
        [] => "<i>nothing</i>".to_owned(),
        writes => writes.iter().map(|write| escaped(write)).collect::<Vec<_>>().join("<br>"),
    };
    vec![format!("<b>{}</b>", escaped(&table.table)), reads, writes, plain(&table.needed_by)]
}

fn work(work: &Work) -> Vec<String> {
    let used = work.last_used.as_deref().map_or_else(|| "not yet".to_owned(), minute);
    let name = format!("<b>{}</b><br>{}", escaped(&work.name), work.kind);
    vec![name, escaped(&work.what), escaped(&used)]
}

fn may(may: &May) -> Vec<String> {
    let columns = match may.columns.len() {
        0 => String::new(),
        1 => "<br>1 column".to_owned(),
        count => format!("<br>{count} columns"),
    };
    let needed = if may.needed_by.is_empty() { "<i>nobody</i>".to_owned() } else { plain(&may.needed_by) };
    let right = format!("<b>{}</b>{columns}", escaped(&may.right));
    vec![right, escaped(&may.meaning), escaped(&may.through), needed]
}

/// Names that may break between words only.
fn names(names: &[String]) -> String {
    let one = |name: &String| format!("<code>{}</code>", escaped(name));
    names.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn plain(texts: &[String]) -> String {
    texts.iter().map(|text| escaped(text)).collect::<Vec<_>>().join("<br>")
}

/// A table; the cells carry their heading for narrow screens, where each row becomes a block.
fn rows(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |row: Vec<String>| -> String {
        let cell = |(head, cell): (&&str, String)| format!("<td data-head=\"{head}\"><div>{cell}</div></td>");
        format!("<tr>{}</tr>\n", heads.iter().zip(row).map(cell).collect::<String>())
    };
    let rows: String = rows.map(cells).collect();
    if rows.is_empty() {
        return "<p><i>Nothing.</i></p>\n".to_owned();
    }
    let heads: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn list(title: &str, lead: &str, texts: &[String]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let items: String = texts.iter().map(|text| format!("<li>{}</li>\n", escaped(text))).collect();
    format!("<div class=\"warning\">\n<h3>{title}</h3>\n<p>{lead}</p>\n<ul>\n{items}</ul>\n</div>\n")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Turns the reading direction of what follows: shown, not obeyed.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

const STYLE: &str = include_str!("report.css");
const SIGN: &str = "<p>Seen and agreed for the practice</p><div><span>Name</span><span>Date</span><span>Signature</span></div>";

#[cfg(test)]
mod tests {
    use super::super::text::day;
    use super::*;

    fn report() -> Report {
        let evil = "<script>alert(1)</script>\"'&".to_owned();
        let table = Table {
            table: evil.clone(),
            reads: vec![evil.clone(), "B".into()],
            writes: vec![],
            needed_by: vec!["sync job a".into()],
        };
        let access = Access {
            login: evil.clone(),
            database: evil.clone(),
            trouble: Some(evil.clone()),
            tables: vec![table],
            excess: vec![evil.clone()],
            revoke_script: evil.clone(),
            ..Access::default()
        };
        Report {
            minion: evil,
            agent: "1".into(),
            made: "2026-01-02T03:04:05Z".into(),
            accesses: vec![access],
        }
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let page = render(&report());
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert_eq!(escaped("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn the_page_says_when_it_was_made_and_what_is_in_excess() {
        let page = render(&report());
        assert!(page.contains("2026-01-02 03:04 UTC") && page.contains("permission in excess"));
        assert!(page.contains("This login does not work."));
        let nothing = Report { accesses: vec![], ..report() };
        assert!(render(&nothing).contains("no sync job"));
    }

    #[test]
    fn the_day_of_a_moment_is_its_first_part() {
        assert_eq!(day("2026-01-02T03:04:05Z"), "2026-01-02");
    }
}
