//! How kage's run time grows with the pool: whole processes with 10 to 10,000 subscriptions.

use std::fmt::Write as _;
use std::fs;

use crate::figures::{Scale, rounded};
use crate::overhead::{env_true, kage};
use crate::rounds::{Contender, alternate};
use crate::support::Sandbox;
use kage::files::Durability;
use kage::pool::Name;
use kage::store::FileStore;

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

pub(crate) fn measure(rounds: usize) -> Vec<Scale> {
    SIZES.into_iter().map(|subscriptions| of_size(subscriptions, rounds)).collect()
}

fn of_size(subscriptions: usize, rounds: usize) -> Scale {
    let sandbox = warm(subscriptions);
    let mut base = Contender::new(env_true(&sandbox));
    let mut exec = Contender::new(kage(&sandbox, &["exec", "--replace", "--", "true"]));
    let mut why = Contender::new(kage(&sandbox, &["why"]));
    alternate(&mut [&mut base, &mut exec, &mut why], rounds);
    let [exec_ms, why_ms, base_ms] = [&exec, &why, &base].map(|it| rounded(it.milliseconds(50)));
    Scale { subscriptions, exec_ms, why_ms, base_ms }
}

/// A pool in which every subscription has run before. Each has a login directory, so kage reads no secrets:
/// this measures config, state and choosing.
fn warm(subscriptions: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("home/login")).unwrap();
    // One real run, whose state is copied for the other subscriptions.
    sandbox.stand_in_claude().add(&name(0), &[]);
    sandbox.kage(["exec", "--", "claude", "-p", "hi"]).run().success();
    let seen = FileStore::new(&sandbox.path("home/.local/state/kage")).update(Durability::Process, |state| {
        let one = state.of(&key(0));
        state.subscriptions = (0..subscriptions).map(|at| (key(at), one.clone())).collect();
        one.today.map(|today| today.runs)
    });
    assert_eq!(seen.unwrap(), Some(1), "the run is not in the state");
    sandbox.config(&config(subscriptions));
    sandbox
}

fn key(at: usize) -> Name {
    name(at).parse().expect("it is a valid name")
}

fn name(at: usize) -> String {
    format!("subscription-{at:05}")
}

fn config(subscriptions: usize) -> String {
    let mut text = String::new();
    for at in 0..subscriptions {
        let (name, priority) = (name(at), 50 + at % 100);
        let one = write!(
            text,
            "[subscriptions.pool.{name}]\npriority = {priority}\ntags = [\"team\", \"backend\"]\n\
             description = \"account {at} of the team\"\ncredential = {{ home = \"~/login\" }}\n\n"
        );
        one.expect("writing to a string cannot fail");
    }
    text
}
