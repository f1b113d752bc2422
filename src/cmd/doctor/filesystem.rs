//! What a directory lies on. Locks between machines are not to be relied upon, and kage's books need them.

use std::path::Path;

/// The network file systems by their magic number. Source: statfs(2) and linux/magic.h.
#[cfg(any(target_os = "linux", test))]
const OF_THE_NETWORK: [(u32, &str); 12] = [
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

/// The name of the network file system that a path lies on, if it is one.
pub(super) fn network(path: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        // The number has 32 bits, in a field that is as wide as the machine's.
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
    OF_THE_NETWORK.iter().find(|(known, _)| *known == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_told_from_the_network() {
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
