use super::*;
use crate::pool::{Scope, Window};

fn limit() -> Verdict {
    let window = Window { name: "five_hour".into(), long: false };
    Verdict::UsageLimit { scope: Scope::All, window, resets_at: None }
}

const THROTTLED: Verdict = Verdict::Throttled { retry_after: None };

/// A print form that was refused at once.
fn refused(verdict: &Verdict) -> Situation<'_> {
    Situation {
        verdict,
        work: Work::None,
        interrupted: false,
        attempts_left: 3,
        paused_here: false,
        paused: false,
        repeatable: true,
        replayable: true,
        committed: false,
        recorded: true,
        not_resumable: None,
    }
}

fn again(place: Place, how: How) -> Step {
    Step::Again { place, how }
}

#[test]
fn what_is_the_accounts_goes_to_another_and_what_is_the_providers_waits() {
    use Place::{Another, Same};
    for (verdict, expected) in [
        (limit(), Some(Another)),
        (Verdict::AuthRejected, Some(Another)),
        (Verdict::OrganisationRefused, Some(Another)),
        (Verdict::BillingRejected, Some(Another)),
        (THROTTLED, Some(Same)),
        (Verdict::Overloaded, Some(Same)),
        (Verdict::Unreachable, Some(Same)),
        (Verdict::TimedOut, Some(Same)),
        (Verdict::Succeeded, None),
        (Verdict::AgentFailed, None),
        (Verdict::NotStarted, None),
        (Verdict::Interrupted, None),
    ] {
        let expected = expected.map_or(Step::Stand, |place| again(place, How::AsTyped));
        assert_eq!(step(&refused(&verdict)), expected, "{verdict:?}");
    }
}

#[test]
fn a_second_throttling_goes_to_another_and_a_second_overload_stands() {
    let throttled = Situation { paused_here: true, ..refused(&THROTTLED) };
    let for_long = Verdict::Throttled { retry_after: Some(SignedDuration::from_hours(1)) };
    assert_eq!(step(&refused(&for_long)), again(Place::Another, How::AsTyped));
    assert_eq!(step(&throttled), again(Place::Another, How::AsTyped));
    for verdict in [Verdict::Overloaded, Verdict::Unreachable, Verdict::TimedOut] {
        assert_eq!(step(&Situation { paused: true, ..refused(&verdict) }), Step::Stand, "{verdict:?}");
    }
}

#[test]
fn work_is_never_done_twice() {
    let limit = limit();
    let done = Situation { work: Work::Done, ..refused(&limit) };
    assert_eq!(step(&done), again(Place::Another, How::Resuming));
    for stuck in [
        Situation { recorded: false, ..done },
        Situation { not_resumable: Some("no"), ..done },
        Situation { work: Work::Unknown, ..done },
        Situation { committed: true, ..done },
        Situation { committed: true, ..refused(&limit) },
        Situation { replayable: false, ..refused(&limit) },
    ] {
        assert!(matches!(step(&stuck), Step::Stuck(_)), "{stuck:?}");
    }
}

#[test]
fn a_conversation_of_the_users_own_is_gone_on_with_even_if_nothing_was_done() {
    let limit = limit();
    let own = Situation { repeatable: false, ..refused(&limit) };
    assert_eq!(step(&own), again(Place::Another, How::Resuming));
    let unread = Situation { replayable: false, ..own };
    assert_eq!(step(&unread), again(Place::Another, How::Resuming));
}

#[test]
fn what_was_ended_shown_or_used_up_stands() {
    let limit = limit();
    for situation in [
        Situation { interrupted: true, ..refused(&limit) },
        Situation { attempts_left: 0, ..refused(&limit) },
    ] {
        assert_eq!(step(&situation), Step::Stand, "{situation:?}");
    }
}
