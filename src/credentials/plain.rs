//! Reads a secret from the Secret Service over a plain (unencrypted) session, in two round trips, without
//! threads and without another process. Called by `keychain`, which lets one kage at a time use the keychain.
//! In any unusual case (no bus, a locked item, two items) `keychain` starts its separate process instead,
//! which can ask the user and has the error messages.
//!
//! It uses no D-Bus library: the one in `keyring` needs threads that outlive the call, and takes four
//! times as long. The small synchronous one that was tried waits without a deadline during authentication,
//! reads messages of any size, does not check who runs the bus, and leaves the secret in freed memory. Only
//! the values are read and written by a library, `zvariant`.
//!
//! The secret crosses the user's own socket unencrypted. Only the same user and root can watch that bus,
//! which `bus` checks, and both could also ask for the secret.

mod address;
mod bus;
mod message;

use std::collections::HashMap;
use std::time::Instant;

use zvariant::{ObjectPath, Value};

use self::bus::Bus;
use self::message::{Answer, Call};
use crate::secret::Secret;

pub(super) use bus::Miss;

const BUS: &str = "org.freedesktop.DBus";
const SECRETS: &str = "org.freedesktop.secrets";
/// The serials of the calls, by which replies are matched.
const HELLO: u32 = 1;
const OPEN_SESSION: u32 = 2;
const SEARCH_ITEMS: u32 = 3;
const GET_SECRET: u32 = 4;

/// Returns the secret that is stored under these attributes, if there is exactly one.
pub(super) fn secret(service: &str, name: &str, until: Instant) -> Result<Secret, Miss> {
    let mut bus = Bus::connect(address::of_session(), until)?;
    // Everything that does not depend on a reply is sent in one write.
    let hello = Call { to: BUS, path: "/org/freedesktop/DBus", interface: BUS, member: "Hello" };
    let attributes = HashMap::from([("service", service), ("username", name)]);
    let calls = [
        hello.bytes(HELLO, &()),
        to_service("OpenSession").bytes(OPEN_SESSION, &("plain", Value::from(""))),
        to_service("SearchItems").bytes(SEARCH_ITEMS, &(attributes,)),
    ];
    let calls: Vec<_> = calls.into_iter().collect::<Option<_>>().ok_or(Miss::Elsewhere)?;
    bus.send(&[bus::greeting(), calls.concat()].concat())?;
    bus.accepted()?;
    let (mut session, mut item) = (None, None);
    let (session, item) = loop {
        let answer = bus.answer()?;
        match answer.to {
            OPEN_SESSION => session = Some(opened(&answer).ok_or(Miss::Elsewhere)?),
            SEARCH_ITEMS => item = Some(only_item(&answer).ok_or(Miss::Elsewhere)?),
            _ => {}
        }
        if let (Some(session), Some(item)) = (&session, &item) {
            break (session, item);
        }
    };
    let get = Call { to: SECRETS, path: item, interface: "org.freedesktop.Secret.Item", member: "GetSecret" };
    bus.send(&get.bytes(GET_SECRET, &(session,)).ok_or(Miss::Elsewhere)?)?;
    loop {
        let answer = bus.answer()?;
        if answer.to == GET_SECRET {
            let (_, _, value, _): Stored = answer.values().ok_or(Miss::Elsewhere)?;
            return Secret::parse(value.to_vec()).map_err(Miss::Unusable);
        }
    }
}

/// A secret as the service returns it: session, encryption parameters, value, content type.
type Stored<'a> = (ObjectPath<'a>, &'a [u8], &'a [u8], &'a str);

fn to_service(member: &'static str) -> Call<'static> {
    let interface = "org.freedesktop.Secret.Service";
    Call { to: SECRETS, path: "/org/freedesktop/secrets", interface, member }
}

/// Returns the session that was opened.
fn opened(answer: &Answer) -> Option<ObjectPath<'static>> {
    let (_, session): (Value, ObjectPath) = answer.values()?;
    Some(session.into_owned())
}

/// Returns the item, if it is the only one and is not locked.
fn only_item(answer: &Answer) -> Option<ObjectPath<'static>> {
    let (unlocked, locked): (Vec<ObjectPath>, Vec<ObjectPath>) = answer.values()?;
    match (&unlocked[..], &locked[..]) {
        ([item], []) => Some(item.to_owned()),
        _ => None,
    }
}

/// Reads a message as each type of reply, and returns the length of a secret in it. For fuzzing.
pub fn secret_length(message: &[u8]) -> Option<usize> {
    let size = message::size_of(message)?;
    let answer = Answer::read(message.get(..size)?)?;
    let _ = (opened(&answer), only_item(&answer));
    let (_, _, value, _): Stored = answer.values()?;
    Some(value.len())
}
