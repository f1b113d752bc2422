use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn sandbox(text: &str) -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let paths = Paths {
        home: at(""),
        config: at("config/config.toml"),
        state: at("state"),
        credentials: at("credentials"),
        identity: at("identity"),
        shims: at("shims"),
    };
    fs::create_dir(at("config")).unwrap();
    fs::write(&paths.config, text).unwrap();
    (dir, paths)
}

const COMMENTED: &str = "\
# mine
[subscriptions]
strategy = \"priority\" # best first

[subscriptions.routing] # who may use what
backend = [
    \"work\", # the fast one
    \"other\",
]
frontend = { use = [\"work\"], fallback = [\"other\"] }

# the account of the office
[subscriptions.pool.work]
priority = 10 # low
[subscriptions.pool.other]
";

#[test]
fn comments_and_layout_are_kept() {
    let (_dir, paths) = sandbox(COMMENTED);
    edit(&paths, |draft| draft.set(&name("work"), "priority", Some(20.into()))).unwrap();
    let text = fs::read_to_string(&paths.config).unwrap();
    assert_eq!(text, COMMENTED.replace("priority = 10 # low", "priority = 20 # low"));
}

#[test]
fn renaming_keeps_comments_and_updates_the_routes() {
    let (_dir, paths) = sandbox(COMMENTED);
    edit(&paths, |draft| draft.rename(&name("work"), &name("office"))).unwrap();
    let text = fs::read_to_string(&paths.config).unwrap();
    assert!(
        text.contains("# the account of the office\n[subscriptions.pool.office]\npriority = 10 # low"),
        "{text}"
    );
    assert!(!text.contains("work"), "{text}");
    let pool = Config::load(&paths).unwrap().pool;
    assert_eq!(pool.routes["backend"].primary[0], Selector::Name(name("office")));
    assert_eq!(pool.routes["frontend"].primary[0], Selector::Name(name("office")));
}

#[test]
fn removing_a_subscription_keeps_an_empty_route() {
    let (_dir, paths) = sandbox("[subscriptions.routing]\nns = [\"a\"]\n[subscriptions.pool.a]\n");
    edit(&paths, |draft| {
        draft.remove_from_routes(&name("a"));
        draft.remove(&name("a"));
        Ok(())
    })
    .unwrap();
    let pool = Config::load(&paths).unwrap().pool;
    assert!(pool.routes["ns"].primary.is_empty() && pool.subscriptions.is_empty());
}

#[test]
fn an_edit_that_makes_the_config_invalid_writes_nothing() {
    let (_dir, paths) = sandbox(COMMENTED);
    let remove = |draft: &mut Draft| {
        draft.remove(&name("work"));
        Ok(())
    };
    assert!(edit(&paths, remove).is_err());
    assert!(edit(&paths, |draft| draft.add(&name("other"))).is_err());
    assert_eq!(fs::read_to_string(&paths.config).unwrap(), COMMENTED);
}

#[test]
fn a_config_that_is_a_link_remains_a_link() {
    let (dir, mut paths) = sandbox(COMMENTED);
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink(&paths.config, &link).unwrap();
    paths.config = link.clone();
    edit(&paths, |draft| draft.set(&name("work"), "priority", Some(1.into()))).unwrap();
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&link).unwrap().contains("priority = 1 # low"));
}

#[test]
fn a_link_to_a_config_that_does_not_exist_yet_is_followed() {
    let (dir, mut paths) = sandbox("");
    fs::remove_file(&paths.config).unwrap();
    let link = dir.path().join("link.toml");
    std::os::unix::fs::symlink("config/config.toml", &link).unwrap();
    paths.config = link.clone();
    edit(&paths, |draft| draft.add(&name("a"))).unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&link).unwrap(), "[subscriptions.pool.a]\n");
}

#[test]
fn tables_missing_from_an_inline_table_are_added_inline() {
    for text in
        ["subscriptions = {}\n", "subscriptions = { pool = {} } # mine\n", "subscriptions.pool = {}\n"]
    {
        let (_dir, paths) = sandbox(text);
        edit(&paths, |draft| draft.add(&name("work"))).unwrap();
        edit(&paths, |draft| draft.set_route("ns", &Route::default())).unwrap();
        let pool = Config::load(&paths).unwrap().pool;
        assert!(pool.subscriptions.contains_key("work") && pool.routes.contains_key("ns"), "{text}");
        assert_eq!(fs::read_to_string(&paths.config).unwrap().contains("# mine"), text.contains("# mine"));
    }
}

#[test]
fn a_subscription_is_kept_when_its_last_field_is_removed() {
    for text in [
        "subscriptions.pool.work.env.X = \"1\"\n",
        "[subscriptions.pool.work.env]\nX = \"1\"\n",
        "[subscriptions]\npool = { work.env.X = \"1\" }\n",
    ] {
        let (_dir, paths) = sandbox(text);
        edit(&paths, |draft| draft.set_variable(&name("work"), "X", "")).unwrap();
        let pool = Config::load(&paths).unwrap().pool;
        assert!(pool.subscriptions["work"].env.is_empty(), "{text}");
    }
}

#[test]
fn removing_a_missing_variable_changes_nothing() {
    for text in [
        "# for later\n[subscriptions.pool.work.env]\n",
        "[subscriptions.pool.work]\nenv = { Y = \"1\" } # mine\n",
    ] {
        let (_dir, paths) = sandbox(text);
        edit(&paths, |draft| draft.set_variable(&name("work"), "X", "")).unwrap();
        assert_eq!(fs::read_to_string(&paths.config).unwrap(), text);
    }
}

#[test]
fn a_new_config_has_only_what_is_needed() {
    let (_dir, paths) = sandbox("");
    fs::remove_file(&paths.config).unwrap();
    let stored = Credential { source: Source::File, deliver: Delivery::Env };
    edit(&paths, |draft| {
        draft.add(&name("a.b"))?;
        draft.set_variable(&name("a.b"), "X", "1")?;
        draft.set_variable(&name("a.b"), "Y", "2")?;
        draft.set_variable(&name("a.b"), "X", "")?;
        draft.set(&name("a.b"), "credential", Some(credential(&stored)))?;
        draft.set_route("ns", &Route { primary: vec![Selector::Tag("t".into())], fallback: Vec::new() })
    })
    .unwrap();
    let expected = "[subscriptions.pool.\"a.b\"]\nenv = { Y = \"2\" }\ncredential = { from = \"file\" }\n\n\
                    [subscriptions.routing]\nns = [\"tag:t\"]\n";
    assert_eq!(fs::read_to_string(&paths.config).unwrap(), expected);
}
