//! What a bus says, read without trust: every length is held against what is there. Source: D-Bus Specification,
//! "Type System" and "Message Protocol".

/// A longer answer holds no secret of a subscription.
const LONGEST: usize = 256 * 1024;
/// What every message begins with.
pub(super) const HEAD: usize = 16;
const VERSION: u8 = 1;
const ERROR: u8 = 3;
const REPLY_SERIAL: u8 = 5;
const SIGNATURE: u8 = 8;

/// How long the message is that begins so.
pub(super) fn size_of(head: &[u8]) -> Option<usize> {
    let mut head = Values::of_header(head)?;
    if head.take(4)?[3] != VERSION {
        return None;
    }
    let body = head.length()?;
    head.number()?;
    let fields = head.length()?;
    let size = HEAD.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
    (size <= LONGEST).then_some(size)
}

/// An answer to a call, or anything else that a bus says.
pub(super) struct Answer<'a> {
    /// The call that it answers; no call has the number 0.
    pub(super) to: u32,
    pub(super) body: Values<'a>,
}

impl<'a> Answer<'a> {
    /// Reads a whole message; `None` is also the answer to a call that failed.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let mut header = Values::of_header(message)?;
        let kind = header.take(HEAD - 4)?[1];
        let end = HEAD.checked_add(header.length()?)?;
        let (mut to, mut signature) = (0, "");
        while header.at < end {
            header.pad(8)?;
            match (header.byte()?, header.signature()?) {
                (REPLY_SERIAL, "u") => to = header.number()?,
                (SIGNATURE, "g") => signature = header.signature()?,
                (_, other) => header.skip(other)?,
            }
        }
        header.pad(8)?;
        let bytes = message.get(header.at..)?;
        (kind != ERROR).then_some(Self { to, body: Values { signature, bytes, at: 0, ..header } })
    }
}

/// Values out of a message; `None` where they are not what they should be.
pub(super) struct Values<'a> {
    signature: &'a str,
    bytes: &'a [u8],
    at: usize,
    is_big_endian: bool,
}

impl<'a> Values<'a> {
    /// The values of a header, which are of always the same types.
    fn of_header(message: &'a [u8]) -> Option<Self> {
        let is_big_endian = match message.first()? {
            b'l' => false,
            b'B' => true,
            _ => return None,
        };
        Some(Self { signature: "", bytes: message, at: 0, is_big_endian })
    }

    /// Whether the values are of these types.
    pub(super) fn of(&self, signature: &str) -> Option<()> {
        (self.signature == signature).then_some(())
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn pad(&mut self, size: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(size) - self.at).map(drop)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.pad(4)?;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn length(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    /// An array of bytes.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// Text, or the path of an object.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let text = self.bytes()?;
        self.take(1)?;
        str::from_utf8(text).ok()
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?;
        let text = self.take(length.into())?;
        self.take(1)?;
        str::from_utf8(text).ok()
    }

    /// An array of texts or paths.
    pub(super) fn texts(&mut self) -> Option<Vec<&'a str>> {
        let end = self.length()?.checked_add(self.at)?;
        let mut texts = Vec::new();
        while self.at < end {
            texts.push(self.text()?);
        }
        (self.at == end).then_some(texts)
    }

    pub(super) fn skip_variant(&mut self) -> Option<()> {
        let signature = self.signature()?;
        self.skip(signature)
    }

    /// A value of any type that is likely here.
    fn skip(&mut self, signature: &str) -> Option<()> {
        match signature {
            "y" => self.byte().map(drop),
            "b" | "i" | "u" => self.number().map(drop),
            "s" | "o" => self.text().map(drop),
            "g" => self.signature().map(drop),
            "ay" => self.bytes().map(drop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::call::{Body, Call};
    use super::*;

    /// A call is as good a message as an answer.
    fn message() -> Vec<u8> {
        let call = Call { to: "org.example", path: "/org/example", interface: "org.example", member: "M" };
        call.bytes(7, &Body::new("sv").text("plain").variant("text"))
    }

    /// Asks for everything that is ever asked of an answer.
    fn read_all(bytes: &[u8]) -> Option<()> {
        let values = || Some(Answer::read(bytes)?.body);
        let _ = values()?.bytes();
        let _ = values()?.texts();
        let mut rest = values()?;
        while rest.skip_variant().is_some() || rest.text().is_some() {}
        Some(())
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = message();
        assert_eq!(size_of(&bytes[..HEAD]), Some(bytes.len()));
        let Answer { to, mut body } = Answer::read(&bytes).unwrap();
        assert_eq!((to, body.of("sv"), body.of("s")), (0, Some(()), None));
        assert_eq!((body.text(), body.skip_variant(), body.byte()), (Some("plain"), Some(()), None));
    }

    #[test]
    fn no_part_of_a_message_is_a_message() {
        let bytes = message();
        for length in 0..HEAD {
            assert_eq!(size_of(&bytes[..length]), None);
        }
        for length in 0..bytes.len() {
            read_all(&bytes[..length]);
        }
    }

    #[test]
    fn a_size_is_believed_up_to_a_limit() {
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
        fn noise_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            size_of(&bytes);
            read_all(&bytes);
        }

        #[test]
        fn a_damaged_message_is_read_without_harm(
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
