use std::fs::File;

use super::super::tests::FULL;
use super::super::{Config, Paths};
use super::*;

/// A temporary directory with a config and the paths of kage.
fn sandbox(text: &str) -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let paths = Paths {
        home: "/home/me".into(),
        config: at("config.toml"),
        state: dir.path().to_owned(),
        credentials: at("credentials"),
        identity: at("identity"),
        shims: at("shims"),
    };
    fs::write(&paths.config, text).unwrap();
    (dir, paths)
}

/// A cache that treats the config as written long ago. A test cannot set the change time of a file.
fn settled(paths: &Paths) -> Cache {
    Cache { is_settled: true, ..Cache::of(&paths.config, &paths.state).unwrap() }
}

fn shown(config: &Config) -> String {
    format!("{config:?}")
}

#[test]
fn a_cached_config_is_the_same_as_the_parsed_one() {
    for text in [
        "",
        FULL,
        "[agents.aider]\ncredential_env = \"KEY\"\nmarkers = [{ kind = \"throttled\", pattern = \"(?P<reset>.+)\" }]",
    ] {
        let (_dir, paths) = sandbox(text);
        settled(&paths).write(text);
        assert!(settled(&paths).document().is_some());
        let plain = Config::parse(text, &paths.config, &paths.home).unwrap();
        assert_eq!(shown(&Config::load(&paths).unwrap()), shown(&plain));
        settled(&paths).write("[subscriptions.pool.other]");
        let cached = Config::load(&paths).unwrap();
        assert!(cached.pool.subscriptions.contains_key("other"), "the cache was not read");
    }
}

#[test]
fn the_cache_of_a_replaced_config_is_ignored() {
    let (_dir, paths) = sandbox("[subscriptions.pool.one]");
    settled(&paths).write("[subscriptions.pool.one]");
    let other = paths.state.join("other");
    fs::write(&other, "[subscriptions.pool.two]").unwrap();
    // The new file has the same size and modification time.
    let times = fs::FileTimes::new().set_modified(fs::metadata(&paths.config).unwrap().modified().unwrap());
    File::options().write(true).open(&other).unwrap().set_times(times).unwrap();
    fs::rename(&other, &paths.config).unwrap();
    assert!(settled(&paths).document().is_none());
    assert!(Config::load(&paths).unwrap().pool.subscriptions.contains_key("two"));
}

#[test]
fn a_config_that_was_just_written_is_not_cached() {
    let (_dir, paths) = sandbox("[subscriptions.pool.one]");
    Config::load_and_cache(&paths).unwrap();
    assert!(!paths.state.join("config.cache").exists());
}

#[test]
fn an_invalid_config_is_not_cached_and_is_reported_as_usual() {
    let (_dir, paths) = sandbox("[subscriptions]\nstrategy = \"best\"");
    let plain = Config::load_and_cache(&paths).unwrap_err();
    // The error is the same if an invalid config is in the cache anyway.
    let cache = settled(&paths);
    let document = b"{\"subscriptions\":{\"strategy\":\"best\"}}";
    fs::write(&cache.path, [&cache.head[..], &sum(document)[..], &document[..]].concat()).unwrap();
    assert_eq!(Config::load(&paths).unwrap_err().to_string(), plain.to_string());
}

#[test]
fn a_damaged_cache_is_ignored() {
    let (_dir, paths) = sandbox("[subscriptions.pool.one]");
    let cache = settled(&paths);
    cache.write("[subscriptions.pool.one]");
    let cached = fs::read(&cache.path).unwrap();
    for length in 0..cached.len() {
        fs::write(&cache.path, &cached[..length]).unwrap();
        assert!(Config::load(&paths).unwrap().pool.subscriptions.contains_key("one"), "{length}");
    }
    for at in 0..cached.len() {
        let mut changed = cached.clone();
        changed[at] ^= 1;
        fs::write(&cache.path, changed).unwrap();
        assert!(settled(&paths).document().is_none(), "byte {at}");
    }
}
