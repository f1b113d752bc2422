//! Contention between whole processes: concurrent callers that each start `kage exec` repeatedly.

use std::thread;
use std::time::{Duration, Instant};

use super::{Counts, SUBSCRIPTIONS};
use crate::figures::Contest;
use crate::overhead::{SecretLocation, kage, pool};
use crate::rounds::Contender;

pub(super) fn contest(callers: usize, span: Duration) -> Contest {
    let sandbox = pool(&SecretLocation::File, SUBSCRIPTIONS);
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
    let counts = |done| {
        // Each run is counted in the state and has a row in the ledger.
        let status = sandbox.status();
        let counted = status["subscriptions"].as_array().unwrap().iter();
        let counted: u64 = counted.map(|one| one["runs_today"].as_u64().unwrap()).sum();
        let lines = u64::try_from(sandbox.ledger().len()).unwrap();
        let leases = sandbox.state()["leases"].as_array().map_or(0, Vec::len);
        assert_eq!(leases, 0, "a lease was left");
        Counts { done: 2 * done, kept: counted + lines }
    };
    super::contest(&each, took, counts).expect("each caller runs at least once")
}
