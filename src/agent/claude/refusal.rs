//! Interprets an error of Claude Code. Its transcript, JSON lines and JSON result describe an error with the
//! same fields.

use std::sync::LazyLock;

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::agent::{Kind, Marker, ProviderError, markers};
use crate::pool::{Reading, Scope};

/// Compiled on first use: most attempts have no error.
pub(super) static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| markers::built_in(include_str!("../claude.toml")));

/// The longest text of an error that is kept, in characters.
const LONGEST_TEXT: usize = 200;

const FAMILIES: [&str; 4] = ["opus", "sonnet", "haiku", "fable"];

/// Returns the family in a model's name or alias.
pub(super) fn family(model: &str) -> Option<String> {
    let model = model.to_ascii_lowercase();
    FAMILIES.into_iter().find(|family| model.contains(family)).map(str::to_owned)
}

/// The provider's report on the subscription's limits.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RateLimitInfo {
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    rate_limit_type: Option<String>,
    resets_at: Value,
    #[serde(deserialize_with = "lenient")]
    is_using_overage: bool,
    #[serde(deserialize_with = "lenient")]
    unified_windows: BTreeMap<String, WindowInfo>,
}

/// Treats a field of an unexpected type as missing, so that one bad field does not hide the record.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    field: D,
) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(field)?).unwrap_or_default())
}

#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
struct WindowInfo {
    #[serde(deserialize_with = "lenient")]
    utilization: Option<f64>,
    resets_at: Value,
}

impl RateLimitInfo {
    /// Whether the subscription is over a limit of its plan. A refusal without a window is not a limit: the
    /// agent reports one for any 429. Paid overage is not a limit either.
    pub(super) fn is_limit(&self) -> bool {
        self.status == "rejected" && self.has_window()
    }

    /// Whether a request was refused at all.
    pub(super) fn refuses(&self) -> bool {
        self.status == "rejected" && !self.is_using_overage
    }

    /// Whether requests are answered, even near a limit.
    pub(super) fn allows(&self) -> bool {
        self.status.starts_with("allowed")
    }

    fn has_window(&self) -> bool {
        self.rate_limit_type.is_some() && !self.is_using_overage
    }

    /// Returns the utilization of each window.
    pub(super) fn readings(&self) -> BTreeMap<String, Reading> {
        let known = self.unified_windows.iter().filter_map(|(window, info)| {
            let reading = Reading { value: info.utilization?, resets_at: instant(&info.resets_at) };
            Some((window.clone(), reading))
        });
        known.collect()
    }
}

/// The fields that describe an error.
#[derive(Default)]
pub(super) struct ErrorFields<'a> {
    /// The agent's class of the error: `rate_limit`, `authentication_failed`.
    pub class: Option<&'a str>,
    /// The agent's more specific code: `usage_limit_reached`, `connection_failed`.
    pub code: Option<&'a str>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The line that the user sees.
    pub text: &'a str,
}

/// Interprets an error. `at` is its time, in the user's time zone; `rule` names the source of the fields.
pub(super) fn refusal(
    fields: &ErrorFields<'_>,
    info: Option<&RateLimitInfo>,
    at: &Zoned,
    rule: &'static str,
) -> ProviderError {
    let text: String = fields.text.chars().take(LONGEST_TEXT).collect();
    let first_line = fields.text.trim_start().lines().next().unwrap_or_default();
    let rendered = markers::read(first_line, &[&MARKERS], at);
    let kind = kind(fields, info, rendered.as_ref().map(|error| error.kind));
    let bare = ProviderError::new(kind, "", "");
    let rendered = rendered.filter(|error| error.kind == kind).unwrap_or(bare);
    let known = ProviderError { text, rule: rule.into(), ..rendered };
    match info.filter(|info| kind == Kind::UsageLimit && info.rate_limit_type.is_some()) {
        Some(info) => limit(info, at.timestamp(), known),
        None => known,
    }
}

/// Returns the limit with the provider's window and reset time. The text only fills gaps.
fn limit(info: &RateLimitInfo, at: Timestamp, known: ProviderError) -> ProviderError {
    let name = info.rate_limit_type.clone().unwrap_or_default();
    let scope = family(&name).map_or(Scope::All, Scope::Model);
    let resets_at = instant(&info.resets_at).or(known.resets_at);
    let window = Some(markers::window(name, resets_at, at));
    ProviderError { scope, window, resets_at, ..known }
}

/// Returns the kind of an error. The agent's class and code decide first. If they do not, `rendered` decides:
/// the kind of the marker that matches the text.
fn kind(fields: &ErrorFields<'_>, info: Option<&RateLimitInfo>, rendered: Option<Kind>) -> Kind {
    let fallback = || match fields.code {
        Some("connection_failed") => Kind::Network,
        _ => rendered.or_else(|| status_kind(fields.status)).unwrap_or(Kind::None),
    };
    if fields.code == Some("usage_limit_reached") {
        return Kind::UsageLimit;
    }
    match fields.class.unwrap_or_default() {
        "rate_limit" if info.is_some_and(RateLimitInfo::has_window) => Kind::UsageLimit,
        "rate_limit" if info.is_some_and(|info| info.is_using_overage) => Kind::Throttled,
        // Some limits have no window, and some requests are refused because of their content.
        "rate_limit" => {
            rendered.filter(|kind| matches!(kind, Kind::UsageLimit | Kind::None)).unwrap_or(Kind::Throttled)
        }
        "authentication_failed" | "account_on_hold" | "verification_required" | "cloud_credential_error" => {
            Kind::Auth
        }
        "oauth_org_not_allowed" => Kind::Organization,
        "billing_error" => Kind::Billing,
        "overloaded" => Kind::Overloaded,
        "server_error" => status_kind(fields.status).unwrap_or_else(|| match fallback() {
            Kind::None => Kind::Overloaded,
            other => other,
        }),
        "invalid_request" | "model_not_found" | "max_output_tokens" => Kind::None,
        _ => fallback(),
    }
}

/// Returns the kind that an HTTP status indicates.
fn status_kind(status: Option<u16>) -> Option<Kind> {
    match status? {
        429 => Some(Kind::Throttled),
        401 | 403 => Some(Kind::Auth),
        402 => Some(Kind::Billing),
        408 | 504 => Some(Kind::Timeout),
        500..=599 => Some(Kind::Overloaded),
        _ => None,
    }
}

/// Reads a time: epoch seconds, or milliseconds if the number is that large. Only whole numbers have been
/// seen; fractions and text are accepted too.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    #[allow(clippy::cast_possible_truncation)]
    let whole = |seconds: f64| seconds as i64;
    let epoch = value.as_i64().or_else(|| value.as_f64().map(whole));
    match epoch {
        Some(milliseconds) if milliseconds > 100_000_000_000 => {
            Timestamp::from_millisecond(milliseconds).ok()
        }
        Some(seconds) => Timestamp::from_second(seconds).ok(),
        None => value.as_str()?.parse().ok(),
    }
}
