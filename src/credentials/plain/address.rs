//! The address of the session bus, from `DBUS_SESSION_BUS_ADDRESS`. Source: D-Bus Specification, "Server
//! Addresses".

use std::env;
use std::path::PathBuf;

use rustix::net::SocketAddrUnix;
use rustix::process::geteuid;

/// A socket of this machine, and the id of its bus if the address contains it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) socket: SocketAddrUnix,
    pub(super) guid: Option<String>,
}

/// Returns the addresses of the session bus in the order in which they must be tried, up to the first one
/// that is not a socket of this machine.
pub(super) fn of_session() -> Vec<Address> {
    if let Ok(list) = env::var("DBUS_SESSION_BUS_ADDRESS") {
        return parse(&list);
    }
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.unwrap_or_else(|| format!("/run/user/{}", geteuid().as_raw()).into());
    let socket = SocketAddrUnix::new(runtime.join("bus"));
    socket.map(|socket| Address { socket, guid: None }).into_iter().collect()
}

fn parse(list: &str) -> Vec<Address> {
    list.split(';').filter(|one| !one.is_empty()).map_while(parse_one).collect()
}

fn parse_one(address: &str) -> Option<Address> {
    let (mut socket, mut guid) = (None, None);
    for pair in address.strip_prefix("unix:")?.split(',') {
        let (key, value) = pair.split_once('=')?;
        let value = unescape(value)?;
        match key {
            "path" if socket.is_none() => socket = Some(SocketAddrUnix::new(value).ok()?),
            "abstract" if socket.is_none() => socket = Some(SocketAddrUnix::new_abstract_name(&value).ok()?),
            "guid" => guid = Some(String::from_utf8(value).ok()?),
            _ => return None,
        }
    }
    Some(Address { socket: socket?, guid })
}

/// Decodes escapes: `%2f` is a slash.
fn unescape(value: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(if byte == b'%' { u8::try_from(digit()? * 16 + digit()?).ok()? } else { byte });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Address {
        Address { socket: SocketAddrUnix::new(path).unwrap(), guid: None }
    }

    #[test]
    fn sockets_of_this_machine_are_tried_in_order() {
        let hidden =
            || Address { socket: SocketAddrUnix::new_abstract_name(b"/tmp/x,y").unwrap(), guid: None };
        for (list, expected) in [
            ("unix:path=/run/bus", vec![at("/run/bus")]),
            ("unix:path=%2frun%2Fa%20b", vec![at("/run/a b")]),
            ("unix:abstract=/tmp/x%2cy", vec![hidden()]),
            ("unix:path=/a;unix:abstract=/tmp/x%2cy;", vec![at("/a"), hidden()]),
            ("unix:path=/a;tcp:host=localhost,port=1;unix:path=/b", vec![at("/a")]),
            ("unix:path=/a,guid=0f", vec![Address { guid: Some("0f".into()), ..at("/a") }]),
        ] {
            assert_eq!(parse(list), expected, "{list}");
        }
    }

    #[test]
    fn other_addresses_are_ignored() {
        let long = format!("unix:path=/{}", "a".repeat(200));
        for list in [
            "",
            ";",
            "nonsense",
            "unix:",
            "unix:path",
            "unix:path=/a,abstract=b",
            "unix:path=/a%",
            "unix:path=/a%2",
            "unix:path=/a%zz",
            "unix:path=/a%00b",
            "unix:tmpdir=/tmp",
            "unix:runtime=yes",
            "tcp:host=localhost,port=1",
            "unixexec:path=/bin/true",
            "autolaunch:",
            &long,
        ] {
            assert_eq!(parse(list), [], "{list}");
        }
    }
}
