//! An unprivileged user, even if root runs the tests.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::support::{Call, Sandbox, copy_kage, has_all, kage};

const NOBODY: &str = "65534";

/// A sandbox that belongs to an unprivileged user, with kage on PATH.
pub(crate) struct UnprivilegedUser {
    pub(crate) sandbox: Sandbox,
    is_root: bool,
}

impl UnprivilegedUser {
    /// `None` if root runs the tests and `setpriv` is not installed.
    pub(crate) fn new(sandbox: Sandbox) -> Option<Self> {
        let is_root = rustix::process::geteuid().is_root();
        if is_root && !has_all(&["setpriv"]) {
            return None;
        }
        copy_kage(&sandbox.path("bin/kage"));
        let user = Self { sandbox, is_root };
        user.take_ownership();
        Some(user)
    }

    /// Gives the user all files of the sandbox.
    pub(crate) fn take_ownership(&self) {
        if self.is_root {
            let owner = format!("{NOBODY}:{NOBODY}");
            let words = ["-R".into(), owner.into(), self.sandbox.path("").into_os_string()];
            self.sandbox.call("chown".as_ref(), words).run().success();
        }
    }

    pub(crate) fn call<S: AsRef<OsStr>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Call {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        if !self.is_root {
            return self.sandbox.call(program.as_ref(), args);
        }
        let become_nobody =
            [&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", program];
        let words = become_nobody.into_iter().map(OsString::from).chain(args);
        self.sandbox.call("setpriv".as_ref(), words)
    }

    pub(crate) fn kage<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call {
        self.call(self.own_kage().to_str().unwrap(), args)
    }

    /// An unprivileged user may have no access to the build directory, so there is a copy in the sandbox.
    fn own_kage(&self) -> PathBuf {
        if self.is_root { self.sandbox.path("bin/kage") } else { kage() }
    }
}
