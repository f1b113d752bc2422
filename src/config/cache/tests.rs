use std::fs::File;

use super::super::tests::FULL;
use super::super::{Config, Paths};
use super::*;

/// A config of some time ago, and the places around it.
fn scene(text: &str) -> (tempfile::TempDir, Paths) {
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

/// As if it had been written long ago: nobody can set the time of a change, so the cache is asked to believe it.
fn settled(paths: &Paths) -> Cache {
    Cache { is_settled: true, ..Cache::of(&paths.config, &paths.state).unwrap() }
}

fn shown(config: &Config) -> String {
    format!("{config:?}")
}

#[test]
fn what_is_kept_means_the_same() {
    for text in [
        "",
        FULL,
        "[agents.aider]\ncredential_env = \"KEY\"\nmarkers = [{ kind = \"throttled\", pattern = \"(?P<reset>.+)\" }]",
    ] {
        let (_dir, paths) = scene(text);
        settled(&paths).keep(text);
        assert!(settled(&paths).document().is_some());
        let plain = Config::parse(text, &paths.config, &paths.home).unwrap();
        assert_eq!(shown(&Config::load(&paths).unwrap()), shown(&plain));
        settled(&paths).keep("[subscriptions.pool.other]");
        let kept = Config::load(&paths).unwrap();
        assert!(kept.pool.subscriptions.contains_key("other"), "what is kept was not looked at");
    }
}

#[test]
fn another_file_in_its_place_is_another_config() {
    let (_dir, paths) = scene("[subscriptions.pool.one]");
    settled(&paths).keep("[subscriptions.pool.one]");
    let beside = paths.state.join("beside");
    fs::write(&beside, "[subscriptions.pool.two]").unwrap();
    // To the eye of who looks at size and time of change alone it is the same file.
    let times = fs::FileTimes::new().set_modified(fs::metadata(&paths.config).unwrap().modified().unwrap());
    File::options().write(true).open(&beside).unwrap().set_times(times).unwrap();
    fs::rename(&beside, &paths.config).unwrap();
    assert!(settled(&paths).document().is_none());
    assert!(Config::load(&paths).unwrap().pool.subscriptions.contains_key("two"));
}

#[test]
fn of_a_file_that_was_just_written_nothing_is_kept() {
    let (_dir, paths) = scene("[subscriptions.pool.one]");
    Config::load_and_keep(&paths).unwrap();
    assert!(!paths.state.join("config.cache").exists());
}

#[test]
fn what_is_refused_is_not_kept_and_told_as_ever() {
    let (_dir, paths) = scene("[subscriptions]\nstrategy = \"best\"");
    let plain = Config::load_and_keep(&paths).unwrap_err();
    // Also where somebody wrote it there.
    let cache = settled(&paths);
    let kept = b"{\"subscriptions\":{\"strategy\":\"best\"}}";
    fs::write(&cache.path, [&cache.head[..], &sum(kept)[..], &kept[..]].concat()).unwrap();
    assert_eq!(Config::load(&paths).unwrap_err().to_string(), plain.to_string());
}

#[test]
fn a_damaged_cache_is_no_cache() {
    let (_dir, paths) = scene("[subscriptions.pool.one]");
    let cache = settled(&paths);
    cache.keep("[subscriptions.pool.one]");
    let kept = fs::read(&cache.path).unwrap();
    for length in 0..kept.len() {
        fs::write(&cache.path, &kept[..length]).unwrap();
        assert!(Config::load(&paths).unwrap().pool.subscriptions.contains_key("one"), "{length}");
    }
    for at in 0..kept.len() {
        let mut changed = kept.clone();
        changed[at] ^= 1;
        fs::write(&cache.path, changed).unwrap();
        assert!(settled(&paths).document().is_none(), "byte {at}");
    }
}
