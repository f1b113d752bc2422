//! The file system of a directory. kage needs reliable locks, and locks between machines are not reliable.

use std::path::Path;

/// The magic numbers of network file systems. Source: statfs(2) and linux/magic.h.
#[cfg(any(target_os = "linux", test))]
const NETWORK: [(u32, &str); 12] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
];

/// The name of the network file system that contains a path; `None` on a local file system.
pub(super) fn network(path: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        // The number has 32 bits; the field has the width of a machine word.
        let known = rustix::fs::statfs(path).ok()?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        name_of(known.f_type as u32)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        None
    }
}

#[cfg(any(target_os = "linux", test))]
fn name_of(magic: u32) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_and_network_file_systems_are_distinguished() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        assert_eq!(name_of(0xff53_4d42), Some("CIFS"));
        for (local, what) in [
            (0xef53, "ext4"),
            (0x9123_683e, "btrfs"),
            (0x5846_5342, "xfs"),
            (0x0102_1994, "tmpfs"),
            (0x794c_7630, "overlay"),
        ] {
            assert_eq!(name_of(local), None, "{what}");
        }
        assert_eq!(network(Path::new("/proc")), None);
    }
}
