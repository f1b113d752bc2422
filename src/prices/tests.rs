use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;
use crate::pool::LONG_PROMPTS;

const LONGEST: PromptLength = PromptLength(4);
const SHORT: PromptLength = PromptLength(0);

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn today() -> Date {
    day("2026-11-30")
}

/// Millions of tokens of each kind: input, output, cache read, 5-minute and 1-hour cache writes.
fn millions(counts: [u64; 5]) -> TokenCount {
    let [input, output, read, write_5m, write_1h] = counts.map(|count| count * 1_000_000);
    let priced = TokenCount {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: read,
        cache_write_5m_tokens: write_5m,
        cache_write_1h_tokens: write_1h,
        ..TokenCount::default()
    };
    TokenCount { reasoning_tokens: output, ..priced }
}

/// Returns millionths of a dollar, so that expected values stay readable.
fn micros(priced: Option<Priced>) -> Option<u128> {
    priced.map(|priced| priced.cost.0 / 1_000_000)
}

fn cost_of(prices: &Prices, model: &str, on: Date, prompt: PromptLength, counts: [u64; 5]) -> Option<u128> {
    micros(prices.of(model).cost(on, prompt, &millions(counts)))
}

fn own(text: &str) -> Prices {
    let own: BTreeMap<String, Period> = toml::from_str(text).unwrap();
    Prices::with_own(own.into_iter().map(|(name, period)| (name, vec![period])).collect())
}

#[test]
fn each_kind_of_token_has_its_own_price() {
    let prices = Prices::default();
    let cost = |model: &str, counts| cost_of(&prices, model, today(), SHORT, counts);
    for (model, expected) in [
        ("claude-opus-5-5", [4_000_000, 20_000_000, 200_000, 5_000_000, 8_000_000]),
        ("claude-opus-4-5", [5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000]),
        ("claude-opus-4-1", [15_000_000, 75_000_000, 1_500_000, 18_750_000, 30_000_000]),
        ("claude-sonnet-5-5", [2_000_000, 10_000_000, 100_000, 2_500_000, 4_000_000]),
        ("claude-3-7-sonnet", [3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000]),
        ("claude-haiku-4-5", [1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000]),
        ("claude-haiku-5-5", [100_000, 500_000, 10_000, 125_000, 200_000]),
        ("claude-fable-5-1", [10_000_000, 50_000_000, 250_000, 12_500_000, 20_000_000]),
    ] {
        let seen = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
            .map(|counts| cost(model, counts).unwrap());
        assert_eq!(seen, expected, "{model}");
        assert_eq!(cost(model, [1; 5]), Some(expected.iter().sum()), "{model}");
    }
    assert_eq!(cost("gpt-5.3-codex", [1, 1, 1, 0, 0]), Some(15_925_000));
}

#[test]
fn an_id_with_the_prefixes_and_suffixes_of_providers_is_recognized() {
    let prices = Prices::default();
    let is_priced = |model: &str| cost_of(&prices, model, today(), SHORT, [1, 0, 0, 0, 0]).is_some();
    for known in [
        "claude-opus-4-5",
        "claude-opus-4-5-20251101",
        "claude-opus-4-5@20251101",
        "claude-opus-5-5[1m]",
        "claude-opus-4-5-20251101[1m]",
        "claude-3-7-sonnet-latest",
        "anthropic.claude-opus-4-6-v1",
        "us.anthropic.claude-opus-4-5-20251101-v1:0",
        "global.anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic/claude-sonnet-4-5",
        "openai/gpt-6.1-sol",
        "gpt-5.2-2025-12-11",
        "models/gemini-3.8-flash",
        "gemini-3.1-pro-preview",
    ] {
        assert!(is_priced(known), "{known}");
    }
    for other in [
        "claude-opus-5-7",
        "claude-opus-5-5-fast",
        "claude-opus-4-50",
        "claude-opus-4-5-2025",
        "claude-opus-4-5-99991101",
        "gpt-5.3-codex-spark",
        "gpt-6.1-sol-v2",
        "gateway/claude-opus-5-5",
        "gemini-3.8-flash-lite",
    ] {
        assert!(is_priced(other) && prices.of(other).estimated_from().is_some(), "{other}");
    }
    for unknown in ["", "*", "us.claude-opus-5-5", "<synthetic>", "클로드-opus-5-5", "é20251101é", "gpt"]
    {
        assert!(!is_priced(unknown), "{unknown}");
    }
}

#[test]
fn a_model_without_a_price_has_that_of_the_nearest_version_of_its_family() {
    let prices = Prices::default();
    for (model, nearest) in [
        ("claude-opus-5-7", "claude-opus-5-5"),
        ("claude-opus-4-9", "claude-opus-4-8"),
        ("claude-opus-3", "claude-opus-4"),
        ("claude-opus", "claude-opus-5-5"),
        ("Claude-Sonnet-6-20270101[1m]", "claude-sonnet-5-5"),
        ("us.anthropic.claude-haiku-6-20270101-v1:0", "claude-haiku-5-5"),
        ("openrouter/anthropic/claude-opus-4.5", "claude-opus-4-5"),
        ("claude-mythos-5-2", "claude-mythos-5"),
        ("gpt-6.3-sol", "gpt-6.2-sol"),
        ("gpt-6.1-terra", "gpt-5.6-terra"),
        ("gpt-5.7", "gpt-5.5"),
        ("gpt-5.3-codex-spark", "gpt-5.3-codex"),
        ("gpt-6.2-sol-mini", "gpt-6.2-sol"),
        ("gemini-3.9-flash", "gemini-3.8-flash"),
        ("gemini-3.8-flash-lite", "gemini-3.5-flash-lite"),
        ("gemini-4-pro-preview", "gemini-3.1-pro-preview"),
    ] {
        assert_eq!(prices.of(model).estimated_from(), Some(nearest), "{model}");
        let priced = prices.of(model).cost(today(), SHORT, &millions([1, 0, 0, 0, 0]));
        let known = prices.of(nearest).cost(today(), SHORT, &millions([1, 0, 0, 0, 0])).unwrap();
        assert_eq!(priced, Some(Priced { is_estimate: true, ..known }), "{model}");
    }
    for unknown in ["claude-quartz-6", "gpt-7-nova", "claude-6", "mystery-1", "sol-6.2", "gemini-4-ultra"] {
        assert_eq!(prices.of(unknown), ModelPrices::default(), "{unknown}");
    }
}

#[test]
fn the_default_models_of_the_agents_have_prices() {
    let prices = Prices::default();
    let all = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-2", "gpt-6.2-sol"];
    let gemini = ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3-pro-preview"];
    for model in all.into_iter().chain(gemini).chain(["gemini-3-flash-preview", "gemini-3.1-pro-preview"]) {
        let priced = prices.of(model).cost(today(), SHORT, &millions([1, 1, 1, 0, 0]));
        assert!(priced.is_some_and(|priced| !priced.is_estimate), "{model}");
    }
}

#[test]
fn an_estimate_follows_the_users_own_prices() {
    let own = own("\"claude-opus-5-6\" = { input = 7, output = 7 }");
    assert_eq!(own.of("claude-opus-5-8").estimated_from(), Some("claude-opus-5-6"));
    assert_eq!(cost_of(&own, "claude-opus-5-8", today(), SHORT, [1, 0, 0, 0, 0]), Some(7_000_000));
}

#[test]
fn a_price_applies_from_its_first_day_to_its_last() {
    let prices = Prices::default();
    let input = |model: &str, on: &str| cost_of(&prices, model, day(on), SHORT, [1, 0, 0, 0, 0]);
    let read = |model: &str, on: &str| cost_of(&prices, model, day(on), SHORT, [0, 0, 1, 0, 0]);
    assert_eq!(read("claude-sonnet-5-5", "2026-10-06"), Some(200_000));
    assert_eq!(read("claude-sonnet-5-5", "2026-10-07"), Some(100_000));
    assert_eq!(input("claude-opus-5-5", "2026-09-21"), None, "the model was not released yet");
    assert_eq!(input("claude-opus-5-5", "2026-09-22"), Some(4_000_000));
    for flash in ["gemini-3.6-flash", "gemini-3.7-flash", "gemini-3.8-flash"] {
        assert_eq!(input(flash, "2026-12-31"), Some(750_000));
        assert_eq!(input(flash, "2027-01-01"), Some(1_500_000));
    }
}

#[test]
fn the_long_prompt_price_applies_only_above_its_bound() {
    let prices = Prices::default();
    let lengths = [0, 1, 2, 3, 4].map(PromptLength);
    let input = |model: &str| {
        lengths.map(|prompt| cost_of(&prices, model, today(), prompt, [1, 0, 0, 0, 0]).unwrap() / 10_000)
    };
    assert_eq!(input("claude-haiku-5-5"), [10, 50, 50, 50, 50]);
    assert_eq!(input("gemini-3.1-pro-preview"), [200, 200, 200, 400, 400]);
    assert_eq!(input("gpt-6.1-sol"), [200, 200, 200, 200, 400]);
    assert_eq!(input("claude-opus-5-5"), [400; 5]);
    let own = own("x = { input = 1, output = 2, long = { above = 128000, output = 4 } }");
    assert_eq!(cost_of(&own, "x", today(), LONGEST, [1, 1, 0, 0, 0]), Some(5_000_000));
}

#[test]
fn a_kind_without_a_price_is_estimated_and_never_free() {
    let prices = Prices::default();
    let cost = |counts| prices.of("gemini-3.5-flash-lite").cost(today(), SHORT, &millions(counts)).unwrap();
    let shown = |counts| (cost(counts).cost.0 / 1_000_000, cost(counts).is_estimate);
    assert_eq!(shown([1, 1, 0, 0, 0]), (2_800_000, false));
    assert_eq!(shown([1, 1, 1, 0, 0]), (3_100_000, true));
    assert_eq!(shown([0; 5]), (0, false));
    assert_eq!(prices.of("nobody-knows").cost(today(), SHORT, &millions([1, 0, 0, 0, 0])), None);
}

#[test]
fn the_users_own_prices_override_the_built_in_table() {
    let own = own("\"claude-opus-5-5\" = { input = 1, output = 2, from = 2026-10-01, until = 2026-11-30 }
         \"gpt-*\" = { input = 3, output = 3 }
         \"gpt-6*\" = { input = 6, output = 6 }
         \"gateway/best\" = { input = 9, output = 9 }");
    let input = |model: &str, on: &str| cost_of(&own, model, day(on), SHORT, [1, 0, 0, 0, 0]);
    assert_eq!(input("anthropic/claude-opus-5-5-20260922", "2026-11-30"), Some(1_000_000));
    assert_eq!(input("claude-opus-5-5", "2026-12-01"), None, "the built-in price does not fill the gap");
    assert_eq!(input("gpt-7", "2026-11-23"), Some(3_000_000));
    assert_eq!(input("openai/gpt-6.1-sol", "2026-11-23"), Some(6_000_000), "the longest name decides");
    assert_eq!(input("gateway/best", "2026-11-23"), Some(9_000_000));
    assert_eq!(input("claude-opus-5", "2026-11-23"), Some(5_000_000), "others keep their price");
    assert_eq!(own.version(), format!("{}+own", Prices::default().version()));
}

#[test]
fn every_row_has_a_source_and_no_model_has_two_prices_on_a_day() {
    let file = built_in::file();
    assert!(file.version.parse::<Date>().is_ok(), "{}", file.version);
    assert_eq!(Prices::default().version(), file.version);
    let mut periods: BTreeMap<&str, Vec<Period>> = BTreeMap::new();
    for row in &file.rows {
        assert!(row.source.starts_with("https://"), "{:?}", row.models);
        for model in &row.models {
            assert_eq!(names::of(model), [model.as_str()], "a name has no date and no provider prefix");
            periods.entry(model).or_default().push(row.price);
        }
    }
    for (model, periods) in periods {
        assert!(!overlap(&periods), "{model}");
    }
}

#[test]
fn an_invalid_price_is_refused() {
    let refusal = |entry: &str| match toml::from_str::<BTreeMap<String, Period>>(&format!("x = {{{entry}}}"))
    {
        Ok(_) => panic!("{entry} was accepted"),
        Err(why) => why.message().to_owned(),
    };
    assert!(refusal("input = -1, output = 1").contains("-1 is not a price"));
    assert!(refusal("input = nan, output = 1").contains("not a price"));
    assert!(refusal("input = inf, output = 1").contains("not a price"));
    assert_eq!(refusal("input = 1"), "missing field `output`");
    assert_eq!(refusal("cache_read = 1, output = 1"), "missing field `input`");
    assert_eq!(
        refusal("input = 1, output = 1, cach_read = 1"),
        "unknown field `cach_read`, expected one of `input`, `output`, `cache_read`, `cache_write_5m`, \
         `cache_write_1h`, `from`, `until`, `long`"
    );
    assert_eq!(
        refusal("input = 1, output = 1, long = { above = 200000, reasoning = 1 }"),
        "unknown field `reasoning`, expected one of `above`, `input`, `output`, `cache_read`, `cache_write_5m`, \
         `cache_write_1h`"
    );
    assert!(refusal("input = 1, output = 1, from = 2026-11-02, until = 2026-11-01").contains("before"));
    assert!(refusal("input = 1, output = 1, from = 2026-11-02T10:00:00Z").contains("not a date"));
    let bound = refusal("input = 1, output = 1, long = { above = 150000 }");
    assert!(LONG_PROMPTS.iter().all(|known| bound.contains(&known.to_string())), "{bound}");
}

proptest! {
    #[test]
    fn the_cost_of_a_sum_is_the_sum_of_the_costs(first in any::<[u32; 5]>(), second in any::<[u32; 5]>(), prompt in 0u8..5) {
        let prices = Prices::default();
        for model in ["claude-haiku-5-5", "claude-opus-5-5", "claude-3-5-haiku"] {
            let cost = |count: &TokenCount| prices.of(model).cost(today(), PromptLength(prompt), count).unwrap().cost.0;
            let count = |counts: [u32; 5]| TokenCount {
                input_tokens: counts[0].into(),
                output_tokens: counts[1].into(),
                cache_read_tokens: counts[2].into(),
                cache_write_5m_tokens: counts[3].into(),
                cache_write_1h_tokens: counts[4].into(),
                ..TokenCount::default()
            };
            let mut sum = count(first);
            sum += count(second);
            prop_assert_eq!(cost(&sum), cost(&count(first)) + cost(&count(second)));
        }
    }
}
