use super::*;
use crate::pool::{Lease, LeaseId, Name, SubscriptionState};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("state"));
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
fn what_is_written_is_read_again() {
    let (_dir, store) = store();
    assert_eq!(store.read().unwrap(), State::default());
    store.update(Durability::Machine, touch).unwrap();
    let known = &store.read().unwrap().subscriptions["a"];
    assert_eq!(*known, SubscriptionState { credit: 1, ..SubscriptionState::default() });
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let (_dir, store) = store();
    store.update(Durability::Machine, |_| ()).unwrap();
    assert!(!store.file.exists());
}

#[test]
fn updates_of_many_threads_are_all_kept() {
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
fn a_damaged_file_is_set_aside_by_the_next_update_and_not_before() {
    for damage in ["", "{", "null", "{\"version\":1}", "\0\0\0\0", "{\"version\":1,\"state\":{\"leases\":5}}"]
    {
        let (_dir, store) = store();
        store.update(Durability::Process, touch).unwrap();
        fs::write(&store.file, damage).unwrap();
        assert_eq!(store.read().unwrap(), State::default());
        assert_eq!(fs::read_to_string(&store.file).unwrap(), damage, "reading changed it");
        store.update(Durability::Process, touch).unwrap();
        assert_eq!(store.read().unwrap().subscriptions.len(), 1);
        let beside = fs::read_dir(store.file.parent().unwrap()).unwrap().flatten();
        let aside: Vec<_> =
            beside.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).collect();
        assert_eq!(aside.len(), 1, "{damage:?}");
        assert_eq!(fs::read_to_string(aside[0].path()).unwrap(), damage);
    }
}

#[test]
fn a_file_of_another_version_is_refused_and_left_alone() {
    let (_dir, store) = store();
    store.update(Durability::Process, touch).unwrap();
    let newer = "{\"version\":2,\"state\":{\"subscriptions\":[]}}";
    fs::write(&store.file, newer).unwrap();
    let refused = store.update(Durability::Process, touch).unwrap_err();
    assert!(refused.to_string().contains("has version 2, this kage knows version 1"), "{refused}");
    assert!(store.read().is_err());
    assert_eq!(fs::read_to_string(&store.file).unwrap(), newer);
}
