use jiff::Zoned;
use proptest::prelude::*;

use super::*;

fn count(tokens: u64) -> TokenCount {
    let mut parts = TokenCount::default().counts();
    for (part, of) in parts.iter_mut().zip(1..) {
        *part = tokens / of;
    }
    parts.into()
}

fn began() -> Zoned {
    "2026-11-22T10:20:00[Asia/Kolkata]".parse().unwrap()
}

fn lease(name: &str, cwd: &str) -> Lease {
    Lease { since: began().timestamp(), namespace: name.parse().ok(), cwd: cwd.to_owned(), ..Lease::on(name) }
}

fn line(lease: &Lease, usage: &Usage) -> Vec<u8> {
    let session = Some("5f1f2c3e-0000-4000-8000-000000000000");
    let (verdict, exit, duration_ms) = ("succeeded", Some(0), 12);
    Attempt { lease, number: 1, session, verdict, exit, duration_ms, usage }.line().unwrap()
}

/// Returns the tokens in a line.
fn read_back(line: &[u8]) -> Vec<(Timestamp, String, PromptLength, TokenCount)> {
    let line = Line::parse(line).unwrap();
    line.parts().iter().map(|part| (part.at, part.model.to_owned(), part.prompt, part.count)).collect()
}

#[test]
fn tokens_of_the_first_hour_are_written_by_model_only() {
    let mut usage = Usage::default();
    usage.answered(&began(), "opus", count(100));
    usage.answered(&began(), "haiku", count(7));
    let line = line(&lease("a", "/work"), &usage);
    assert!(!String::from_utf8(line.clone()).unwrap().contains("slices"));
    let at = began().timestamp();
    let plain = PromptLength::default();
    let expected = [(at, "haiku".to_owned(), plain, count(7)), (at, "opus".to_owned(), plain, count(100))];
    assert_eq!(read_back(&line), expected);
}

#[test]
fn tokens_of_other_hours_and_long_prompts_are_written_as_slices() {
    let mut usage = Usage::default();
    let later = &began() + SignedDuration::from_hours(30);
    usage.answered(&began(), "opus", count(100));
    usage.answered(&later, "opus", count(150_000));
    usage.answered(&later, "haiku", count(7));
    let line = line(&lease("a", "/work"), &usage);
    let slices = usage.slices.iter();
    let expected: Vec<_> =
        slices.map(|(slice, &count)| (slice.hour, slice.model.clone(), slice.prompt, count)).collect();
    assert_eq!(read_back(&line), expected);
    let models = serde_json::from_slice::<serde_json::Value>(&line).unwrap()["models"].clone();
    assert_eq!(models["opus"]["input_tokens"], 150_100);
}

#[test]
fn invalid_values_in_a_line_are_ignored() {
    let line = br#"{"time":"2026-11-22T10:20:00Z","subscription":"a","duration_ms":18446744073709551615,
        "models":{"":{"input_tokens":5}},"slices":[[1,7,0,1,1,1,1,1,1]]}"#;
    let line = Line::parse(line).unwrap();
    assert_eq!((line.milliseconds(), line.parts().len()), (0, 0), "a slice without a model");
    let line = br#"{"time":"2026-11-22T10:20:00Z","subscription":"a","models":{"":{"input_tokens":5}}}"#;
    assert_eq!(read_back(line)[0].1, UNKNOWN_MODEL);
}

#[test]
fn a_slice_is_an_array_of_numbers() {
    let mut usage = Usage::default();
    let count = TokenCount {
        input_tokens: 1,
        output_tokens: 2,
        cache_read_tokens: 200_003,
        cache_write_5m_tokens: 4,
        cache_write_1h_tokens: 5,
        ..TokenCount::default()
    };
    usage.answered(&began(), "opus", TokenCount { reasoning_tokens: 6, ..count });
    let line = String::from_utf8(line(&lease("a", "/work"), &usage)).unwrap();
    assert!(line.contains(r#""slices":[[1994802,0,3,1,2,200003,4,5,6"#), "{line}");
}

#[test]
fn a_slice_with_fewer_or_more_kinds_of_tokens_is_read() {
    let read = |slice: &str| {
        let line = format!(
            r#"{{"time":"2026-11-22T10:20:00Z","subscription":"a","models":{{"m":{{}}}},"slices":[{slice},[0,0,0,7]]}}"#
        );
        Line::parse(line.as_bytes())
            .map(|line| line.parts().iter().map(|part| part.count).collect::<Vec<_>>())
    };
    let next = TokenCount { input_tokens: 7, ..TokenCount::default() };
    assert_eq!(read("[0,0,0]"), Some(vec![TokenCount::default(), next]));
    let known = TokenCount { output_tokens: 2, ..TokenCount { input_tokens: 1, ..TokenCount::default() } };
    assert_eq!(read("[0,0,0,1,2]"), Some(vec![known, next]));
    let all = TokenCount::from(TokenCount::default().counts().map(|_| 1));
    let counts = all.counts().map(|count| count.to_string()).join(",");
    assert_eq!(read(&format!("[0,0,0,{counts}]")), Some(vec![all, next]));
    assert_eq!(read(&format!("[0,0,0,{counts},9,9]")), Some(vec![all, next]));
    for damaged in ["[]", "[0,0]", "[0,0,0,-1]", "[0,0,0,null]", "7"] {
        assert_eq!(read(damaged), None, "{damaged}");
    }
}

#[test]
fn a_line_in_an_earlier_format_is_read() {
    let line = br#"{"time":"2026-11-22T10:20:00Z","run":"r","attempt":1,"subscription":"a","agent":"claude",
        "level":"normal","cwd":"/","verdict":"succeeded","exit":0,"duration_ms":1,
        "models":{"m":{"input_tokens":5,"output_tokens":1,"cache_read_tokens":0,"cache_write_5m_tokens":0,
        "cache_write_1h_tokens":0}}}"#;
    assert_eq!(
        read_back(line)[0].3,
        TokenCount { input_tokens: 5, output_tokens: 1, ..TokenCount::default() }
    );
}

proptest! {
    /// For any length of session, number of models and directory name, the line fits and contains all tokens.
    #[test]
    fn a_line_is_shorter_than_a_page_and_loses_no_token(
        answers in prop::collection::vec((0i64..4000, 0usize..90, 0u64..400_000), 0..300),
        cwd in "[a-z\"\\\\\u{1}é]{0,5000}",
    ) {
        let mut usage = Usage::default();
        for (hour, model, tokens) in answers {
            let at = &began() + SignedDuration::from_hours(hour);
            usage.answered(&at, &format!("model-of-some-provider-{model}"), count(tokens));
        }
        let line = line(&lease(&"é".repeat(64), &cwd), &usage);
        prop_assert!(line.len() + 1 < LONGEST, "{}", line.len());
        prop_assert!(!line.contains(&b'\n'));
        let total = read_back(&line).into_iter().map(|(.., count)| count).sum::<TokenCount>();
        prop_assert_eq!(total, usage.total());
        let models = Line::parse(&line).unwrap().models.into_values().sum::<TokenCount>();
        prop_assert_eq!(models, usage.total());
    }
}
