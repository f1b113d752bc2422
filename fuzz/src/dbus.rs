//! A reply of the Secret Service.

use kage::credentials::secret_length;

/// The input: one D-Bus message.
pub(crate) fn check(data: &[u8]) {
    if let Some(length) = secret_length(data) {
        assert!(length < data.len(), "a secret of {length} bytes in {}", data.len());
    }
}
