//! D-Bus messages as bytes, for `bus` and the calls of `plain`. Sizes are checked against what was received
//! before `zvariant` decodes anything. Source: D-Bus Specification, "Message Protocol".

use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use zvariant::serialized::{Context, Data};
use zvariant::{DynamicType, Endian, Signature, Type, Value};

/// The largest message that kage reads, in bytes. A secret of a subscription is much shorter.
const LARGEST: usize = 256 * 1024;
/// The length of the beginning of a message, which contains the size of the message.
pub(super) const HEAD: usize = 16;
const VERSION: u8 = 1;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
/// The service must already be running: starting it is left to the separate process.
const NO_AUTO_START: u8 = 2;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// The header of a message: byte order, type, flags, version, length of the body, serial, and fields by code.
type Header<F> = (u8, u8, u8, u8, u32, u32, Vec<(u8, F)>);

/// A field of a call's header: a variant with text of the type `o`, `s` or `g`. `zvariant`'s own value would
/// write the signature of two arguments as that of a structure.
struct Field<'a> {
    signature: &'static str,
    text: &'a str,
}

impl Type for Field<'_> {
    const SIGNATURE: &'static Signature = &Signature::Variant;
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut variant = serializer.serialize_struct("Variant", 2)?;
        variant.serialize_field("signature", self.signature)?;
        variant.serialize_field("value", self.text)?;
        variant.end()
    }
}

/// A method call.
pub(super) struct Call<'a> {
    pub(super) to: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

impl Call<'_> {
    /// Returns the whole message, or `None` if the arguments cannot be written as D-Bus values.
    pub(super) fn bytes<B: Serialize + DynamicType>(&self, serial: u32, body: &B) -> Option<Vec<u8>> {
        let context = Context::new_dbus(Endian::Little, 0);
        let types = body.signature().to_string_no_parens();
        let body = zvariant::to_bytes(context, body).ok()?;
        let field = |code, signature, text| (code, Field { signature, text });
        let mut fields = vec![
            field(PATH, "o", self.path),
            field(INTERFACE, "s", self.interface),
            field(MEMBER, "s", self.member),
            field(DESTINATION, "s", self.to),
        ];
        if !types.is_empty() {
            fields.push(field(SIGNATURE, "g", &types));
        }
        let length = u32::try_from(body.len()).ok()?;
        let header: Header<Field> = (b'l', METHOD_CALL, NO_AUTO_START, VERSION, length, serial, fields);
        let mut message = zvariant::to_bytes(context, &header).ok()?.to_vec();
        message.resize(message.len().next_multiple_of(8), 0);
        message.extend_from_slice(&body);
        Some(message)
    }
}

/// Returns the size of the message that begins with these bytes.
pub(super) fn size_of(head: &[u8]) -> Option<usize> {
    let endian = endian(head)?;
    let number = |at: usize| {
        let bytes = head.get(at..at + 4)?.try_into().ok()?;
        let number = match endian {
            Endian::Little => u32::from_le_bytes(bytes),
            Endian::Big => u32::from_be_bytes(bytes),
        };
        usize::try_from(number).ok()
    };
    if *head.get(3)? != VERSION {
        return None;
    }
    let (body, fields) = (number(4)?, number(12)?);
    let size = HEAD.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (size <= LARGEST).then_some(size)
}

fn endian(head: &[u8]) -> Option<Endian> {
    match head.first()? {
        b'l' => Some(Endian::Little),
        b'B' => Some(Endian::Big),
        _ => None,
    }
}

/// The reply to a call, or any other message that is not an error.
pub(super) struct Answer<'a> {
    /// The serial of the call; 0 if the message is not a reply.
    pub(super) to: u32,
    signature: String,
    body: Data<'a, 'static>,
}

impl<'a> Answer<'a> {
    /// Reads a whole message; `None` if the call failed.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let context = Context::new_dbus(endian(message)?, 0);
        let data = Data::new(message, context);
        let (header, length): (Header<Value>, usize) = data.deserialize().ok()?;
        let (_, kind, _, _, _, _, fields) = header;
        let (mut to, mut signature) = (0, String::new());
        for (code, value) in fields {
            match (code, value) {
                (REPLY_SERIAL, Value::U32(serial)) => to = serial,
                (SIGNATURE, Value::Signature(types)) => signature = types.to_string_no_parens(),
                _ => {}
            }
        }
        let body = message.get(length.next_multiple_of(8)..)?;
        (kind == METHOD_RETURN || to == 0).then(|| Self { to, signature, body: Data::new(body, context) })
    }

    /// The values, if they have exactly this type.
    pub(super) fn values<'v, T: Type + Deserialize<'v>>(&'v self) -> Option<T> {
        (T::SIGNATURE.to_string_no_parens() == self.signature)
            .then(|| self.body.deserialize().ok().map(|(values, _)| values))?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zvariant::ObjectPath;

    use super::*;

    const CALL: Call<'_> =
        Call { to: "org.example", path: "/org/example", interface: "org.example", member: "M" };

    /// A call is read like a reply.
    fn message() -> Vec<u8> {
        CALL.bytes(7, &("plain", Value::from("text"))).unwrap()
    }

    /// Decodes a message as each type of reply.
    fn read_all(bytes: &[u8]) -> Option<()> {
        let answer = Answer::read(bytes)?;
        let _ = answer.values::<(Value, ObjectPath)>();
        let _ = answer.values::<(Vec<ObjectPath>, Vec<ObjectPath>)>();
        let _ = answer.values::<(ObjectPath, &[u8], &[u8], &str)>();
        Some(())
    }

    #[test]
    fn a_written_message_is_read() {
        let bytes = message();
        assert_eq!(size_of(&bytes[..HEAD]), Some(bytes.len()));
        let answer = Answer::read(&bytes).unwrap();
        assert_eq!((answer.to, answer.values::<&str>()), (0, None));
        assert_eq!(answer.values::<(&str, Value)>(), Some(("plain", Value::from("text"))));
        let empty = CALL.bytes(7, &()).unwrap();
        assert_eq!(size_of(&empty), Some(empty.len()));
        assert_eq!(Answer::read(&empty).unwrap().values::<&str>(), None);
    }

    #[test]
    fn a_truncated_message_is_not_a_message() {
        let bytes = message();
        for length in 0..HEAD {
            assert_eq!(size_of(&bytes[..length]), None);
        }
        for length in 0..bytes.len() {
            read_all(&bytes[..length]);
        }
    }

    #[test]
    fn a_size_is_accepted_up_to_a_limit() {
        let head = |body: u32, fields: u32| {
            let words = [body.to_le_bytes(), [0; 4], fields.to_le_bytes()].concat();
            size_of(&[b"l\x02\0\x01".as_slice(), &words].concat())
        };
        assert_eq!(head(0, 0), Some(16));
        assert_eq!(head(3, 9), Some(35));
        assert_eq!(head(256 * 1024 - 16, 0), Some(256 * 1024));
        for (body, fields) in [(256 * 1024, 0), (0, 256 * 1024), (u32::MAX, u32::MAX)] {
            assert_eq!(head(body, fields), None);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            size_of(&bytes);
            read_all(&bytes);
        }

        #[test]
        fn a_damaged_message_is_read_without_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let mut bytes = message();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            size_of(&bytes);
            read_all(&bytes);
        }
    }
}
