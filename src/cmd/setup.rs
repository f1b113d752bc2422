//! `kage setup`: adds the first subscription and the line for the shell, and does a test run. Each step runs
//! another verb.

use std::ffi::OsStr;

use anyhow::Result;
use clap::Parser as _;

use super::{init, question};
use crate::agent::{Agent, DEFAULT_AGENT};
use crate::cli::{Cli, SecretInput, Setup, ShellChoice};
use crate::config::Config;
use crate::credentials;
use crate::error::{Failure, Status};
use crate::paths::Paths;
use crate::pool::{Name, Source};
use crate::report;
use crate::run::Program;
use crate::shell::Shell;
use crate::text::quoted;

const DEFAULT_NAME: &str = "work";

/// Runs the steps, each of which is another verb, run by `dispatch`.
pub(super) fn run(args: Setup, dispatch: fn(Cli) -> Result<i32>) -> Result<()> {
    if !args.yes && !report::can_ask() {
        return Err(Failure::usage("setup asks questions and needs a terminal")
            .hint("kage setup --yes --name work <token.txt")
            .into());
    }
    let guide = Guide { paths: Paths::from_environment()?, args, dispatch };
    let name = guide.subscription()?;
    guide.shell()?;
    let agent = guide.test_run(&name)?;
    report::say(format_args!(
        "setup is complete: `kage exec -- {}` runs the agent, `kage status` shows the pool, \
         `kage doctor` checks the setup",
        agent.program(),
    ));
    Ok(())
}

struct Guide {
    args: Setup,
    paths: Paths,
    dispatch: fn(Cli) -> Result<i32>,
}

impl Guide {
    /// Adds a subscription. Returns the subscription for the test run.
    fn subscription(&self) -> Result<Name> {
        let config = Config::load(&self.paths)?;
        let known = &config.pool.subscriptions;
        if let Some(name) = self.args.name.as_ref().filter(|&name| known.contains_key(name)) {
            report::say(format_args!("subscription `{name}` already exists"));
            return Ok(name.clone());
        }
        if let (Some(first), None) = (known.keys().next(), &self.args.name) {
            let names = known.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
            report::say(format_args!("subscriptions in the pool: {names}"));
            if self.args.yes || !question::yes_or_no("Add another subscription?", false)? {
                return Ok(first.clone());
            }
        }
        let agent = self.agent(&config)?;
        let name = self.name(&config)?;
        let credential = self.credential(agent)?;
        let mut words = vec!["subscription", "add", name.as_str(), "--credential", &credential];
        if agent.name() != DEFAULT_AGENT {
            words.extend(["--agent", agent.name()]);
        }
        let SecretInput { credential: _, stdin, force, minted } = &self.args.secret;
        words.extend(
            [(*stdin, "--stdin"), (*force, "--force")].iter().filter_map(|(on, flag)| on.then_some(*flag)),
        );
        let minted = minted.map(|day| day.to_string());
        words.extend(minted.iter().flat_map(|day| ["--minted", day]));
        self.run_command(&words)?;
        Ok(name)
    }

    /// The given agent, the only one that is installed, or the one that the user chooses.
    fn agent(&self, config: &Config) -> Result<&'static dyn Agent> {
        let is_installed =
            |agent: &&dyn Agent| Program::find(OsStr::new(agent.program()), &self.paths.shims).is_ok();
        if let Some(name) = &self.args.agent {
            let agent = config.agent(name)?;
            return if is_installed(&agent) { Ok(agent) } else { Err(missing(agent).into()) };
        }
        let installed: Vec<_> = config.agents.all().filter(is_installed).collect();
        match installed[..] {
            [] => {
                let message = "no known agent was found on PATH";
                let hint = "npm install -g @anthropic-ai/claude-code";
                Err(Failure::new(Status::Failed, message).hint(hint).into())
            }
            [only] => Ok(only),
            [first, ..] if self.args.yes => Ok(first),
            _ => {
                let names: Vec<_> = installed.iter().map(|agent| agent.name().to_owned()).collect();
                let at = question::select("Which agent is the subscription for?", names)?;
                Ok(installed[at])
            }
        }
    }

    fn name(&self, config: &Config) -> Result<Name> {
        if let Some(name) = &self.args.name {
            return Ok(name.clone());
        }
        if self.args.yes {
            return parsed(DEFAULT_NAME);
        }
        let help = "a descriptive name, such as work, personal or client-acme";
        let taken: Vec<_> = config.pool.subscriptions.keys().cloned().collect();
        question::text("What should the subscription be called?", DEFAULT_NAME, help, move |text| {
            let name: Name = text.parse()?;
            if taken.contains(&name) {
                return Err(format!("subscription `{name}` already exists"));
            }
            Ok(name)
        })
    }

    /// The location of the secret, in the format of `--credential`.
    fn credential(&self, agent: &dyn Agent) -> Result<String> {
        if let Some(location) = &self.args.secret.credential {
            return Ok(location.clone());
        }
        let keychain = credentials::backend(&Source::Keychain, &self.paths).has(&parsed(DEFAULT_NAME)?);
        if let Err(why) = &keychain {
            report::say(format_args!("no keychain is available ({why:#})"));
        }
        if self.args.yes {
            return Ok(if keychain.is_ok() { "keychain" } else { "file" }.to_owned());
        }
        let mut locations =
            vec![("file", "kage's encrypted file"), ("command", "a command that prints the secret")];
        if keychain.is_ok() {
            locations.insert(0, ("keychain", "the system keychain"));
        }
        if agent.has_login_dirs() {
            locations.push(("home", "no secret: the agent's own login directory"));
        }
        let shown = locations.iter().map(|(_, shown)| (*shown).to_owned()).collect();
        let location = locations[question::select("Where should its secret be stored?", shown)?].0;
        let not_empty = |text: &str| {
            if text.is_empty() { Err("it must not be empty".to_owned()) } else { Ok(text.to_owned()) }
        };
        Ok(match location {
            "command" => {
                let help = "for example: op read op://work/claude/token";
                format!("command:{}", question::text("Which command?", "", help, not_empty)?)
            }
            "home" => {
                let directory = format!("~/.{}-work", agent.name());
                let help = "the agent logs in there; kage stores no secret";
                format!("home:{}", question::text("Which directory?", &directory, help, not_empty)?)
            }
            location => location.to_owned(),
        })
    }

    /// Adds the line to the start-up file of the user's shell.
    fn shell(&self) -> Result<()> {
        let shell = match self.args.shell {
            Some(ShellChoice::None) => return Ok(()),
            Some(ShellChoice::Bash) => Shell::Bash,
            Some(ShellChoice::Zsh) => Shell::Zsh,
            Some(ShellChoice::Fish) => Shell::Fish,
            None => match init::users_shell() {
                Some(shell) => shell,
                None => {
                    report::say("SHELL is not bash, zsh or fish; `kage shim install` works with any shell");
                    return Ok(());
                }
            },
        };
        if init::is_set_up(shell, &self.paths) {
            return Ok(());
        }
        let question = format!("Run your agents through kage in new {shell} shells?");
        if self.args.yes || question::yes_or_no(&question, true)? {
            self.run_command(&["init", shell.name(), "--install", "--yes"])?;
        }
        Ok(())
    }

    /// Asks the agent of the subscription one short question.
    fn test_run(&self, name: &Name) -> Result<&'static dyn Agent> {
        let config = Config::load(&self.paths)?;
        let agent = config.agent(&config.pool.subscriptions[name].agent)?;
        let Some(trial) = agent.trial().filter(|_| !self.args.no_test) else { return Ok(agent) };
        let question = format!("Test it with one short question to {}?", agent.name());
        if !self.args.yes && !question::yes_or_no(&question, true)? {
            return Ok(agent);
        }
        let words = ["exec", "-s", name.as_str(), "--", agent.program()];
        let status = self.run_command(&[&words, trial].concat())?;
        if status != 0 {
            let message = format!("the test run on `{name}` ended with exit status {status}");
            return Err(Failure::new(Status::Failed, message).hint("kage doctor").into());
        }
        Ok(agent)
    }

    /// Shows and runs the kage command that does this step.
    fn run_command(&self, words: &[&str]) -> Result<i32> {
        let shown = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        report::say(format_args!("$ kage {shown}"));
        let command = Cli::try_parse_from(["kage"].iter().chain(words));
        (self.dispatch)(command.map_err(|why| Failure::usage(why.to_string()))?)
    }
}

/// The error for an agent that is not installed. It occurs before anything is stored.
fn missing(agent: &dyn Agent) -> Failure {
    let message = format!("`{}` was not found", agent.program());
    let hint = agent.install_info().map_or("install it and try again", |known| known.install);
    Failure::new(Status::Failed, message).hint(hint)
}

fn parsed(name: &str) -> Result<Name> {
    name.parse().map_err(|why: String| Failure::usage(why).into())
}
