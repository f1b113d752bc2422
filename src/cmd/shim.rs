//! `kage shim`: scripts with the names of agents, in their own directory.

mod first;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use self::first::{is_first, line_for_start_up_file};
use super::integration_files::is_executable;
use crate::agent::Agent;
use crate::cli::{Install, ListShims, RemoveShims, Shim};
use crate::config::Config;
use crate::error::{Failure, Status};
use crate::files;
use crate::paths::{Paths, program};
use crate::report::{self, Narrowing, SCHEMA};
use crate::run::{Program, is_kage, is_shim};
use crate::shell::{can_be_function, shim};
use crate::text::quoted;

pub(super) fn run(verb: &Shim) -> Result<()> {
    let paths = Paths::from_environment()?;
    match verb {
        Shim::Install(args) => install(args, &paths),
        Shim::Remove(args) => remove(args, &paths),
        Shim::List(args) => list(args, &paths),
    }
}

fn install(args: &Install, paths: &Paths) -> Result<()> {
    let config = Config::load(paths)?;
    let kage = program()?;
    let agents = wanted(&args.agents, &config)?;
    // All or none: if one shim cannot be written, none is.
    for agent in &agents {
        refuse_foreign(&paths.shims.join(agent.program()), agent.name(), args.force)?;
    }
    files::make_private_dir(&paths.shims)?;
    for agent in &agents {
        let path = paths.shims.join(agent.program());
        files::replace_program(&path, shim::text(&kage, agent.program()).as_bytes())
            .with_context(|| format!("could not write {}", path.display()))?;
        report::say(format_args!("wrote {}, which calls {kage}", path.display()));
    }
    if agents.iter().any(|agent| !is_first(agent.program(), &paths.shims)) {
        report::say("the shims are not first on PATH; add this line to your shell's startup file:");
        report::print(&format!("{}\n", line_for_start_up_file(paths)))?;
    }
    Ok(())
}

/// The given agents, otherwise those with a subscription.
fn wanted(named: &[String], config: &Config) -> Result<Vec<&'static dyn Agent>, Failure> {
    let agents: Vec<_> = if named.is_empty() {
        let uses = |agent: &&dyn Agent| {
            let mut pool = config.pool.subscriptions.values();
            pool.any(|one| one.agent == agent.name()) && can_be_function(agent.program())
        };
        config.agents.all().filter(uses).collect()
    } else {
        named.iter().map(|name| config.agent(name)).collect::<Result<_, _>>()?
    };
    if agents.is_empty() {
        return Err(Failure::usage("no agent has a subscription yet").hint("kage shim install claude"));
    }
    match agents.iter().find(|agent| !can_be_function(agent.program())) {
        None => Ok(agents),
        Some(odd) => {
            let message = format!("`{}` cannot be used as the name of a shim", odd.program());
            Err(Failure::usage(message)
                .hint(format!("set the `program` of `{}` in the config to a plain name", odd.name())))
        }
    }
}

/// Refuses to overwrite a file that is not a shim: it may belong to the user, or an update of the agent may
/// have put the agent there.
fn refuse_foreign(path: &Path, agent: &str, force: bool) -> Result<(), Failure> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(file) if file.is_dir() => Err(Failure::new(Status::Failed, format!("{shown} is a directory"))
            .hint(format!("rmdir {}", quoted(&shown.to_string())))),
        Ok(_) if !force && !is_shim(path) && !is_kage(path) => {
            Err(Failure::new(Status::Failed, format!("{shown} is not a shim and is left unchanged"))
                .hint(format!("to replace it: kage shim install --force {agent}")))
        }
        _ => Ok(()),
    }
}

fn remove(args: &RemoveShims, paths: &Paths) -> Result<()> {
    let names = if args.agents.is_empty() { shims(&paths.shims)? } else { programs(&args.agents, paths)? };
    if names.is_empty() {
        report::say(format_args!("no shims in {}", paths.shims.display()));
    }
    for name in names {
        let path = paths.shims.join(&name);
        let shown = path.display();
        if fs::symlink_metadata(&path).is_err() {
            report::say(format_args!("{shown} does not exist"));
            continue;
        }
        if !is_shim(&path) && !is_kage(&path) {
            let message = format!("{shown} is not a shim and is left unchanged");
            let hint = format!("ls -l {}", quoted(&shown.to_string()));
            return Err(Failure::new(Status::Failed, message).hint(hint).into());
        }
        fs::remove_file(&path).with_context(|| format!("could not remove {shown}"))?;
        report::say(format_args!("removed {shown}"));
    }
    // The directory is removed only if it is empty.
    let _ = fs::remove_dir(&paths.shims);
    Ok(())
}

/// The programs of the given agents. An agent that the config no longer contains may still have a shim with
/// its name.
fn programs(named: &[String], paths: &Paths) -> Result<Vec<String>, Failure> {
    let agents = Config::load(paths).map(|config| config.agents).unwrap_or_default();
    let program = |name: &String| {
        let program = agents.find(name).map_or(name.as_str(), |agent| agent.program());
        let unknown = || Failure::usage(format!("unknown agent `{name}`")).hint("kage shim list");
        can_be_function(program).then(|| program.to_owned()).ok_or_else(unknown)
    };
    named.iter().map(program).collect()
}

/// The names of the shims in a directory, sorted.
fn shims(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(refused) => return Err(refused).with_context(|| format!("could not read {}", dir.display())),
    };
    let ours = entries.flatten().filter(|entry| is_shim(&entry.path()) || is_kage(&entry.path()));
    let mut names: Vec<_> = ours.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// A shim in the list.
struct Listed {
    agent: String,
    path: PathBuf,
    /// The kage that it calls, and whether that is executable.
    kage: Option<(String, bool)>,
    /// The program that kage would run.
    program: Option<PathBuf>,
    is_first: bool,
}

impl Listed {
    fn new(program: String, config: &Config, shims: &Path) -> Self {
        let path = shims.join(&program);
        // A link to kage under the agent's name is a shim as well.
        let text = fs::read_to_string(&path).ok().filter(|_| is_shim(&path));
        let target = text.and_then(|text| shim::kage_of(&text)).or_else(|| {
            path.canonicalize()
                .ok()
                .filter(|_| is_kage(&path))
                .and_then(|kage| kage.to_str().map(str::to_owned))
        });
        let agent = config.agents.of_program(program.as_ref());
        Self {
            agent: agent.map_or_else(|| program.clone(), |agent| agent.name().to_owned()),
            kage: target.map(|kage| (kage.clone(), is_executable(kage.as_ref()))),
            is_first: is_first(&program, shims),
            program: Program::find(program.as_ref(), shims).ok().map(|found| found.path),
            path,
        }
    }

    fn row(&self, home: &Path) -> Vec<String> {
        let shown = |path: &Path| report::below_home(&path.display().to_string(), home);
        let kage = self.kage.as_ref().map_or_else(
            || "unknown".to_owned(),
            |(kage, is_there)| {
                format!("{}{}", shown(kage.as_ref()), if *is_there { "" } else { " (missing)" })
            },
        );
        let program = self.program.as_deref().map_or_else(|| "not found".to_owned(), shown);
        let first = if self.is_first { "yes" } else { "no" };
        [self.agent.clone(), shown(&self.path), kage, program, first.to_owned()]
            .map(|cell| crate::text::one_line(&cell))
            .to_vec()
    }
}

const HEAD: [&str; 5] = ["Agent", "Shim", "kage", "Program", "First on PATH"];
const NARROWING: Narrowing<'_> =
    Narrowing { cut: &["Shim", "kage", "Program"], optional: &["Shim", "Program", "kage"] };

fn list(args: &ListShims, paths: &Paths) -> Result<()> {
    let config = Config::load(paths)?;
    let shims: Vec<_> =
        shims(&paths.shims)?.into_iter().map(|name| Listed::new(name, &config, &paths.shims)).collect();
    if args.form.json {
        let rows = shims.iter().map(|shim| {
            json!({
                "agent": shim.agent,
                "path": shim.path.to_string_lossy(),
                "kage": shim.kage.as_ref().map(|(kage, _)| kage),
                "kage_is_there": shim.kage.as_ref().is_some_and(|(_, is_there)| *is_there),
                "program": shim.program.as_ref().map(|path| path.to_string_lossy()),
                "is_first": shim.is_first,
            })
        });
        let dir = paths.shims.to_string_lossy();
        return report::print_json(
            &json!({ "schema": SCHEMA, "dir": dir, "shims": rows.collect::<Vec<_>>() }),
        );
    }
    if shims.is_empty() {
        return report::print("There are no shims. Create one: kage shim install claude\n");
    }
    let rows: Vec<_> = shims.iter().map(|shim| shim.row(&paths.home)).collect();
    report::print(&report::fitting_table(&HEAD, &rows, &NARROWING, report::columns()))
}
