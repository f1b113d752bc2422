use proptest::array::uniform;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::totals::Month;
use super::super::{LeaseId, Today, TokenCount, TokenKind};
use super::*;

fn name() -> impl Strategy<Value = Name> {
    "[a-d]".prop_map(|text| text.parse().expect("a letter is a valid name"))
}

fn known() -> impl Strategy<Value = SubscriptionState> {
    (-2..3i64, 0..3u32, 0..2u32).prop_map(|(credit, failures, consecutive_failures)| SubscriptionState {
        credit,
        failures,
        consecutive_failures,
        ..SubscriptionState::default()
    })
}

fn totals() -> impl Strategy<Value = Totals> {
    let kinds = uniform::<_, { TokenKind::ALL.len() }>(0..2u64);
    (0..3u64, any::<bool>(), kinds).prop_map(|(runs, has_month, kinds)| {
        let date = "2026-11-22".parse().expect("a valid date");
        let today = Today {
            date,
            began: None,
            runs,
            tokens: kinds.into(),
            cost: super::super::Cost::default(),
            estimated: super::super::Cost::default(),
            unpriced: 0,
        };
        let month = has_month.then(|| Month { first: date, cost: super::super::Cost::default() });
        Totals { today: Some(today), month }
    })
}

fn lease() -> impl Strategy<Value = Lease> {
    (0..6u32, 0..2u64).prop_map(|(pid, started)| Lease {
        id: LeaseId(pid.to_string()),
        pid,
        started,
        ..Lease::on("a")
    })
}

fn state() -> impl Strategy<Value = State> {
    let lists = (vec(lease(), 0..5), vec(lease(), 0..3));
    let parts =
        (btree_map(name(), known(), 0..4), btree_map(name(), totals(), 0..3), lists, option::of(0..3i64));
    parts.prop_map(|(subscriptions, namespaces, (leases, lost), looked_at)| State {
        subscriptions,
        namespaces,
        leases,
        lost,
        looked_at: looked_at.map(|at| Timestamp::from_second(at).expect("a valid time")),
    })
}

proptest! {
    #[test]
    fn a_stored_patch_turns_the_older_state_into_the_newer(before in state(), after in state()) {
        match Patch::between(before.clone(), &after) {
            None => prop_assert_eq!(before, after),
            Some(patch) => {
                let text = serde_json::to_vec(&patch).expect("a patch can be serialized");
                let read: Patch = serde_json::from_slice(&text).expect("a serialized patch can be read");
                let mut made = before;
                prop_assert_eq!(read.apply(&mut made), Some(()));
                prop_assert_eq!(made, after);
            }
        }
    }

    /// A patch for another state may apply or be refused.
    #[test]
    fn a_patch_of_another_state_never_panics(before in state(), after in state(), mut other in state()) {
        if let Some(patch) = Patch::between(before, &after) {
            let _ = patch.apply(&mut other);
        }
    }
}

#[test]
fn the_patch_of_a_choice_among_many_is_short() {
    let names = (0..20).map(|at| format!("subscription-{at:02}").parse().expect("a valid name"));
    let today = Today {
        date: "2026-11-22".parse().expect("a valid date"),
        began: None,
        runs: 5,
        tokens: TokenCount::default(),
        cost: super::super::Cost::default(),
        estimated: super::super::Cost::default(),
        unpriced: 0,
    };
    let known = SubscriptionState { today: Some(today), ..SubscriptionState::default() };
    let before =
        State { subscriptions: names.map(|name: Name| (name, known.clone())).collect(), ..State::default() };
    let mut after = before.clone();
    after.subscriptions.values_mut().for_each(|known| known.credit += 100);
    let patch = Patch::between(before, &after).expect("the credits differ");
    assert!(patch.subscriptions.is_empty());
    assert!(serde_json::to_vec(&patch).expect("a patch can be serialized").len() < 120, "{patch:?}");
}
