//! A socket that is taken for a message bus and answers as a test likes.

// Each suite uses its part.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

/// What one visitor meets. Visitors beyond the last play are turned away.
pub enum Play {
    /// These bytes, in pieces of at most so many, then the end.
    Say(Vec<u8>, usize),
    /// These bytes after a while, then the end.
    Late(Duration, Vec<u8>),
    /// These bytes, and then the others again and again.
    Forever(Vec<u8>, Vec<u8>),
    /// Nothing at all.
    Hang,
}

/// It listens until it is dropped.
pub struct FalseBus {
    pub address: String,
    visits: Arc<AtomicUsize>,
}

impl FalseBus {
    pub fn at(path: &Path, plays: Vec<Play>) -> Self {
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        Self::new(listener, format!("unix:path={}", path.display()), plays)
    }

    /// A bus that belongs to nobody, which root alone can make. Its socket has no file, since nobody may write
    /// where a test does.
    pub fn of_nobody(name: &Path, plays: Vec<Play>) -> Self {
        let address = SocketAddr::from_abstract_name(name.as_os_str().as_bytes()).unwrap();
        // On Linux a user belongs to a thread; whoever listens is whom visitors are told of.
        let listen = move || {
            let nobody = Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            UnixListener::bind_addr(&address).unwrap()
        };
        let listener = thread::spawn(listen).join().unwrap();
        Self::new(listener, format!("unix:abstract={}", name.display()), plays)
    }

    fn new(listener: UnixListener, address: String, plays: Vec<Play>) -> Self {
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        thread::spawn(move || {
            let mut plays = plays.into_iter();
            for visitor in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let play = plays.next().unwrap_or(Play::Say(Vec::new(), 1));
                thread::spawn(move || play.out(visitor));
            }
        });
        Self { address, visits }
    }

    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

impl Play {
    /// The visitor may leave before the end.
    fn out(self, mut visitor: UnixStream) {
        let ends = !matches!(self, Self::Hang);
        match self {
            Self::Say(bytes, piece) => {
                for piece in bytes.chunks(piece) {
                    let _ = visitor.write_all(piece);
                }
            }
            Self::Late(pause, bytes) => {
                thread::sleep(pause);
                let _ = visitor.write_all(&bytes);
            }
            Self::Forever(bytes, others) => {
                let _ = visitor.write_all(&bytes);
                while visitor.write_all(&others).is_ok() {}
            }
            Self::Hang => {}
        }
        if ends {
            let _ = visitor.shutdown(Shutdown::Write);
        }
        // A visitor who is still asking finds nothing closed.
        let is_end = |read: std::io::Result<usize>| read.map_or(true, |count| count == 0);
        while !is_end(visitor.read(&mut [0; 4096])) {}
    }
}

/// A message in the making.
#[derive(Clone)]
pub struct Message {
    kind: u8,
    answers: u32,
    signature: &'static str,
    is_big_endian: bool,
    body: Vec<Value>,
}

#[derive(Clone)]
enum Value {
    Number(usize),
    Raw(Vec<u8>),
}

impl Message {
    fn new(kind: u8, answers: u32, signature: &'static str) -> Self {
        Self { kind, answers, signature, is_big_endian: false, body: Vec::new() }
    }

    pub fn answer(answers: u32, signature: &'static str) -> Self {
        Self::new(2, answers, signature)
    }

    pub fn error(answers: u32) -> Self {
        Self::new(3, answers, "")
    }

    pub fn signal() -> Self {
        Self::new(4, 0, "s").text("signal")
    }

    pub fn big_endian(self) -> Self {
        Self { is_big_endian: true, ..self }
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.body.push(Value::Raw(bytes.to_vec()));
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.body.push(Value::Number(bytes.len()));
        self.raw(bytes)
    }

    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).raw(b"\0")
    }

    pub fn variant(self, text: &str) -> Self {
        self.raw(b"\x01s\0").text(text)
    }

    pub fn texts(mut self, texts: &[&str]) -> Self {
        let inside = texts.iter().fold(Self::new(0, 0, ""), |all, text| all.text(text)).body_bytes();
        self.body.push(Value::Number(inside.len()));
        texts.iter().fold(self, |all, text| all.text(text))
    }

    fn number(&self, bytes: &mut Vec<u8>, number: usize) {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let number = u32::try_from(number).unwrap();
        bytes.extend(if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn body_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in &self.body {
            match value {
                Value::Number(number) => self.number(&mut bytes, *number),
                Value::Raw(raw) => bytes.extend(raw),
            }
        }
        bytes
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let body = self.body_bytes();
        let mut fields = vec![7, 1, b's', 0];
        self.number(&mut fields, 4);
        fields.extend(b":1.1\0");
        let begin = |fields: &mut Vec<u8>, code: u8, kind: u8| {
            fields.resize(fields.len().next_multiple_of(8), 0);
            fields.extend([code, 1, kind, 0]);
        };
        if self.answers > 0 {
            begin(&mut fields, 5, b'u');
            self.number(&mut fields, self.answers as usize);
        }
        begin(&mut fields, 8, b'g');
        fields.push(u8::try_from(self.signature.len()).unwrap());
        fields.extend(self.signature.as_bytes());
        fields.push(0);
        let mut bytes = vec![if self.is_big_endian { b'B' } else { b'l' }, self.kind, 0, 1];
        self.number(&mut bytes, body.len());
        self.number(&mut bytes, 99);
        self.number(&mut bytes, fields.len());
        bytes.extend(&fields);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(body);
        bytes
    }
}
