//! `kage status`: the pool at a glance, once or again and again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Desk;
use crate::cli::{self, Form};
use crate::clock;
use crate::config::Config;
use crate::error::Failure;
use crate::paths::Paths;
use crate::pool::State;
use crate::report::{self, Overview};
use crate::run::{self, Size};
use crate::store::Store;

pub(super) fn run(args: &cli::Status) -> Result<i32> {
    if args.watch {
        return watch();
    }
    if args.format == Form::Tmux {
        return segment(args.subscription.as_deref()).map(|()| 0);
    }
    if args.subscription.is_some() {
        let hint = "kage subscription show NAME";
        return Err(Failure::usage("-s is for --format tmux").hint(hint).into());
    }
    let desk = Desk::open()?;
    let state = desk.state()?;
    if args.form.json || args.format == Form::Json {
        report::print_json(&report::pool_json(&desk.config.pool, &state, None, &desk.now))?;
    } else {
        report::print(&desk.overview(&state).text(report::columns()))?;
    }
    Ok(0)
}

/// A status line is drawn again and again, and nobody reads what a command in it says elsewhere.
fn segment(subscription: Option<&str>) -> Result<()> {
    let text = drawn(subscription).unwrap_or_else(|_| report::tmux_trouble());
    report::print(&text)
}

fn drawn(subscription: Option<&str>) -> Result<String> {
    let paths = Paths::from_environment()?;
    let config = Config::load(&paths)?;
    let state = Store::new(&paths.state).look()?;
    Ok(report::tmux(&config.pool, &state, subscription, &clock::now()))
}

impl Desk {
    fn overview<'a>(&'a self, state: &'a State) -> Overview<'a> {
        Overview { pool: &self.config.pool, state, home: &self.paths.home, now: &self.now }
    }
}

fn watch() -> Result<i32> {
    if !run::can_draw() {
        return Err(Failure::usage("--watch needs a terminal").hint("kage status").into());
    }
    let mut watched = Watched::open()?;
    let signal =
        run::draw_each_second(|size| watched.frame(size)).context("could not draw on the terminal")?;
    Ok(signal.map_or(0, run::die_of))
}

/// What is shown, as it was last read.
struct Watched {
    desk: Desk,
    state: State,
    config: Stamp,
}

impl Watched {
    fn open() -> Result<Self> {
        let desk = Desk::open()?;
        let config = stamp(&desk.paths.config);
        Ok(Self { desk, state: State::default(), config })
    }

    /// What cannot be read now may be readable in a second; until then what was read before stays, below
    /// the reason.
    fn frame(&mut self, size: Size) -> Vec<String> {
        self.desk.now = self.desk.later();
        let read = self.read_config().and(self.desk.store.look().map(|state| self.state = state));
        let mut lines: Vec<_> =
            read.err().map(|why| report::trouble(&format!("{why:#}"))).into_iter().collect();
        let height = size.rows.saturating_sub(lines.len());
        lines.extend(self.desk.overview(&self.state).frame(size.columns, height));
        report::for_terminal(lines)
    }

    fn read_config(&mut self) -> Result<()> {
        let stamp = stamp(&self.desk.paths.config);
        if stamp != self.config {
            self.desk.config = Config::load(&self.desk.paths)?;
            self.config = stamp;
        }
        Ok(())
    }
}

/// By what a file is seen to be another one, or to have been written: its number, its length, and when.
type Stamp = Option<(u64, u64, i64, i64)>;

fn stamp(file: &Path) -> Stamp {
    let known = fs::metadata(file).ok()?;
    Some((known.ino(), known.len(), known.mtime(), known.mtime_nsec()))
}
