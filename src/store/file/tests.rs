use super::*;
use crate::pool::{Lease, LeaseId, Name, SubscriptionState};

fn store() -> (tempfile::TempDir, FileStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::new(&dir.path().join("state"));
    (dir, store)
}

fn touch(state: &mut State) {
    let name: Name = "a".parse().unwrap();
    state.subscriptions.entry(name).or_default().credit += 1;
}

fn lease(pid: u32, started: u64) -> Lease {
    Lease { id: LeaseId(format!("{pid}-{started}")), pid, started, ..Lease::on("a") }
}

#[test]
fn a_written_state_is_read_again() {
    let (_dir, store) = store();
    assert_eq!(store.read().unwrap(), State::default());
    store.update(Durability::Machine, touch).unwrap();
    let known = &store.read().unwrap().subscriptions["a"];
    assert_eq!(*known, SubscriptionState { credit: 1, ..SubscriptionState::default() });
}

#[test]
fn nothing_is_written_if_nothing_changes() {
    let (_dir, store) = store();
    store.update(Durability::Machine, |_| ()).unwrap();
    assert!(!store.file.exists());
}

#[test]
fn all_updates_of_many_threads_are_kept() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..25).for_each(|_| store.update(Durability::Process, touch).unwrap()));
        }
    });
    assert_eq!(store.read().unwrap().subscriptions["a"].credit, 200);
}

#[test]
fn leases_of_dead_and_reused_pids_are_dropped() {
    let (_dir, store) = store();
    let own = lease(std::process::id(), started(std::process::id()));
    let reused = lease(own.pid, own.started + 1);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let zombie = lease(child.id(), started(child.id()));
    store
        .update(Durability::Process, |state| state.leases = vec![own.clone(), reused, zombie, lease(0, 7)])
        .unwrap();
    child.wait().unwrap();
    assert_eq!(store.read().unwrap().leases, [own]);
}

#[test]
fn a_damaged_file_is_moved_aside_by_the_next_update_and_not_before() {
    for damage in ["", "{", "null", "{\"version\":1}", "\0\0\0\0", "{\"version\":1,\"state\":{\"leases\":5}}"]
    {
        let (_dir, store) = store();
        store.update(Durability::Process, touch).unwrap();
        fs::write(&store.file, damage).unwrap();
        assert_eq!(store.read().unwrap(), State::default());
        assert_eq!(fs::read_to_string(&store.file).unwrap(), damage, "reading changed it");
        store.update(Durability::Process, touch).unwrap();
        assert_eq!(store.read().unwrap().subscriptions.len(), 1);
        let entries = fs::read_dir(store.file.parent().unwrap()).unwrap().flatten();
        let aside: Vec<_> =
            entries.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).collect();
        assert_eq!(aside.len(), 1, "{damage:?}");
        assert_eq!(fs::read_to_string(aside[0].path()).unwrap(), damage);
    }
}

#[test]
fn a_file_of_another_version_is_refused_and_left_alone() {
    let (_dir, store) = store();
    store.update(Durability::Process, touch).unwrap();
    let newer = "{\"version\":3,\"state\":{\"subscriptions\":[]}}";
    fs::write(&store.file, newer).unwrap();
    let refused = store.update(Durability::Process, touch).unwrap_err();
    assert!(refused.to_string().contains("has version 3; this kage supports version 2"), "{refused}");
    assert!(store.read().is_err());
    assert_eq!(fs::read_to_string(&store.file).unwrap(), newer);
}

fn credit(store: &FileStore) -> i64 {
    store.read().unwrap().subscriptions["a"].credit
}

fn bytes_of(store: &FileStore) -> (Vec<u8>, Vec<u8>) {
    (fs::read(&store.file).unwrap(), fs::read(store.log.path()).unwrap())
}

#[test]
fn changes_are_appended_and_after_many_the_state_is_written_whole() {
    let (_dir, store) = store();
    let (mut wholes, mut last) = (0, Vec::new());
    for at in 1..=600 {
        store.update(Durability::Process, touch).unwrap();
        let (whole, log) = bytes_of(&store);
        assert!(log.len() < 3 << 10, "{}", log.len());
        wholes += u32::from(whole != last);
        last = whole;
        assert_eq!(credit(&store), at);
    }
    assert!((2..200).contains(&wholes), "{wholes}");
}

#[test]
fn a_state_from_before_the_log_is_kept() {
    let (_dir, store) = store();
    store.update(Durability::Process, touch).unwrap();
    store.update(Durability::Process, touch).unwrap();
    let old = "{\"version\":1,\"state\":{\"subscriptions\":{\"a\":{\"credit\":40}}}}";
    fs::write(&store.file, old).unwrap();
    assert_eq!(credit(&store), 40, "the log belongs to another state");
    store.update(Durability::Process, touch).unwrap();
    store.update(Durability::Process, touch).unwrap();
    assert_eq!(credit(&store), 42);
}

#[test]
fn a_change_that_was_cut_off_is_ignored() {
    let (_dir, store) = store();
    for _ in 0..3 {
        store.update(Durability::Process, touch).unwrap();
    }
    let (_, log) = bytes_of(&store);
    let last_line = log[..log.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for length in 0..log.len() {
        fs::write(store.log.path(), &log[..length]).unwrap();
        let lines = log[..length].split(|&byte| byte == b'\n').count() - 1;
        let known = 1 + i64::try_from(lines.saturating_sub(1)).unwrap();
        assert_eq!(credit(&store), known, "cut at {length}");
        if length >= last_line {
            store.update(Durability::Process, touch).unwrap();
            assert_eq!(credit(&store), known + 1, "cut at {length}");
        }
    }
}

#[test]
fn a_damaged_log_loses_the_changes_after_the_damage() {
    let (_dir, store) = store();
    for _ in 0..4 {
        store.update(Durability::Process, touch).unwrap();
    }
    let (_, log) = bytes_of(&store);
    let lines: Vec<_> = log.split_inclusive(|&byte| byte == b'\n').collect();
    for damage in ["?\n", "\n", "{\"credits\":[1,2,3]}\n", "{\"leases\":{\"at\":9,\"gone\":9,\"new\":[]}}\n"]
    {
        fs::write(store.log.path(), [lines[0], lines[1], damage.as_bytes(), lines[3]].concat()).unwrap();
        let (whole, _) = bytes_of(&store);
        assert_eq!(credit(&store), 2, "{damage:?}");
        assert!(store.read_strictly().is_err());
        store.update(Durability::Process, |_| ()).unwrap();
        assert_eq!(credit(&store), 2, "the changes before the damage are kept");
        store.update(Durability::Process, touch).unwrap();
        assert_eq!(credit(&store), 3);
        let paths = fs::read_dir(store.file.parent().unwrap()).unwrap().flatten().map(|entry| entry.path());
        let aside: Vec<_> =
            paths.filter(|path| path.display().to_string().contains("log.damaged-")).collect();
        assert_eq!(aside.len(), 1, "{damage:?}");
        for path in aside {
            fs::remove_file(path).unwrap();
        }
        fs::write(&store.file, whole).unwrap();
    }
}

/// Readers take no lock, but always see a state that existed, even while writers change it.
#[test]
fn a_reader_never_sees_half_a_change_or_an_older_state() {
    let (_dir, store) = store();
    let both = |state: &mut State| {
        for name in ["a", "b"] {
            state.subscriptions.entry(name.parse().unwrap()).or_default().credit += 1;
        }
    };
    store.update(Durability::Process, both).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..500).for_each(|_| store.update(Durability::Process, both).unwrap()));
        let mut last = 0;
        while !writer.is_finished() {
            let state = store.read_strictly().unwrap();
            let [a, b] = ["a", "b"].map(|name| state.subscriptions[name].credit);
            assert!(a == b && a >= last, "{a} {b} {last}");
            last = a;
        }
    });
    assert_eq!(credit(&store), 501);
}

#[test]
fn dead_and_reused_pids_among_thousands_of_leases_are_dropped_immediately() {
    let (_dir, store) = store();
    let own = lease(std::process::id(), started(std::process::id()));
    let reused: Vec<_> = (1..=2500).map(|later| lease(own.pid, own.started + later)).collect();
    // Above the highest pid of the system.
    let dead = (0..2500).map(|at| lease((1 << 22) + 1 + at, 7));
    let all: Vec<_> = reused.iter().cloned().chain(dead).chain([own.clone()]).collect();
    store.update(Durability::Process, |state| state.leases = all).unwrap();
    assert_eq!(store.read().unwrap().leases, std::slice::from_ref(&own), "a reader sees none of them");
    assert_eq!(store.update(Durability::Process, |state| state.leases.len()).unwrap(), 1);
    // A check time in the future, from a wrong clock, keeps none of them.
    let again = |state: &mut State| {
        state.leases = reused.clone();
        state.looked_at = Some(Timestamp::now() + jiff::SignedDuration::from_hours(9));
    };
    store.update(Durability::Process, again).unwrap();
    assert_eq!(store.update(Durability::Process, |state| state.leases.len()).unwrap(), 0);
}
