//! A socket that poses as a message bus and answers as the test defines.

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

/// How one connection is answered. Connections after the last scripted one are closed.
pub enum Script {
    /// These bytes, in pieces of at most this length, then the end.
    Say(Vec<u8>, usize),
    /// These bytes after a pause, then the end.
    Late(Duration, Vec<u8>),
    /// The first bytes once, and then the others in an endless loop.
    Forever(Vec<u8>, Vec<u8>),
    /// Nothing at all.
    Hang,
}

/// A bus that counts its connections.
pub struct FalseBus {
    pub address: String,
    connections: Arc<AtomicUsize>,
}

impl FalseBus {
    pub fn at(path: &Path, scripts: Vec<Script>) -> Self {
        let _ = fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        Self::new(listener, format!("unix:path={}", path.display()), scripts)
    }

    /// A bus of the user `nobody`, which only root can create. Its socket has no file, because that user may
    /// not write to the directory of a test.
    pub fn of_nobody(name: &Path, scripts: Vec<Script>) -> Self {
        let address = SocketAddr::from_abstract_name(name.as_os_str().as_bytes()).unwrap();
        // On Linux the user id belongs to a thread. Peers see the user id of the thread that listens.
        let listen = move || {
            let nobody = Uid::from_raw(65534);
            set_thread_res_uid(nobody, nobody, nobody).unwrap();
            UnixListener::bind_addr(&address).unwrap()
        };
        let listener = thread::spawn(listen).join().unwrap();
        Self::new(listener, format!("unix:abstract={}", name.display()), scripts)
    }

    fn new(listener: UnixListener, address: String, scripts: Vec<Script>) -> Self {
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        thread::spawn(move || {
            let mut scripts = scripts.into_iter();
            for peer in listener.incoming().map_while(Result::ok) {
                counted.fetch_add(1, Ordering::SeqCst);
                let script = scripts.next().unwrap_or(Script::Say(Vec::new(), 1));
                thread::spawn(move || script.run(peer));
            }
        });
        Self { address, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Script {
    /// Answers one connection. The peer may close it before the end.
    fn run(self, mut peer: UnixStream) {
        let ends = !matches!(self, Self::Hang);
        match self {
            Self::Say(bytes, piece) => {
                for piece in bytes.chunks(piece) {
                    let _ = peer.write_all(piece);
                }
            }
            Self::Late(pause, bytes) => {
                thread::sleep(pause);
                let _ = peer.write_all(&bytes);
            }
            Self::Forever(bytes, others) => {
                let _ = peer.write_all(&bytes);
                while peer.write_all(&others).is_ok() {}
            }
            Self::Hang => {}
        }
        if ends {
            let _ = peer.shutdown(Shutdown::Write);
        }
        // Keeps the connection open while the peer still sends.
        let is_end = |read: std::io::Result<usize>| read.map_or(true, |count| count == 0);
        while !is_end(peer.read(&mut [0; 4096])) {}
    }
}

/// A builder of D-Bus messages.
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
