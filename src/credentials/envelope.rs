//! The format of the credentials file: a JSON map of secrets, sealed with XChaCha20-Poly1305.
//!
//! kage uses an AEAD crate and this small envelope, not age: age is an established format, but needs 136
//! crates where this needs 25, and each crate is a risk here. The header describes how the key is derived. It
//! is authenticated together with the secrets.

use anyhow::{Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const NONCE: usize = 24;
/// The length of a key in bytes.
pub(super) const KEY: usize = 32;

/// How the key of a file is obtained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyForm {
    /// The key is in an identity file.
    Identity,
    /// The key is derived from a passphrase with Argon2id (RFC 9106). `memory` is in KiB; there is one lane.
    Argon2id { salt: String, memory: u32, passes: u32 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Envelope {
    version: u32,
    pub(super) key: KeyForm,
    nonce: String,
    sealed: String,
}

impl Envelope {
    pub(super) fn seal(plain: &[u8], form: KeyForm, key: &[u8; KEY]) -> Result<Self> {
        let nonce = random::<NONCE>()?;
        let payload = Payload { msg: plain, aad: &header(&form)? };
        let sealed = XChaCha20Poly1305::new(key.into()).encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| anyhow!("could not encrypt the credentials"))?;
        let (nonce, sealed) = (STANDARD.encode(nonce), STANDARD.encode(sealed));
        Ok(Self { version: VERSION, key: form, nonce, sealed })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let envelope: Self = serde_json::from_slice(bytes)?;
        if envelope.version != VERSION {
            bail!("it has version {}; this kage supports version {VERSION}", envelope.version);
        }
        Ok(envelope)
    }

    /// Returns the plain text, or `None` if the key is wrong or the file was changed.
    pub(super) fn open(&self, key: &[u8; KEY]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let nonce = STANDARD.decode(&self.nonce).map_err(|_| anyhow!("its nonce is damaged"))?;
        let sealed = STANDARD.decode(&self.sealed).map_err(|_| anyhow!("its contents are damaged"))?;
        if nonce.len() != NONCE {
            bail!("its nonce is damaged");
        }
        let payload = Payload { msg: &sealed, aad: &header(&self.key)? };
        let plain = XChaCha20Poly1305::new(key.into()).decrypt(XNonce::from_slice(&nonce), payload);
        Ok(plain.ok().map(Zeroizing::new))
    }
}

fn header(form: &KeyForm) -> Result<Vec<u8>> {
    Ok([b"kage credentials 1 ".as_slice(), &serde_json::to_vec(form)?].concat())
}

/// Returns random bytes from the operating system.
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|why| anyhow!("could not get random bytes from the system: {why}"))?;
    Ok(bytes)
}
