//! `master-sim run TARGET FUN [ARGS]`: what `salt` does, with its flags, layouts and exit codes.
//!
//! 0: all returned and succeeded. 1: a minion returned non-zero or not at all. 2: the target means nobody.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use proto::{JobReturn, MinionId, Value};
use states::output::{self, Options, Outputter};

use crate::arguments::Invocation;
use crate::client::{LocalClient, Order, Outcome};
use crate::config::Config;

/// The flags of `run`.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("kind").multiple(false))]
pub struct Run {
    /// Whom: a glob over minion ids, unless a flag says otherwise.
    target: String,
    /// What: a function, or several separated by commas.
    fun: String,
    /// Its arguments; `name=value` are keyword arguments.
    #[arg(allow_negative_numbers = true)]
    args: Vec<String>,
    /// TARGET is a regular expression over ids.
    #[arg(short = 'E', long, group = "kind")]
    pcre: bool,
    /// TARGET is a list of ids, separated by commas.
    #[arg(short = 'L', long, group = "kind")]
    list: bool,
    /// TARGET is `grain:glob`.
    #[arg(short = 'G', long, group = "kind")]
    grain: bool,
    /// TARGET is `grain:regular expression`.
    #[arg(short = 'P', long, group = "kind")]
    grain_pcre: bool,
    /// TARGET is `pillar:glob`.
    #[arg(short = 'I', long, group = "kind")]
    pillar: bool,
    /// TARGET is `pillar:regular expression`.
    #[arg(short = 'J', long, group = "kind")]
    pillar_pcre: bool,
    /// TARGET is a nodegroup of the master's configuration.
    #[arg(short = 'N', long, group = "kind")]
    nodegroup: bool,
    /// TARGET joins targets of several kinds by and, or, not.
    #[arg(short = 'C', long, group = "kind")]
    compound: bool,
    /// TARGET is an address or a network.
    #[arg(short = 'S', long, group = "kind")]
    ipcidr: bool,
    /// Seconds to wait before asking who still works.
    #[arg(short, long)]
    timeout: Option<u64>,
    /// So many minions at a time: a number or a percentage.
    #[arg(short, long, visible_alias = "batch-size")]
    batch: Option<String>,
    /// Print the job's id and do not wait.
    #[arg(long = "async")]
    asynchronous: bool,
    /// Print all returns at once, at the end.
    #[arg(short, long)]
    r#static: bool,
    /// Salt's layout: nested, highstate, json, yaml, txt, raw, quiet.
    #[arg(long, visible_alias = "output", value_parser = outputter)]
    out: Option<Outputter>,
    /// Never colour.
    #[arg(long, visible_alias = "no-colour")]
    no_color: bool,
    /// Colour also what is not a terminal.
    #[arg(long, visible_alias = "force-colour")]
    force_color: bool,
    /// Print the job's id first.
    #[arg(long)]
    show_jid: bool,
}

pub(super) fn outputter(name: &str) -> Result<Outputter, String> {
    Outputter::from_name(name).ok_or_else(|| format!("there is no layout {name:?}"))
}

/// Publishes, waits, prints.
pub fn run(config: &Config, run: &Run) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = LocalClient::new(config)?;
        let mut printer = Printer::new(run);
        match &run.batch {
            Some(size) => run.in_batches(&client, config, size, &mut printer).await?,
            None => {
                if let Some(code) = run.at_once(&client, config, &mut printer).await? {
                    return Ok(code);
                }
            }
        }
        Ok(printer.finish())
    })
}

impl Run {
    /// Sends one job to all; an exit code when there is nothing to wait for.
    async fn at_once(
        &self,
        client: &LocalClient,
        config: &Config,
        printer: &mut Printer,
    ) -> Result<Option<ExitCode>> {
        let order = self.order(config);
        let published = client.publish(&order).await?;
        let Some(jid) = published.jid else {
            printer.nobody(&published.missing);
            return Ok(Some(ExitCode::from(2)));
        };
        if self.asynchronous {
            println!("Executed command with job ID: {jid}");
            return Ok(Some(ExitCode::SUCCESS));
        }
        if self.show_jid {
            println!("jid: {jid}");
        }
        let waiting = client.returns(&jid, &published.minions, order.timeout, |id, outcome| {
            printer.tell(id, outcome, jid.as_str());
        });
        tokio::select! {
            done = waiting => done?,
            _ = tokio::signal::ctrl_c() => {
                eprintln!("\nExiting gracefully on Ctrl-c\nThis job's jid is: {jid}");
                eprintln!("The minions may not have all finished running; see: master-sim job show {jid}");
                return Ok(Some(ExitCode::FAILURE));
            }
        }
        for id in published.missing.iter().filter_map(|id| MinionId::parse(id).ok()) {
            printer.tell(&id, Outcome::NoResponse, jid.as_str());
        }
        Ok(None)
    }

    /// Pings the target, then sends jobs to so many at a time.
    async fn in_batches(
        &self,
        client: &LocalClient,
        config: &Config,
        size: &str,
        printer: &mut Printer,
    ) -> Result<()> {
        let order = self.order(config);
        let ping = Order { invocation: Invocation::parse("test.ping", &[]), ..order.clone() };
        let present = self.present(client, &ping).await?;
        for minions in present.chunks(batch_size(size, present.len())?) {
            let names: Vec<&str> = minions.iter().map(MinionId::as_str).collect();
            if !self.r#static {
                println!("\nExecuting run on ['{}']\n", names.join("', '"));
            }
            let part = Order { tgt: Value::from_iter(names), tgt_type: "list".to_owned(), ..order.clone() };
            let published = client.publish(&part).await?;
            let Some(jid) = published.jid else { continue };
            let tell = |id: &MinionId, outcome| printer.tell(id, outcome, jid.as_str());
            client.returns(&jid, &published.minions, order.timeout, tell).await?;
        }
        if present.is_empty() {
            printer.nobody(&[]);
        }
        Ok(())
    }

    async fn present(&self, client: &LocalClient, ping: &Order) -> Result<Vec<MinionId>> {
        let published = client.publish(ping).await?;
        let mut present = Vec::new();
        let Some(jid) = published.jid else { return Ok(present) };
        let tell = |id: &MinionId, outcome| match outcome {
            Outcome::Returned(_) => present.push(id.clone()),
            Outcome::NoResponse => eprintln!("Minion {id} did not respond. No job will be sent."),
        };
        client.returns(&jid, &published.minions, ping.timeout, tell).await?;
        present.sort();
        Ok(present)
    }

    fn order(&self, config: &Config) -> Order {
        Order {
            invocation: Invocation::parse(&self.fun, &self.args),
            tgt: self.target.as_str().into(),
            tgt_type: self.tgt_type().to_owned(),
            timeout: self.timeout.map_or(config.timeout, Duration::from_secs),
        }
    }

    fn tgt_type(&self) -> &'static str {
        let kinds = [
            (self.pcre, "pcre"),
            (self.list, "list"),
            (self.grain, "grain"),
            (self.grain_pcre, "grain_pcre"),
            (self.pillar, "pillar"),
            (self.pillar_pcre, "pillar_pcre"),
            (self.nodegroup, "nodegroup"),
            (self.compound, "compound"),
            (self.ipcidr, "ipcidr"),
        ];
        kinds.into_iter().find(|(chosen, _)| *chosen).map_or("glob", |(_, kind)| kind)
    }
}

fn batch_size(text: &str, minions: usize) -> Result<usize> {
    let size = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<usize>().map(|percent| minions * percent / 100),
        None => text.parse(),
    };
    Ok(size.with_context(|| format!("a batch is a number or a percentage, not {text:?}"))?.max(1))
}

/// Prints returns as they come, or all at the end.
pub(super) struct Printer {
    out: Option<Outputter>,
    options: Options,
    static_returns: Option<states::Map>,
    docs: Option<std::collections::BTreeMap<String, String>>,
    failed: bool,
    nobody: bool,
}

impl Printer {
    fn new(run: &Run) -> Self {
        let color = !run.no_color && (run.force_color || std::io::stdout().is_terminal());
        Self {
            out: run.out,
            options: Options { color, ..Options::default() },
            static_returns: run.r#static.then(states::Map::new),
            docs: (run.fun == "sys.doc" && run.out.is_none()).then(Default::default),
            failed: false,
            nobody: false,
        }
    }

    /// A printer of one job's returns, each as it is told.
    pub(super) fn plain(out: Option<Outputter>) -> Self {
        let color = std::io::stdout().is_terminal();
        let options = Options { color, ..Options::default() };
        Self { out, options, static_returns: None, docs: None, failed: false, nobody: false }
    }

    pub(super) fn tell(&mut self, id: &MinionId, outcome: Outcome, jid: &str) {
        match outcome {
            Outcome::Returned(ret) => {
                self.failed |= !succeeded(&ret.retcode);
                self.returned(id, &ret);
            }
            Outcome::NoResponse => {
                self.failed = true;
                self.print(id, no_response(jid).into(), None);
            }
        }
    }

    fn returned(&mut self, id: &MinionId, ret: &JobReturn) {
        if let (Some(docs), states::Value::Map(found)) = (&mut self.docs, states::to_value(&ret.value)) {
            let found = found.iter().filter_map(|(fun, doc)| Some((fun.as_str()?, doc.as_str()?)));
            docs.extend(found.map(|(fun, doc)| (fun.to_owned(), doc.to_owned())));
            return;
        }
        self.print(id, states::to_value(&ret.value), ret.out.as_deref());
    }

    fn print(&mut self, id: &MinionId, value: states::Value, out: Option<&str>) {
        if let Some(returns) = &mut self.static_returns {
            returns.insert(id.as_str(), value);
            return;
        }
        let outputter = self.out.unwrap_or_else(|| Outputter::for_return(out));
        self.line(&output::print_minion(outputter, id.as_str(), &value, &self.options));
    }

    fn line(&self, text: &str) {
        if self.out != Some(Outputter::Quiet) {
            println!("{text}");
        }
    }

    fn nobody(&mut self, missing: &[String]) {
        self.nobody = true;
        if self.static_returns.is_some() && self.out == Some(Outputter::Json) {
            println!("{{}}");
        }
        for id in missing {
            eprintln!("{id}: no accepted minion has this id");
        }
        eprintln!("No minions matched the target. No command was sent, no jid was assigned.");
        eprintln!("ERROR: No return received");
    }

    pub(super) fn finish(self) -> ExitCode {
        if let Some(returns) = &self.static_returns {
            let outputter = self.out.unwrap_or(Outputter::Nested);
            self.line(&output::print(outputter, &states::Value::Map(returns.clone()), &self.options));
        }
        for (fun, doc) in self.docs.iter().flatten() {
            println!("{fun}:\n{doc}\n");
        }
        if self.nobody {
            return ExitCode::from(2);
        }
        if self.failed {
            eprintln!("ERROR: Minions returned with non-zero exit code");
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }
}

/// A retcode of zero; of a job with several functions, all of them.
fn succeeded(retcode: &Value) -> bool {
    if let Some(all) = retcode.as_map() {
        return all.values().all(succeeded);
    }
    retcode.as_list().map_or(!retcode.is_truthy(), |all| all.iter().all(succeeded))
}

fn no_response(jid: &str) -> String {
    format!(
        "Minion did not return. [No response]\nThe minions may not have all finished running and any remaining \
         minions will return upon completion. To look up the return data for this job later, run the following \
         command:\n\nmaster-sim job show {jid}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_number_or_a_share() {
        assert_eq!(batch_size("3", 10).unwrap(), 3);
        assert_eq!(batch_size("25%", 10).unwrap(), 2);
        assert_eq!(batch_size("1%", 10).unwrap(), 1);
        assert!(batch_size("many", 10).is_err());
    }

    #[test]
    fn any_retcode_but_zero_is_a_failure() {
        assert!(succeeded(&0.into()) && !succeeded(&2.into()));
        assert!(!succeeded(&proto::Map::from([("test.ping", 0), ("test.fail", 1)]).into()));
    }
}
