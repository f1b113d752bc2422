//! What follows an attempt: nothing, because it is final; another attempt; or another attempt that is needed
//! but not possible. One pure table for print forms and for sessions at the terminal.

use jiff::SignedDuration;

use crate::agent::Work;
use crate::config::Interactive;
use crate::pool::Verdict;

/// The longest pause before a retry on the same subscription. After a longer `retry-after` the run continues
/// on another one.
const MAX_PAUSE: SignedDuration = SignedDuration::from_mins(2);

/// Everything that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub verdict: &'a Verdict,
    /// Whether an attempt of this run has done anything.
    pub work: Work,
    /// Whether a signal was sent to end the run, or the reader of its output is gone.
    pub interrupted: bool,
    pub form: Form,
}

/// How the agent is used, with the facts that matter only for that form.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// The agent answers once and ends.
    Print(Print),
    /// A running session.
    Running(Session),
    /// A session that has ended.
    Ended(Session, SessionExit),
}

// The booleans are independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Print {
    /// The number of attempts that may still follow; 0 if the conversation stays open.
    pub attempts_left: u32,
    /// Whether this run has already paused because this subscription was throttled.
    pub paused_here: bool,
    /// Whether this run has already paused because of an error of the provider or the network.
    pub paused: bool,
    /// Whether a subscription that the run has not tried sends its requests to another address.
    pub other_gateway: bool,
    /// Whether the command may be run again as it was typed.
    pub repeatable: bool,
    /// Whether its standard input can be read again.
    pub replayable: bool,
    /// Whether part of its output has already been delivered to the caller.
    pub committed: bool,
    /// Whether the agent kept a transcript of the conversation.
    pub recorded: bool,
    /// Why no other attempt can resume the conversation.
    pub not_resumable: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// How the user wants sessions to continue.
    pub mode: Interactive,
    /// Whether too many attempts in a row have done nothing.
    pub is_stalled: bool,
    /// Whether the limit resets so soon that the agent waits for the reset on its own.
    pub resets_soon: bool,
}

// The booleans are independent facts.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionExit {
    /// Whether the conversation ends with an error.
    pub ends_with_error: bool,
    /// Whether the agent can resume a conversation.
    pub can_resume: bool,
    /// Whether kage announced that it would continue, or that it cannot.
    pub announced: bool,
    /// Whether kage reserved another subscription and then ended the session.
    pub ended_by_kage: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The attempt is final, with its output and its exit status. A running session is left alone.
    Final,
    /// Another attempt should follow but cannot. The reason, as text for the user.
    Stuck(&'static str),
    Retry {
        target: Target,
        how: How,
    },
    /// The user is asked whether the session continues on another subscription.
    Ask,
    /// kage prints how to continue on another subscription.
    Suggest,
}

/// The subscription of another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// The same subscription, after a pause.
    Same,
    Another,
}

/// How another attempt begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// With the command as it was typed.
    AsTyped,
    /// By resuming the conversation.
    Resuming,
}

/// Decides what follows an attempt. Nothing follows an attempt that was interrupted.
pub(super) fn next(situation: &Situation<'_>) -> Next {
    let is_limited = matches!(situation.verdict, Verdict::UsageLimit { .. });
    let elsewhere = Next::Retry { target: Target::Another, how: How::Resuming };
    match situation.form {
        _ if situation.interrupted => Next::Final,
        Form::Print(print) => after_print(situation, &print),
        Form::Running(session) => {
            let stays = session.mode != Interactive::Auto || session.resets_soon || session.is_stalled;
            if is_limited && !stays { elsewhere } else { Next::Final }
        }
        Form::Ended(_, exit) if exit.ended_by_kage => elsewhere,
        Form::Ended(_, exit) if !is_limited || !exit.ends_with_error || !exit.can_resume => Next::Final,
        Form::Ended(session, exit) => match session.mode {
            // A user who leaves after the announcement does not want the session to continue.
            Interactive::Auto if exit.announced => Next::Suggest,
            Interactive::Off => Next::Suggest,
            Interactive::Auto | Interactive::Ask => Next::Ask,
        },
    }
}

fn after_print(situation: &Situation<'_>, print: &Print) -> Next {
    if print.attempts_left == 0 {
        return Next::Final;
    }
    let Some(target) = target(situation.verdict, print) else { return Next::Final };
    match how(situation.work, print) {
        Ok(how) => Next::Retry { target, how },
        Err(why) => Next::Stuck(why),
    }
}

/// Returns the subscription of the next attempt. If the provider refused the account, another subscription
/// helps. If the provider or the network failed, only time helps: the rest of the pool would fail too.
fn target(verdict: &Verdict, print: &Print) -> Option<Target> {
    match verdict {
        Verdict::UsageLimit { .. }
        | Verdict::AuthRejected
        | Verdict::OrganizationRefused
        | Verdict::BillingRejected => Some(Target::Another),
        Verdict::Throttled { .. } if print.paused_here => Some(Target::Another),
        Verdict::Throttled { retry_after: Some(pause) } if *pause > MAX_PAUSE => Some(Target::Another),
        Verdict::Throttled { .. } => Some(Target::Same),
        // An overload that persists may end at the address, so another one gets one attempt.
        Verdict::Overloaded if print.paused && print.other_gateway => Some(Target::Another),
        Verdict::Overloaded | Verdict::Unreachable | Verdict::TimedOut => {
            (!print.paused).then_some(Target::Same)
        }
        Verdict::Succeeded | Verdict::AgentFailed | Verdict::NotStarted | Verdict::Interrupted => None,
    }
}

/// Returns how the next attempt begins, or why it cannot. Work is never done twice: after work the
/// conversation is resumed, or nothing follows.
fn how(work: Work, print: &Print) -> Result<How, &'static str> {
    if print.committed {
        return Err("part of its output has already been printed");
    }
    match work {
        Work::Unknown => Err(print.not_resumable.unwrap_or("it may already have done work")),
        Work::None if print.repeatable => {
            if print.replayable {
                Ok(How::AsTyped)
            } else {
                Err("its standard input cannot be read again")
            }
        }
        Work::None | Work::Done => match print.not_resumable {
            Some(why) => Err(why),
            None if print.recorded => Ok(How::Resuming),
            None => Err("there is no record of the conversation to resume"),
        },
    }
}

#[cfg(test)]
mod tests;
