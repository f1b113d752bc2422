//! Tests of the run loop without processes: with a fake agent, host, clock and store, and a recorded voice.

mod fakes;
mod memory;

use super::run::RunEnd;
use super::said::Said;
use crate::agent::{Form, Work};
use crate::config::Interactive;
use crate::pool::{Scope, Status, Verdict, Window};
use crate::run::Response;
use fakes::{Attempt, Outcome, Scene, run};

fn limit() -> Verdict {
    let window = Window { name: "five_hour".into(), long: false };
    Verdict::UsageLimit { scope: Scope::All, window, resets_at: None }
}

const THROTTLED: Verdict = Verdict::Throttled { retry_after: None };

/// What a verdict calls for, if nothing prevents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Nothing follows.
    Final,
    /// One more attempt on the same subscription.
    Here,
    /// One more attempt on another subscription.
    Elsewhere,
}

fn verdicts() -> [(Verdict, Expected); 12] {
    use Expected::{Elsewhere, Final, Here};
    [
        (Verdict::Succeeded, Final),
        (Verdict::AgentFailed, Final),
        (Verdict::NotStarted, Final),
        (Verdict::Interrupted, Final),
        (limit(), Elsewhere),
        (Verdict::AuthRejected, Elsewhere),
        (Verdict::OrganizationRefused, Elsewhere),
        (Verdict::BillingRejected, Elsewhere),
        (THROTTLED, Here),
        (Verdict::Overloaded, Here),
        (Verdict::Unreachable, Here),
        (Verdict::TimedOut, Here),
    ]
}

/// Returns the subscription of each attempt, and whether the attempt resumed the conversation.
fn attempts(outcome: &Outcome) -> Vec<(&str, bool)> {
    outcome.launches.iter().map(|launch| (launch.subscription.as_str(), launch.resumes)).collect()
}

#[test]
fn what_follows_a_print_form_depends_on_the_verdict_the_work_and_the_pool() {
    for form in [Form::Whole, Form::Lines] {
        for (verdict, expected) in verdicts() {
            for work in [Work::None, Work::Done, Work::Unknown] {
                for subscriptions in 1..=3 {
                    one_refusal(form, &verdict, expected, work, subscriptions);
                }
            }
        }
    }
}

/// Checks a run whose first attempt ends with the verdict. Any second attempt succeeds.
fn one_refusal(form: Form, verdict: &Verdict, expected: Expected, work: Work, subscriptions: usize) {
    let case = format!("{form:?} {verdict:?} {work:?} {subscriptions} subscriptions");
    let mut scene = Scene::new(form, subscriptions);
    scene.attempts = vec![Attempt::of(verdict.clone(), work), Attempt::of(Verdict::Succeeded, Work::Done)];
    let outcome = run(&scene);
    let resumes = work == Work::Done;
    let follows = match (expected, work) {
        // If it is unknown whether work was done, the command is not run again.
        (Expected::Final, _) | (_, Work::Unknown) => None,
        (Expected::Here, _) => Some("a"),
        (Expected::Elsewhere, _) if subscriptions > 1 => Some("b"),
        (Expected::Elsewhere, _) => None,
    };
    let second = follows.map(|subscription| (subscription, resumes));
    let expected_attempts: Vec<_> = [("a", false)].into_iter().chain(second).collect();
    assert_eq!(attempts(&outcome), expected_attempts, "{case}");
    let last = if follows.is_some() { 0 } else { scene.attempts[0].code };
    assert_eq!(outcome.end, RunEnd::Code(last), "{case}");
    // Every attempt is in the ledger, and no lease is left.
    assert_eq!(outcome.ledger.len(), expected_attempts.len(), "{case}");
    assert!(outcome.state.leases.is_empty(), "{case}");
    let switched = outcome.said.iter().any(|said| matches!(said, Said::Switched { .. }));
    assert_eq!(switched, expected == Expected::Elsewhere && follows.is_some(), "{case}");
    let stuck = outcome.said.iter().any(|said| matches!(said, Said::NotRetried { .. }));
    assert_eq!(stuck, expected != Expected::Final && work == Work::Unknown, "{case}");
    assert_eq!(outcome.pauses.len(), usize::from(expected == Expected::Here && follows.is_some()), "{case}");
}

#[test]
fn every_subscription_is_tried_once_and_the_last_refusal_is_final() {
    for subscriptions in 1..=4 {
        let mut scene = Scene::new(Form::Whole, subscriptions);
        scene.attempts = (0..subscriptions).map(|_| Attempt::of(limit(), Work::None)).collect();
        let outcome = run(&scene);
        let names: Vec<_> = attempts(&outcome).into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["a", "b", "c", "d"][..subscriptions], "{subscriptions}");
        assert_eq!(outcome.end, RunEnd::Code(1));
        assert!(matches!(
            outcome.said.last(),
            Some(Said::NoSuccessor { waits: false, .. } | Said::Changed { .. })
        ));
        for name in names {
            let known = outcome.state.of(&name.parse().unwrap());
            assert_eq!(known.active_limits(outcome.now).count(), 1, "{name}");
        }
    }
}

#[test]
fn the_number_of_retries_is_bounded() {
    for retries in 0..=3 {
        let mut scene = Scene::new(Form::Whole, 5);
        scene.retries = Some(retries);
        scene.attempts = (0..5).map(|_| Attempt::of(limit(), Work::None)).collect();
        assert_eq!(run(&scene).launches.len(), usize::try_from(retries).unwrap() + 1);
    }
}

#[test]
fn a_second_throttling_causes_a_switch_and_a_second_overload_is_final() {
    for (verdict, expected) in [(THROTTLED, vec!["a", "a", "b"]), (Verdict::Overloaded, vec!["a", "a"])] {
        let mut scene = Scene::new(Form::Lines, 2);
        scene.attempts = vec![
            Attempt::of(verdict.clone(), Work::None),
            Attempt::of(verdict, Work::None),
            Attempt::of(Verdict::Succeeded, Work::Done),
        ];
        let outcome = run(&scene);
        assert_eq!(attempts(&outcome).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_signal_between_two_attempts_ends_the_run() {
    let mut scene = Scene::new(Form::Whole, 2);
    scene.attempts = vec![Attempt::of(THROTTLED, Work::None)];
    scene.signal_in_pause = Some(15);
    let outcome = run(&scene);
    assert_eq!((outcome.end, outcome.launches.len()), (RunEnd::Signal(15), 1));
}

#[test]
fn an_interrupted_agent_is_never_started_again() {
    for form in [Form::Whole, Form::Lines, Form::Interactive] {
        let mut scene = Scene::new(form, 2);
        scene.attempts = vec![Attempt { interrupted: true, ..Attempt::of(limit(), Work::Done) }];
        assert_eq!(run(&scene).launches.len(), 1, "{form:?}");
    }
}

#[test]
fn a_session_that_was_left_at_a_limit_continues_if_the_user_agrees() {
    for mode in [Interactive::Auto, Interactive::Ask, Interactive::Off] {
        for answer in [Some("y"), Some(""), Some("n"), None] {
            for (verdict, expected) in verdicts() {
                for subscriptions in 1..=2 {
                    one_session(mode, answer, &verdict, expected, subscriptions);
                }
            }
        }
    }
}

fn one_session(
    mode: Interactive,
    answer: Option<&'static str>,
    verdict: &Verdict,
    expected: Expected,
    subscriptions: usize,
) {
    let case = format!("{mode:?} {answer:?} {verdict:?} {subscriptions} subscriptions");
    let mut scene = Scene::new(Form::Interactive, subscriptions);
    (scene.mode, scene.answer) = (mode, answer);
    scene.attempts =
        vec![Attempt::of(verdict.clone(), Work::Done), Attempt::of(Verdict::Succeeded, Work::Done)];
    let outcome = run(&scene);
    let is_limit = expected == Expected::Elsewhere && matches!(verdict, Verdict::UsageLimit { .. });
    let has_successor = is_limit && subscriptions > 1;
    let asks = has_successor && mode != Interactive::Off;
    assert_eq!(outcome.questions, usize::from(asks), "{case}");
    let agrees = asks && matches!(answer, Some("y" | ""));
    let expected: Vec<_> = [("a", false)].into_iter().chain(agrees.then_some(("b", true))).collect();
    assert_eq!(attempts(&outcome), expected, "{case}");
    let suggests = outcome.said.iter().any(|said| matches!(said, Said::Continue { .. }));
    assert_eq!(suggests, has_successor && mode == Interactive::Off, "{case}");
    let nothing = outcome.said.iter().any(|said| matches!(said, Said::NoSuccessor { .. }));
    assert_eq!(nothing, is_limit && subscriptions == 1, "{case}");
    assert!(outcome.state.leases.is_empty(), "{case}");
}

#[test]
fn limits_are_checked_at_the_time_of_each_choice() {
    // The first attempt takes an hour. The limit of the only other subscription is reset meanwhile.
    let mut scene = Scene::new(Form::Whole, 2);
    scene.limited_for = Some(("b", jiff::SignedDuration::from_mins(30)));
    scene.attempts = vec![
        Attempt { takes: jiff::SignedDuration::from_hours(1), ..Attempt::of(limit(), Work::None) },
        Attempt::of(Verdict::Succeeded, Work::Done),
    ];
    let outcome = run(&scene);
    assert_eq!(attempts(&outcome), [("a", false), ("b", false)]);
    let pool = &outcome.pool;
    let status =
        |name: &str| outcome.state.of(&name.parse().unwrap()).status(&pool.subscriptions[name], outcome.now);
    assert!(matches!(status("a"), Status::RateLimited { .. }));
    assert_eq!(status("b"), Status::Active);
}

#[test]
fn the_agents_own_retries_are_cut_short_only_if_another_subscription_is_ready() {
    // If the limit of the third subscription is reset while the first attempt runs, the second attempt has a
    // successor.
    for (limited_for, takes_over) in [(30, true), (90, false)] {
        let mut scene = Scene::new(Form::Whole, 3);
        scene.limited_for = Some(("c", jiff::SignedDuration::from_mins(limited_for)));
        scene.attempts = vec![
            Attempt { takes: jiff::SignedDuration::from_hours(1), ..Attempt::of(limit(), Work::None) },
            Attempt::of(Verdict::Succeeded, Work::Done),
        ];
        let outcome = run(&scene);
        assert_eq!(attempts(&outcome)[1].0, "b");
        assert_eq!(outcome.launches[1].takes_over, takes_over, "{limited_for} minutes");
    }
}

#[test]
fn a_running_session_at_a_limit_announces_a_switch_if_it_can_continue() {
    for (mode, subscriptions, announced) in
        [(Interactive::Auto, 2, true), (Interactive::Auto, 1, false), (Interactive::Ask, 2, false)]
    {
        let mut scene = Scene::new(Form::Interactive, subscriptions);
        scene.mode = mode;
        scene.attempts = vec![Attempt { wakes: true, ..Attempt::of(limit(), Work::Done) }];
        let outcome = run(&scene);
        let waits = matches!(outcome.responses[..], [Response::Until(_)]);
        assert_eq!(waits, announced, "{mode:?} {subscriptions}");
        // The user left after the announcement: kage prints how to continue and does not ask.
        let suggests = outcome.said.iter().any(|said| matches!(said, Said::Continue { .. }));
        assert_eq!(suggests, announced, "{mode:?} {subscriptions}");
        // The refusal is booked when it is seen, and not again at the end.
        assert_eq!(outcome.state.of(&"a".parse().unwrap()).changes.len(), 1, "{mode:?} {subscriptions}");
    }
}
