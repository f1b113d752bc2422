use super::*;
use crate::pool::{Scope, Window};

fn limit() -> Verdict {
    let window = Window { name: "five_hour".into(), long: false };
    Verdict::UsageLimit { scope: Scope::All, window, resets_at: None }
}

const THROTTLED: Verdict = Verdict::Throttled { retry_after: None };

/// A print form whose first attempt was refused.
const REFUSED: Print = Print {
    attempts_left: 3,
    paused_here: false,
    paused: false,
    other_gateway: false,
    repeatable: true,
    replayable: true,
    committed: false,
    recorded: true,
    not_resumable: None,
};

fn after(verdict: &Verdict, work: Work, print: Print) -> Next {
    next(&Situation { verdict, work, interrupted: false, form: Form::Print(print) })
}

fn retry(target: Target, how: How) -> Next {
    Next::Retry { target, how }
}

#[test]
fn an_error_of_the_account_moves_to_another_subscription_and_an_error_of_the_provider_waits() {
    use Target::{Another, Same};
    for (verdict, expected) in [
        (limit(), Some(Another)),
        (Verdict::AuthRejected, Some(Another)),
        (Verdict::OrganizationRefused, Some(Another)),
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
        let expected = expected.map_or(Next::Final, |target| retry(target, How::AsTyped));
        assert_eq!(after(&verdict, Work::None, REFUSED), expected, "{verdict:?}");
    }
}

#[test]
fn a_second_throttling_moves_to_another_subscription_and_a_second_overload_is_final() {
    let throttled = Print { paused_here: true, ..REFUSED };
    let long_pause = Verdict::Throttled { retry_after: Some(SignedDuration::from_hours(1)) };
    assert_eq!(after(&long_pause, Work::None, REFUSED), retry(Target::Another, How::AsTyped));
    assert_eq!(after(&THROTTLED, Work::None, throttled), retry(Target::Another, How::AsTyped));
    for verdict in [Verdict::Overloaded, Verdict::Unreachable, Verdict::TimedOut] {
        let paused = Print { paused: true, ..REFUSED };
        assert_eq!(after(&verdict, Work::None, paused), Next::Final, "{verdict:?}");
        // Only an overload may end at another address.
        let elsewhere = Print { other_gateway: true, ..paused };
        let expected = match verdict {
            Verdict::Overloaded => retry(Target::Another, How::AsTyped),
            _ => Next::Final,
        };
        assert_eq!(after(&verdict, Work::None, elsewhere), expected, "{verdict:?}");
    }
}

#[test]
fn work_is_never_done_twice() {
    let limit = limit();
    assert_eq!(after(&limit, Work::Done, REFUSED), retry(Target::Another, How::Resuming));
    for (work, print) in [
        (Work::Done, Print { recorded: false, ..REFUSED }),
        (Work::Done, Print { not_resumable: Some("no"), ..REFUSED }),
        (Work::Unknown, REFUSED),
        (Work::Done, Print { committed: true, ..REFUSED }),
        (Work::None, Print { committed: true, ..REFUSED }),
        (Work::None, Print { replayable: false, ..REFUSED }),
    ] {
        assert!(matches!(after(&limit, work, print), Next::Stuck(_)), "{work:?} {print:?}");
    }
}

#[test]
fn a_conversation_that_the_user_resumed_is_resumed_again_even_if_nothing_was_done() {
    let limit = limit();
    let own = Print { repeatable: false, ..REFUSED };
    assert_eq!(after(&limit, Work::None, own), retry(Target::Another, How::Resuming));
    let unread = Print { replayable: false, ..own };
    assert_eq!(after(&limit, Work::None, unread), retry(Target::Another, How::Resuming));
}

#[test]
fn an_interrupted_attempt_or_the_last_one_is_final() {
    let limit = limit();
    assert_eq!(after(&limit, Work::None, Print { attempts_left: 0, ..REFUSED }), Next::Final);
    let exit = SessionExit { ended_by_kage: true, ..LEFT };
    for form in [Form::Print(REFUSED), Form::Running(AUTO), Form::Ended(AUTO, exit)] {
        let situation = Situation { verdict: &limit, work: Work::None, interrupted: true, form };
        assert_eq!(next(&situation), Next::Final, "{form:?}");
    }
}

const AUTO: Session = Session { mode: Interactive::Auto, is_stalled: false, resets_soon: false };

/// A session that the user left at a limit.
const LEFT: SessionExit =
    SessionExit { ends_with_error: true, can_resume: true, announced: false, ended_by_kage: false };

fn after_session(verdict: &Verdict, form: Form) -> Next {
    next(&Situation { verdict, work: Work::Done, interrupted: false, form })
}

#[test]
fn a_session_at_a_limit_continues_elsewhere_if_the_mode_is_auto() {
    let (limit, elsewhere) = (limit(), retry(Target::Another, How::Resuming));
    for (session, expected) in [
        (AUTO, elsewhere),
        (Session { mode: Interactive::Ask, ..AUTO }, Next::Final),
        (Session { mode: Interactive::Off, ..AUTO }, Next::Final),
        (Session { is_stalled: true, ..AUTO }, Next::Final),
        (Session { resets_soon: true, ..AUTO }, Next::Final),
    ] {
        assert_eq!(after_session(&limit, Form::Running(session)), expected, "{session:?}");
    }
    for verdict in [THROTTLED, Verdict::AuthRejected, Verdict::Overloaded, Verdict::Succeeded] {
        assert_eq!(after_session(&verdict, Form::Running(AUTO)), Next::Final, "{verdict:?}");
    }
}

#[test]
fn after_leaving_a_session_at_a_limit_the_user_is_asked_or_shown_how_to_continue() {
    let limit = limit();
    let session = |mode| Session { mode, ..AUTO };
    for (mode, exit, expected) in [
        (Interactive::Auto, LEFT, Next::Ask),
        (Interactive::Ask, LEFT, Next::Ask),
        (Interactive::Off, LEFT, Next::Suggest),
        (Interactive::Auto, SessionExit { announced: true, ..LEFT }, Next::Suggest),
        (Interactive::Ask, SessionExit { announced: true, ..LEFT }, Next::Ask),
        (Interactive::Auto, SessionExit { ends_with_error: false, ..LEFT }, Next::Final),
        (Interactive::Auto, SessionExit { can_resume: false, ..LEFT }, Next::Final),
        (
            Interactive::Auto,
            SessionExit { ended_by_kage: true, ..LEFT },
            retry(Target::Another, How::Resuming),
        ),
    ] {
        assert_eq!(after_session(&limit, Form::Ended(session(mode), exit)), expected, "{mode:?} {exit:?}");
    }
    assert_eq!(after_session(&Verdict::Succeeded, Form::Ended(AUTO, LEFT)), Next::Final);
}
