//! Interprets an error of Claude Code. Its transcript, JSON lines and JSON result describe an error with the
//! same fields.

use std::sync::LazyLock;

use std::collections::BTreeMap;

use jiff::{Timestamp, Zoned};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::message;
use crate::agent::{Kind, Marker, ProviderError, markers};
use crate::pool::{Reading, Scope};

/// Compiled on first use: most attempts have no error.
pub(super) static MARKERS: LazyLock<Vec<Marker>> =
    LazyLock::new(|| markers::built_in(include_str!("../claude.toml")));

/// The longest text of an error that is kept, in characters.
const LONGEST_TEXT: usize = 200;

const FAMILIES: [&str; 4] = ["opus", "sonnet", "haiku", "fable"];
/// Words in a model's name or alias that are not its family.
const NOT_A_FAMILY: [&str; 8] =
    ["anthropic", "best", "claude", "default", "inherit", "latest", "preview", "thinking"];

/// Returns the family in a model's name or alias: `opus` for `claude-opus-5-5[1m]`. An unknown family is the
/// first word of the name, so that a new one needs no new kage.
pub(super) fn family(model: &str) -> Option<String> {
    let model = model.to_ascii_lowercase();
    let is_family = |word: &&str| {
        word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase()) && !NOT_A_FAMILY.contains(word)
    };
    let first_word = |name: &'_ str| {
        name.split(|letter: char| !letter.is_ascii_alphanumeric()).find(is_family).map(str::to_owned)
    };
    let known = FAMILIES.into_iter().find(|family| model.contains(family)).map(str::to_owned);
    // Names of other providers (`us.anthropic.claude-...`) begin with a region or the provider.
    let own_part = model.rfind("claude").map_or(model.as_str(), |at| &model[at..]);
    known.or_else(|| first_word(own_part)).or_else(|| first_word(&model))
}

/// The window of the models that paid usage does not include, which the agent calls by its family.
const OVERAGE_INCLUDED: &str = "seven_day_overage_included";
/// The family that window covers.
const OVERAGE_FAMILY: &str = "fable";
/// Windows that the provider counts for something other than a model.
const NOT_OF_A_MODEL: [&str; 4] = ["apps", "oauth", "cowork", "overage"];

/// The windows of the plan that cover all models.
const PLAN_WINDOWS: [&str; 2] = ["five_hour", "seven_day"];

/// Returns the window of the plan and the model family in the provider's name of a window; `None` if the name
/// has another form.
fn parts(window: &str) -> Option<(&'static str, Option<String>)> {
    if window == OVERAGE_INCLUDED {
        return Some(("seven_day", Some(OVERAGE_FAMILY.to_owned())));
    }
    let plan = PLAN_WINDOWS.into_iter().find(|plan| window.starts_with(plan))?;
    match window[plan.len()..].strip_prefix('_') {
        None if window == plan => Some((plan, None)),
        Some(model)
            if !NOT_OF_A_MODEL.contains(&model) && model.bytes().all(|byte| byte.is_ascii_lowercase()) =>
        {
            Some((plan, Some(model.to_owned())))
        }
        _ => None,
    }
}

/// Returns the reading of a window under kage's name for it. Drops what is not a reading: a window that is
/// not known, or a value that cannot be a share, such as a time that the agent put in its place.
pub(super) fn reading(window: &str, value: f64, resets_at: &Value) -> Option<(String, Reading)> {
    let (plan, model) = parts(window)?;
    let name = model.map_or_else(|| plan.to_owned(), |model| format!("{plan}_{model}"));
    let reading = Reading { value, resets_at: instant(resets_at) };
    (0.0..=HIGHEST).contains(&value).then_some((name, reading))
}

/// The highest plausible utilization. A little over 1.0 is real.
const HIGHEST: f64 = 2.0;

/// The provider's report on the subscription's limits.
#[derive(Deserialize, Default, Debug)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RateLimitInfo {
    #[serde(deserialize_with = "lenient")]
    status: String,
    #[serde(deserialize_with = "lenient")]
    rate_limit_type: Option<String>,
    resets_at: Value,
    /// When paid usage is available again. For a pooled budget this is later than `resets_at`, and right.
    overage_resets_at: Value,
    #[serde(alias = "overageScope", deserialize_with = "lenient")]
    limit_scope: Option<String>,
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
        let known = self
            .unified_windows
            .iter()
            .filter_map(|(window, info)| reading(window, info.utilization?, &info.resets_at));
        known.collect()
    }
}

/// Further fields of an error message.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Params {
    #[serde(deserialize_with = "lenient")]
    pub rate_limit_info: Option<RateLimitInfo>,
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
    /// The provider's type of the error: `permission_error`. Missing if something else answered.
    pub error_type: Option<&'a str>,
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
    let plain = message::plain(first_line);
    let rendered = markers::read(plain.as_deref().unwrap_or(first_line), &[&MARKERS], at);
    let kind = kind(fields, info, rendered.as_ref().map(|error| error.kind));
    let bare = ProviderError::new(kind, "", "");
    let rendered = rendered.filter(|error| error.kind == kind).unwrap_or(bare);
    let known = ProviderError { text, rule: rule.into(), ..rendered };
    let known = match fields.code {
        Some("org_disabled_credential") if known.act.is_none() => {
            ProviderError { act: Some(DISABLED.into()), ..known }
        }
        Some("model_requires_usage_credits") if known.scope == Scope::All => {
            ProviderError { limits_requested_model: true, ..known }
        }
        _ => known,
    };
    match info.filter(|_| kind == Kind::UsageLimit) {
        Some(info) => limit(info, at.timestamp(), known),
        None => known,
    }
}

/// What to do about a credential of a disabled organization, if the text does not say it.
const DISABLED: &str = "its organization is disabled; ask the provider's support";

/// Returns the limit with the provider's window and reset time. The text only fills gaps.
fn limit(info: &RateLimitInfo, at: Timestamp, known: ProviderError) -> ProviderError {
    let paid_until = instant(&info.overage_resets_at);
    let named = known.window.as_ref().map(|window| window.name.as_str());
    if info.limit_scope.as_deref() == Some(POOL) && named.is_none_or(|name| name == POOL) {
        let resets_at = paid_until.or(instant(&info.resets_at)).or(known.resets_at);
        return ProviderError {
            window: Some(markers::window(POOL.into(), resets_at, at)),
            resets_at,
            ..known
        };
    }
    let Some(claim) = info.rate_limit_type.as_deref() else {
        // No window of the plan is full: paid usage has ended.
        let resets_at = paid_until.or(known.resets_at);
        return ProviderError { resets_at, ..known };
    };
    let resets_at = instant(&info.resets_at).or(known.resets_at);
    let (plan, claimed) = parts(claim).unzip();
    let model = match &known.scope {
        Scope::Model(model) => Some(model.clone()),
        Scope::All => claimed.flatten(),
    };
    let base = plan.unwrap_or(claim);
    let name = model.as_ref().map_or_else(|| base.to_owned(), |model| format!("{base}_{model}"));
    let scope = model.map_or(Scope::All, Scope::Model);
    let window = Some(markers::window(name, resets_at, at));
    ProviderError { scope, window, resets_at, limits_requested_model: false, ..known }
}

/// The window of a budget that several members share.
const POOL: &str = "group_pool";

/// Returns the kind of an error. The agent's code and class decide first. If they do not, `rendered` decides:
/// the kind of the marker that matches the text.
fn kind(fields: &ErrorFields<'_>, info: Option<&RateLimitInfo>, rendered: Option<Kind>) -> Kind {
    let status = || status_kind(fields);
    match fields.code {
        Some("usage_limit_reached" | "usage_cap_reached" | "model_requires_usage_credits") => {
            return Kind::UsageLimit;
        }
        Some("org_disabled_credential") => return Kind::Organization,
        Some("network_edge_blocked") => return Kind::Network,
        Some("long_context_credits_required") => return Kind::None,
        _ => {}
    }
    let fallback = || match fields.code {
        Some("connection_failed") => Kind::Network,
        _ => rendered.or_else(status).unwrap_or(Kind::None),
    };
    match fields.class.unwrap_or_default() {
        "rate_limit" if info.is_some_and(RateLimitInfo::has_window) => Kind::UsageLimit,
        "rate_limit" if info.is_some_and(|info| info.is_using_overage) => Kind::Throttled,
        // Some limits have no window, and some requests are refused because of their content.
        "rate_limit" => rendered
            .filter(|kind| {
                matches!(
                    kind,
                    Kind::UsageLimit | Kind::None | Kind::Organization | Kind::Auth | Kind::Billing
                )
            })
            .unwrap_or(Kind::Throttled),
        // The agent puts every 403 into this class, also those of a network between it and the provider.
        "authentication_failed" if fields.status == Some(403) => {
            rendered.filter(|kind| *kind != Kind::Network).or_else(status).unwrap_or(Kind::Auth)
        }
        "authentication_failed" => rendered.filter(|kind| *kind == Kind::Organization).unwrap_or(Kind::Auth),
        "account_on_hold" | "verification_required" | "cloud_credential_error" => Kind::Auth,
        "oauth_org_not_allowed" => Kind::Organization,
        "billing_error" => Kind::Billing,
        "overloaded" => Kind::Overloaded,
        "server_error" => status().unwrap_or_else(|| match fallback() {
            Kind::None => Kind::Overloaded,
            other => other,
        }),
        // The content of the request is wrong, unless the text says otherwise.
        "invalid_request" => rendered.unwrap_or(Kind::None),
        "model_not_found" | "max_output_tokens" => Kind::None,
        _ => fallback(),
    }
}

/// Returns the kind that an HTTP status indicates.
fn status_kind(fields: &ErrorFields<'_>) -> Option<Kind> {
    match fields.status? {
        429 => Some(Kind::Throttled),
        401 => Some(Kind::Auth),
        403 => match fields.error_type {
            Some("permission_error" | "authentication_error") => Some(Kind::Auth),
            _ => Some(Kind::Network),
        },
        402 => Some(Kind::Billing),
        407 | 451 => Some(Kind::Network),
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
