//! Calls of D-Bus methods as bytes. Source: D-Bus Specification, "Type System" and "Message Protocol".

const METHOD_CALL: u8 = 1;
const VERSION: u8 = 1;
/// A service that does not run is left to the long way to start.
const NO_AUTO_START: u8 = 2;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Values one after the other, each at a multiple of its own size.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn pad(&mut self, size: usize) {
        self.0.resize(self.0.len().next_multiple_of(size), 0);
    }

    fn number(&mut self, number: usize) {
        self.pad(4);
        let number = u32::try_from(number).expect("kage writes no message of gigabytes");
        self.0.extend(number.to_le_bytes());
    }

    /// Text, or the path of an object.
    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(u8::try_from(signature.len()).expect("kage's signatures are short"));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    /// An array of what `elements` writes, each element at a multiple of eight.
    fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let length = self.0.len() - 4;
        self.pad(8);
        let begun = self.0.len();
        elements(self);
        let written = u32::try_from(self.0.len() - begun).expect("kage writes no message of gigabytes");
        self.0[length..length + 4].copy_from_slice(&written.to_le_bytes());
    }
}

/// What a call says.
pub(super) struct Body {
    signature: &'static str,
    values: Writer,
}

impl Body {
    pub(super) fn new(signature: &'static str) -> Self {
        Self { signature, values: Writer::default() }
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.values.text(text);
        self
    }

    pub(super) fn variant(mut self, text: &str) -> Self {
        self.values.signature("s");
        self.text(text)
    }

    pub(super) fn pairs(mut self, pairs: &[(&str, &str)]) -> Self {
        self.values.array(|values| {
            for (key, value) in pairs {
                values.pad(8);
                values.text(key);
                values.text(value);
            }
        });
        self
    }
}

/// A call of a method.
pub(super) struct Call<'a> {
    pub(super) to: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
}

impl Call<'_> {
    pub(super) fn bytes(&self, serial: u32, body: &Body) -> Vec<u8> {
        let Body { signature, values } = body;
        let mut message = Writer(Vec::with_capacity(256));
        message.0.extend([b'l', METHOD_CALL, NO_AUTO_START, VERSION]);
        message.number(values.0.len());
        message.0.extend(serial.to_le_bytes());
        message.array(|fields| {
            for (code, kind, value) in [
                (PATH, "o", self.path),
                (INTERFACE, "s", self.interface),
                (MEMBER, "s", self.member),
                (DESTINATION, "s", self.to),
            ] {
                fields.pad(8);
                fields.0.push(code);
                fields.signature(kind);
                fields.text(value);
            }
            if !signature.is_empty() {
                fields.pad(8);
                fields.0.push(SIGNATURE);
                fields.signature("g");
                fields.signature(signature);
            }
        });
        message.pad(8);
        message.0.extend(&values.0);
        message.0
    }
}
