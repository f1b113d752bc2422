//! `kage setup`: the first subscription, the line for the shell, and a run that shows that it works. Each step is
//! the verb that does it alone.

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

const USUAL_NAME: &str = "work";

/// Goes through the steps, each of which is another verb that `dispatch` runs.
pub(super) fn run(args: Setup, dispatch: fn(Cli) -> Result<i32>) -> Result<()> {
    if !args.yes && !report::can_ask() {
        return Err(Failure::usage("setup asks, and there is nobody at the terminal")
            .hint("kage setup --yes --name work <token")
            .into());
    }
    let guide = Guide { paths: Paths::from_environment()?, args, dispatch };
    let name = guide.subscription()?;
    guide.shell()?;
    let agent = guide.test_run(&name)?;
    report::say(format_args!(
        "that is all: `kage exec -- {}` runs it, `kage status` shows the pool, `kage doctor` looks after it",
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
    /// Adds a subscription; the answer is the one to try.
    fn subscription(&self) -> Result<Name> {
        let config = Config::load(&self.paths)?;
        let known = &config.pool.subscriptions;
        if let Some(name) = self.args.name.as_ref().filter(|&name| known.contains_key(name)) {
            report::say(format_args!("there is a subscription `{name}` already"));
            return Ok(name.clone());
        }
        if let (Some(first), None) = (known.keys().next(), &self.args.name) {
            let names = known.keys().map(Name::as_str).collect::<Vec<_>>().join(", ");
            report::say(format_args!("the pool has {names}"));
            if self.args.yes || !question::decides("Add another subscription?", false)? {
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
        self.does(&words)?;
        Ok(name)
    }

    /// The agent that was named, the only one that is installed, or the one that is chosen.
    fn agent(&self, config: &Config) -> Result<&'static dyn Agent> {
        let is_there =
            |agent: &&dyn Agent| Program::find(OsStr::new(agent.program()), &self.paths.shims).is_ok();
        if let Some(name) = &self.args.agent {
            let agent = config.agent(name)?;
            return if is_there(&agent) { Ok(agent) } else { Err(missing(agent).into()) };
        }
        let installed: Vec<_> = config.agents.all().filter(is_there).collect();
        match installed[..] {
            [] => {
                let message = "none of the agents that kage knows is on PATH";
                let hint = "npm install -g @anthropic-ai/claude-code";
                Err(Failure::new(Status::Failed, message).hint(hint).into())
            }
            [only] => Ok(only),
            [first, ..] if self.args.yes => Ok(first),
            _ => {
                let names: Vec<_> = installed.iter().map(|agent| agent.name().to_owned()).collect();
                let at = question::chooses("Which agent is it for?", names)?;
                Ok(installed[at])
            }
        }
    }

    fn name(&self, config: &Config) -> Result<Name> {
        if let Some(name) = &self.args.name {
            return Ok(name.clone());
        }
        if self.args.yes {
            return parsed(USUAL_NAME);
        }
        let help = "what tells it from others: work, personal, client-acme";
        let taken: Vec<_> = config.pool.subscriptions.keys().cloned().collect();
        question::types("What shall it be called?", USUAL_NAME, help, move |text| {
            let name: Name = text.parse()?;
            if taken.contains(&name) {
                return Err(format!("there is a subscription `{name}` already"));
            }
            Ok(name)
        })
    }

    /// Where the secret is to be, as `--credential` has it.
    fn credential(&self, agent: &dyn Agent) -> Result<String> {
        if let Some(place) = &self.args.secret.credential {
            return Ok(place.clone());
        }
        let keychain = credentials::backend(&Source::Keychain, &self.paths).has(&parsed(USUAL_NAME)?);
        if let Err(why) = &keychain {
            report::say(format_args!("no keychain answers here ({why:#})"));
        }
        if self.args.yes {
            return Ok(if keychain.is_ok() { "keychain" } else { "file" }.to_owned());
        }
        let mut places = vec![("file", "kage's encrypted file"), ("command", "a command that prints it")];
        if keychain.is_ok() {
            places.insert(0, ("keychain", "the keychain of this system"));
        }
        if agent.has_login_dirs() {
            places.push(("home", "no secret: a login directory of the agent's own"));
        }
        let shown = places.iter().map(|(_, shown)| (*shown).to_owned()).collect();
        let place = places[question::chooses("Where shall its secret be?", shown)?].0;
        let not_empty =
            |text: &str| if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) };
        Ok(match place {
            "command" => {
                let help = "such as: op read op://work/claude/token";
                format!("command:{}", question::types("Which command?", "", help, not_empty)?)
            }
            "home" => {
                let directory = format!("~/.{}-work", agent.name());
                let help = "kage stores and reads nothing there";
                format!("home:{}", question::types("Which directory?", &directory, help, not_empty)?)
            }
            place => place.to_owned(),
        })
    }

    /// The line in the start-up file of the user's shell.
    fn shell(&self) -> Result<()> {
        let shell = match self.args.shell {
            Some(ShellChoice::None) => return Ok(()),
            Some(ShellChoice::Bash) => Shell::Bash,
            Some(ShellChoice::Zsh) => Shell::Zsh,
            Some(ShellChoice::Fish) => Shell::Fish,
            None => match init::users_shell() {
                Some(shell) => shell,
                None => {
                    report::say("kage has no functions for your SHELL; `kage shim install` serves any");
                    return Ok(());
                }
            },
        };
        if init::is_set_up(shell, &self.paths) {
            return Ok(());
        }
        let question = format!("Shall {shell} run your agents with kage, in each new shell?");
        if self.args.yes || question::decides(&question, true)? {
            self.does(&["init", shell.name(), "--install", "--yes"])?;
        }
        Ok(())
    }

    /// One short answer on the subscription, from its agent.
    fn test_run(&self, name: &Name) -> Result<&'static dyn Agent> {
        let config = Config::load(&self.paths)?;
        let agent = config.agent(&config.pool.subscriptions[name].agent)?;
        let Some(trial) = agent.trial().filter(|_| !self.args.no_test) else { return Ok(agent) };
        let question = format!("Try it with one short question to {}?", agent.name());
        if !self.args.yes && !question::decides(&question, true)? {
            return Ok(agent);
        }
        let words = ["exec", "-s", name.as_str(), "--", agent.program()];
        let status = self.does(&[&words, trial].concat())?;
        if status != 0 {
            let message = format!("the test run on `{name}` ended with exit status {status}");
            return Err(Failure::new(Status::Failed, message).hint("kage doctor").into());
        }
        Ok(agent)
    }

    /// Runs one of kage's own commands, and shows it first: it is what does this step alone.
    fn does(&self, words: &[&str]) -> Result<i32> {
        let shown = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        report::say(format_args!("$ kage {shown}"));
        let command = Cli::try_parse_from(["kage"].iter().chain(words));
        (self.dispatch)(command.map_err(|refused| Failure::usage(refused.to_string()))?)
    }
}

/// Before anything is stored for an agent that cannot run.
fn missing(agent: &dyn Agent) -> Failure {
    let message = format!("`{}` was not found", agent.program());
    let hint = agent.install_info().map_or("install it, and try again", |known| known.install);
    Failure::new(Status::Failed, message).hint(hint)
}

fn parsed(name: &str) -> Result<Name> {
    name.parse().map_err(|why: String| Failure::usage(why).into())
}
