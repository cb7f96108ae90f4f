//! `options` of `archive.extracted`: a tar that the system's own `tar` takes apart, by its command line.

use std::path::Path;

use fancy_regex::Regex;
use states::{Map, Value};

use super::Member;
use crate::{command, modules, state_modules::StateContext};

/// What the state says about the command line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TarOptions {
    words: Vec<String>,
    /// How many folders at the start of a name are left out.
    strip: usize,
}

impl TarOptions {
    pub(super) fn parse(options: &str) -> Result<Self, String> {
        let strip = Regex::new(r#"--strip(?:-components)?(?:\s+|=)["']?(\d+)["']?"#)
            .ok()
            .and_then(|pattern| pattern.captures(options).ok().flatten()?.get(1)?.as_str().parse().ok())
            .unwrap_or(0);
        let words = shlex::split(options).ok_or("No closing quotation")?;
        Ok(Self { words, strip })
    }

    /// The members as they will lie in the folder.
    pub(super) fn stripped(&self, members: Vec<Member>) -> Vec<Member> {
        let cut = |member: Member| {
            let mut parts = member.name.splitn(self.strip + 1, '/').skip(self.strip);
            let name = parts.next()?.to_owned();
            (!name.is_empty()).then_some(Member { name, ..member })
        };
        members.into_iter().filter_map(cut).collect()
    }

    /// The first word may be short options without a dash; `x` and `f` are here already.
    fn line(&self, archive: &Path) -> Vec<String> {
        let mut short = "x".to_owned();
        let mut long = Vec::new();
        for (at, word) in self.words.iter().enumerate() {
            if at == 0 && !word.starts_with('-') {
                short.push_str(&word.replace(['x', 'f'], ""));
            } else {
                long.push(word.clone());
            }
        }
        let mut line = vec!["tar".to_owned(), short];
        line.extend(long);
        line.extend(["-f".to_owned(), archive.to_string_lossy().into_owned()]);
        line
    }

    /// Runs `tar` in the folder: what it printed, or the map of `cmd.run_all` when it failed.
    pub(super) async fn extract(
        &self,
        archive: &Path,
        folder: &Path,
        run: &StateContext,
    ) -> Result<Result<String, Map>, String> {
        let words = self.line(archive).into_iter().map(Value::from).collect::<Vec<_>>();
        let options = [("cwd", folder.to_string_lossy().into_owned())].into_iter().collect();
        let request = modules::cmd::request(&words.into(), &options, false, false)?;
        let done = command::run(&run.services.config, request, &run.cancel).await;
        let output = done.map_err(|error| error.to_string())?;
        if output.retcode != 0 {
            return Ok(Err(modules::cmd::all(output)));
        }
        let said = output.stdout;
        Ok(Ok(if said.is_empty() { "no tar output so far".to_owned() } else { said }))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Kind, *};

    #[test]
    fn strips_names_and_builds_the_line() {
        let options = TarOptions::parse("vx --strip-components=1").unwrap();
        let member = |name: &str| Member { name: name.to_owned(), kind: Kind::File };
        assert_eq!(
            options.stripped(vec![member("a"), member("a/b"), member("a/b/c")]),
            [member("b"), member("b/c")]
        );
        assert_eq!(options.line(Path::new("/t.tar")), ["tar", "xv", "--strip-components=1", "-f", "/t.tar"]);
        let plain = TarOptions::parse("--exclude='*.log'").unwrap();
        assert_eq!(plain.line(Path::new("/t.tar")), ["tar", "x", "--exclude=*.log", "-f", "/t.tar"]);
    }
}
