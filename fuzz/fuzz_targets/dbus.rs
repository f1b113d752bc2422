#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kage_fuzz::dbus(data));
