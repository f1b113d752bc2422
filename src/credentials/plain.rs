//! A secret out of the Secret Service by the shortest way: a plain session on a bus of this machine, in kage's
//! own process, without threads, in two round trips. Called by `keychain`, which holds the lock that lets one
//! kage at a time in.
//!
//! It never asks the user anything and says nothing: whatever is not as usual (no bus, a locked item, two of
//! them, none) is left to the long way, which has the words for it.
//!
//! What "plain" gives up: the secret crosses the user's own socket as it is, where the Diffie-Hellman session
//! of the long way would have encrypted it. Whoever can watch that bus is the same user or root, which `bus`
//! checks, and can ask for the secret as well.

mod address;
mod answer;
mod bus;
mod call;

use std::time::Instant;

use self::answer::{Answer, Values};
use self::bus::Bus;
use self::call::{Body, Call};
use crate::secret::Secret;

pub(super) use bus::Miss;

const BUS: &str = "org.freedesktop.DBus";
const SECRETS: &str = "org.freedesktop.secrets";
/// The numbers of the calls, by which answers are told apart.
const HELLO: u32 = 1;
const OPEN_SESSION: u32 = 2;
const SEARCH_ITEMS: u32 = 3;
const GET_SECRET: u32 = 4;

/// The one secret that is stored under these attributes.
pub(super) fn secret(service: &str, name: &str, until: Instant) -> Result<Secret, Miss> {
    let mut bus = Bus::connect(address::of_session(), until)?;
    // All that can be asked without an answer goes in one write.
    let hello = Call { to: BUS, path: "/org/freedesktop/DBus", interface: BUS, member: "Hello" };
    let attributes = Body::new("a{ss}").pairs(&[("service", service), ("username", name)]);
    bus.send(
        &[
            bus::greeting(),
            hello.bytes(HELLO, &Body::new("")),
            to_service("OpenSession").bytes(OPEN_SESSION, &Body::new("sv").text("plain").variant("")),
            to_service("SearchItems").bytes(SEARCH_ITEMS, &attributes),
        ]
        .concat(),
    )?;
    bus.accepted()?;
    let (mut session, mut item) = (None, None);
    let (session, item) = loop {
        match bus.answer()? {
            Answer { to: OPEN_SESSION, body } => session = Some(opened(body).ok_or(Miss::Elsewhere)?),
            Answer { to: SEARCH_ITEMS, body } => item = Some(only_item(body).ok_or(Miss::Elsewhere)?),
            _ => {}
        }
        if let (Some(session), Some(item)) = (&session, &item) {
            break (session, item);
        }
    };
    let get = Call { to: SECRETS, path: item, interface: "org.freedesktop.Secret.Item", member: "GetSecret" };
    bus.send(&get.bytes(GET_SECRET, &Body::new("o").text(session)))?;
    loop {
        if let Answer { to: GET_SECRET, body } = bus.answer()? {
            let value = value(body).ok_or(Miss::Elsewhere)?.to_vec();
            return Secret::parse(value).map_err(Miss::Unusable);
        }
    }
}

fn to_service(member: &'static str) -> Call<'static> {
    let interface = "org.freedesktop.Secret.Service";
    Call { to: SECRETS, path: "/org/freedesktop/secrets", interface, member }
}

/// The path of the session that was opened.
fn opened(mut answer: Values) -> Option<String> {
    answer.of("vo")?;
    answer.skip_variant()?;
    answer.text().map(str::to_owned)
}

/// The path of the item, where there is one alone and it is not locked.
fn only_item(mut answer: Values) -> Option<String> {
    answer.of("aoao")?;
    let (unlocked, locked) = (answer.texts()?, answer.texts()?);
    match (&unlocked[..], &locked[..]) {
        ([item], []) => Some((*item).to_owned()),
        _ => None,
    }
}

/// The value of a secret: behind its session and the parameters of an encryption, before its type.
fn value(mut answer: Values<'_>) -> Option<&[u8]> {
    answer.of("(oayays)")?;
    answer.text()?;
    answer.bytes()?;
    answer.bytes()
}
