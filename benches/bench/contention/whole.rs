//! The same with whole processes: so many callers at once, each of which starts `kage exec` again and again.

use std::thread;
use std::time::{Duration, Instant};

use super::{Books, SUBSCRIPTIONS};
use crate::figures::Contest;
use crate::overhead::{Place, kage, pool};
use crate::rounds::Contender;

pub(super) fn contest(callers: usize, span: Duration) -> Contest {
    let sandbox = pool(&Place::File, SUBSCRIPTIONS);
    let begun = Instant::now();
    let caller = || {
        let mut contender = Contender::new(kage(&sandbox, &["exec", "--", "true"]));
        let mut times = Vec::new();
        while begun.elapsed() < span {
            times.push(contender.run());
        }
        times
    };
    let each: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    let books = |done| {
        // Each run is counted in the state, and has a line in the ledger.
        let status = sandbox.status();
        let counted = status["subscriptions"].as_array().unwrap().iter();
        let counted: u64 = counted.map(|one| one["runs_today"].as_u64().unwrap()).sum();
        let lines = u64::try_from(sandbox.ledger().len()).unwrap();
        let leases = sandbox.state()["leases"].as_array().map_or(0, Vec::len);
        assert_eq!(leases, 0, "a lease stayed");
        Books { done: 2 * done, kept: counted + lines }
    };
    super::contest(&each, took, books).expect("each caller runs once at least")
}
