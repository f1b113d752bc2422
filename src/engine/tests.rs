//! The loop of a run without processes: a pretended agent, host, clock and store, and a voice that is recorded.

mod memory;
mod pretend;

use super::run::RunEnd;
use super::said::Said;
use crate::agent::{Form, Work};
use crate::config::Interactive;
use crate::pool::{Scope, Status, Verdict, Window};
use crate::run::Rest;
use pretend::{Attempt, Outcome, Scene, run};

fn limit() -> Verdict {
    let window = Window { name: "five_hour".into(), long: false };
    Verdict::UsageLimit { scope: Scope::All, window, resets_at: None }
}

const THROTTLED: Verdict = Verdict::Throttled { retry_after: None };

/// What a verdict asks for where nothing is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Nothing follows.
    Final,
    /// One more attempt on the same subscription.
    Here,
    /// One more attempt on another one.
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
        (Verdict::OrganisationRefused, Elsewhere),
        (Verdict::BillingRejected, Elsewhere),
        (THROTTLED, Here),
        (Verdict::Overloaded, Here),
        (Verdict::Unreachable, Here),
        (Verdict::TimedOut, Here),
    ]
}

/// The subscriptions of the attempts, and whether each but the first resumed the conversation.
fn attempts(outcome: &Outcome) -> Vec<(&str, bool)> {
    outcome.launches.iter().map(|launch| (launch.subscription.as_str(), launch.resumes)).collect()
}

#[test]
fn a_print_form_goes_where_the_verdict_the_work_and_the_pool_allow() {
    for form in [Form::Whole, Form::Lines] {
        for (verdict, expected) in verdicts() {
            for work in [Work::None, Work::Done, Work::Unknown] {
                for places in 1..=3 {
                    one_refusal(form, &verdict, expected, work, places);
                }
            }
        }
    }
}

/// The first attempt ends with the verdict, and whatever follows succeeds.
fn one_refusal(form: Form, verdict: &Verdict, expected: Expected, work: Work, places: usize) {
    let case = format!("{form:?} {verdict:?} {work:?} {places} places");
    let mut scene = Scene::new(form, places);
    scene.attempts = vec![Attempt::of(verdict.clone(), work), Attempt::of(Verdict::Succeeded, Work::Done)];
    let outcome = run(&scene);
    let resumes = work == Work::Done;
    let follows = match (expected, work) {
        // Where nobody knows what it did, it is not done twice.
        (Expected::Final, _) | (_, Work::Unknown) => None,
        (Expected::Here, _) => Some("a"),
        (Expected::Elsewhere, _) if places > 1 => Some("b"),
        (Expected::Elsewhere, _) => None,
    };
    let second = follows.map(|subscription| (subscription, resumes));
    let expected_attempts: Vec<_> = [("a", false)].into_iter().chain(second).collect();
    assert_eq!(attempts(&outcome), expected_attempts, "{case}");
    let last = if follows.is_some() { 0 } else { scene.attempts[0].code };
    assert_eq!(outcome.end, RunEnd::Code(last), "{case}");
    // Every attempt is in the ledger, in order, and nothing is held any more.
    assert_eq!(outcome.ledger.len(), expected_attempts.len(), "{case}");
    assert!(outcome.state.leases.is_empty(), "{case}");
    let switched = outcome.said.iter().any(|said| matches!(said, Said::Switched { .. }));
    assert_eq!(switched, expected == Expected::Elsewhere && follows.is_some(), "{case}");
    let stuck = outcome.said.iter().any(|said| matches!(said, Said::NotRetried { .. }));
    assert_eq!(stuck, expected != Expected::Final && work == Work::Unknown, "{case}");
    assert_eq!(outcome.pauses.len(), usize::from(expected == Expected::Here && follows.is_some()), "{case}");
}

#[test]
fn every_place_is_tried_once_and_the_last_refusal_is_the_answer() {
    for places in 1..=4 {
        let mut scene = Scene::new(Form::Whole, places);
        scene.attempts = (0..places).map(|_| Attempt::of(limit(), Work::None)).collect();
        let outcome = run(&scene);
        let names: Vec<_> = attempts(&outcome).into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["a", "b", "c", "d"][..places], "{places}");
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
fn retries_are_bounded() {
    for retries in 0..=3 {
        let mut scene = Scene::new(Form::Whole, 5);
        scene.retries = Some(retries);
        scene.attempts = (0..5).map(|_| Attempt::of(limit(), Work::None)).collect();
        assert_eq!(run(&scene).launches.len(), usize::try_from(retries).unwrap() + 1);
    }
}

#[test]
fn a_second_throttling_goes_elsewhere_and_a_second_overload_is_final() {
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
fn an_agent_that_someone_ended_is_never_started_again() {
    for form in [Form::Whole, Form::Lines, Form::Interactive] {
        let mut scene = Scene::new(form, 2);
        scene.attempts = vec![Attempt { interrupted: true, ..Attempt::of(limit(), Work::Done) }];
        assert_eq!(run(&scene).launches.len(), 1, "{form:?}");
    }
}

#[test]
fn a_session_that_was_left_at_a_limit_continues_where_the_user_agrees() {
    for mode in [Interactive::Auto, Interactive::Ask, Interactive::Off] {
        for answer in [Some("y"), Some(""), Some("n"), None] {
            for (verdict, expected) in verdicts() {
                for places in 1..=2 {
                    one_session(mode, answer, &verdict, expected, places);
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
    places: usize,
) {
    let case = format!("{mode:?} {answer:?} {verdict:?} {places} places");
    let mut scene = Scene::new(Form::Interactive, places);
    (scene.mode, scene.answer) = (mode, answer);
    scene.attempts =
        vec![Attempt::of(verdict.clone(), Work::Done), Attempt::of(Verdict::Succeeded, Work::Done)];
    let outcome = run(&scene);
    let is_limit = expected == Expected::Elsewhere && matches!(verdict, Verdict::UsageLimit { .. });
    let has_place = is_limit && places > 1;
    let asks = has_place && mode != Interactive::Off;
    assert_eq!(outcome.questions, usize::from(asks), "{case}");
    let agrees = asks && matches!(answer, Some("y" | ""));
    let expected: Vec<_> = [("a", false)].into_iter().chain(agrees.then_some(("b", true))).collect();
    assert_eq!(attempts(&outcome), expected, "{case}");
    let suggests = outcome.said.iter().any(|said| matches!(said, Said::Continue { .. }));
    assert_eq!(suggests, has_place && mode == Interactive::Off, "{case}");
    let nothing = outcome.said.iter().any(|said| matches!(said, Said::NoSuccessor { .. }));
    assert_eq!(nothing, is_limit && places == 1, "{case}");
    assert!(outcome.state.leases.is_empty(), "{case}");
}

#[test]
fn limits_are_judged_by_the_time_at_which_they_are_met() {
    // The first attempt takes an hour; a limit on the only other subscription passes meanwhile.
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
fn the_agents_patience_is_cut_short_only_where_another_is_ready_by_then() {
    // While the first attempt runs, the limit of the third subscription passes: the second attempt has a successor.
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
fn a_session_that_is_woken_at_a_limit_is_announced_where_it_can_continue() {
    for (mode, places, announced) in
        [(Interactive::Auto, 2, true), (Interactive::Auto, 1, false), (Interactive::Ask, 2, false)]
    {
        let mut scene = Scene::new(Form::Interactive, places);
        scene.mode = mode;
        scene.attempts = vec![Attempt { wakes: true, ..Attempt::of(limit(), Work::Done) }];
        let outcome = run(&scene);
        let waits = matches!(outcome.rests[..], [Rest::Until(_)]);
        assert_eq!(waits, announced, "{mode:?} {places}");
        // The user left after it was announced: told how, not asked.
        let suggests = outcome.said.iter().any(|said| matches!(said, Said::Continue { .. }));
        assert_eq!(suggests, announced, "{mode:?} {places}");
        // It was booked at once, and not a second time at the end.
        assert_eq!(outcome.state.of(&"a".parse().unwrap()).changes.len(), 1, "{mode:?} {places}");
    }
}
