//! The page in a real browser: it loads nothing, fits a phone, and shows every name as text.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{NOVEMBER, november};
use crate::netns;
use crate::support::{Sandbox, has_all};

const BROWSER: &str = "chromium";
const DARK: &str = "--blink-settings=preferredColorScheme=0";
const LIGHT: &str = "--blink-settings=preferredColorScheme=1";

/// Shows the page in a frame of a given width, because a window cannot be as narrow as a phone. A script
/// writes what it sees there into the element `seen`.
const FRAME: &str = r#"<!DOCTYPE html><iframe style="border:0" width="WIDTH" height="900" src="usage.html"></iframe>
<pre id="seen"></pre><script>onload = () => {
  const frame = document.querySelector("iframe"), page = frame.contentDocument;
  const style = frame.contentWindow.getComputedStyle(page.body);
  const cut = [...page.querySelectorAll("body *")].filter(one =>
    one.getBoundingClientRect().right > frame.contentWindow.innerWidth + 0.5).length;
  document.getElementById("seen").textContent = JSON.stringify({
    width: page.documentElement.scrollWidth, cut, ground: style.backgroundColor,
    scripts: page.scripts.length, charts: page.querySelectorAll("svg[role=img][aria-label]").length,
    alert: page.body.innerText.includes("<script>alert(1)<" + "/script>") });
}</script>"#;

fn page() -> Sandbox {
    let sandbox = november();
    let long = "x".repeat(64);
    sandbox.config(&format!(
        "[subscriptions.pool.work]\ndescription = \"<script>alert(1)</script>\"\n\
         [subscriptions.pool.personal]\ndescription = \"<img src=http://elsewhere.test/x>\"\n\
         [subscriptions.pool.{long}]\n"
    ));
    let state = r#"{"version":1,"state":{"subscriptions":{"work":{"utilization":{"five_hour":
        {"value":0.42,"resets_at":"2126-11-23T12:00:00Z","read_at":"2026-11-23T10:00:00Z"}}}}}}"#;
    sandbox.write("home/.local/state/kage/state.json", state);
    let words = ["usage", "--by", "project,subscription,day", "--html", "usage.html"];
    sandbox.kage(words.into_iter().chain(NOVEMBER)).run().success();
    sandbox
}

/// Loads a file. Returns the DOM and the browser's log. The network requests are in `net.json`.
fn dom(sandbox: &Sandbox, file: &str, flags: &[&str]) -> (String, String) {
    let profile = sandbox.path("profile");
    let _ = fs::remove_dir_all(&profile);
    let own = |flag: &str, path: &Path| format!("--{flag}={}", path.display());
    let mut browser = Command::new(BROWSER);
    browser.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", sandbox.path("home"));
    browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]);
    browser.args(["--enable-logging=stderr", "--v=0", "--dump-dom", "--window-size=1280,900"]);
    browser.arg(own("user-data-dir", &profile)).arg(own("log-net-log", &sandbox.path("net.json")));
    browser.args(flags).arg(format!("file://{}", sandbox.path("work").join(file).display()));
    let ran = browser.output().unwrap();
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{log}");
    (String::from_utf8_lossy(&ran.stdout).into_owned(), log)
}

/// The addresses that the page requested. The browser's own requests have no origin.
fn requests_of_the_page(sandbox: &Sandbox) -> Vec<String> {
    let log: Value = serde_json::from_str(&sandbox.read("net.json")).unwrap();
    let requests = log["events"].as_array().unwrap().iter().map(|event| &event["params"]);
    let by_page = requests.filter(|one| one["initiator"].as_str().is_some_and(|by| by != "not an origin"));
    by_page.map(|one| one["url"].as_str().unwrap_or_default().to_owned()).collect()
}

fn can_browse() -> bool {
    has_all(&[BROWSER])
}

#[test]
fn the_page_requests_nothing_and_has_no_errors() {
    if !can_browse() || !netns::is_inside(the_page_requests_nothing_and_has_no_errors) {
        return;
    }
    let sandbox = page();
    let (dom, log) = dom(&sandbox, "usage.html", &[]);
    assert!(dom.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !dom.contains("<script"), "{dom}");
    assert!(dom.contains("&lt;img src=http://elsewhere.test/x&gt;") && !dom.contains("<img"), "{dom}");
    let messages: Vec<_> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(messages.is_empty(), "{messages:?}");
    assert_eq!(requests_of_the_page(&sandbox), Vec::<String>::new());

    // The same checks find the request and the message of another page.
    sandbox.write("work/asks.html", "<img src=http://elsewhere.test/x><script>console.log(1)</script>");
    let (_, log) = self::dom(&sandbox, "asks.html", &[]);
    assert_eq!(requests_of_the_page(&sandbox), ["http://elsewhere.test/x"]);
    assert!(log.contains("CONSOLE"), "{log}");
}

#[test]
fn the_page_fits_a_phone_and_a_desktop_in_light_and_dark() {
    if !can_browse() || !netns::is_inside(the_page_fits_a_phone_and_a_desktop_in_light_and_dark) {
        return;
    }
    let sandbox = page();
    for width in [360, 1280] {
        sandbox.write("work/frame.html", &FRAME.replace("WIDTH", &width.to_string()));
        let grounds = [LIGHT, DARK].map(|scheme| {
            let (dom, log) = dom(&sandbox, "frame.html", &["--allow-file-access-from-files", scheme]);
            let seen = dom.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next());
            let seen = seen.unwrap_or_default().replace("&lt;", "<").replace("&gt;", ">");
            let seen: Value = serde_json::from_str(&seen).unwrap_or_else(|_| panic!("{dom}\n{log}"));
            assert!(seen["width"].as_u64().unwrap() <= width, "{seen} is wider than {width}");
            assert_eq!((&seen["cut"], &seen["scripts"]), (&0.into(), &0.into()), "{seen}");
            assert_eq!(seen["alert"], true, "{seen}");
            assert!(seen["charts"].as_u64().unwrap() >= 4, "{seen}");
            seen["ground"].as_str().unwrap().to_owned()
        });
        assert_eq!(grounds, ["rgb(246, 246, 243)", "rgb(16, 16, 19)"]);
    }
}
