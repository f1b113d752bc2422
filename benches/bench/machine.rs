//! The machine on which the figures were measured, without its name.

use std::fs;
use std::process::Command;
use std::thread;

use crate::figures::Machine;

pub(crate) fn this() -> Machine {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let memory = field("/proc/meminfo", "MemTotal");
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let processor = field("/proc/cpuinfo", "model name");
    let kernel = Command::new("uname").arg("-sr").output().map(|output| output.stdout).unwrap_or_default();
    Machine {
        cores: thread::available_parallelism().map_or(1, usize::from),
        processor: if processor.is_empty() { "unknown".to_owned() } else { processor },
        // Rounded to the installed size, because MemTotal excludes the memory that the kernel reserves.
        memory_gb: (kilobytes + (1 << 19)) >> 20,
        system: String::from_utf8_lossy(&kernel).trim().to_owned(),
        load: load().unwrap_or(0.0),
    }
}

/// Source: proc(5), `/proc/loadavg`.
fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
