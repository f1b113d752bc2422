//! The period and filters of a query, in words.

use jiff::civil::Date;

use crate::ledger::Query;
use crate::text::one_line;

/// Whether the query covers a single day, which is shown by hour.
pub fn is_single_day(query: &Query, today: Date) -> bool {
    query.since.is_some_and(|since| since == query.until.unwrap_or(today))
}

/// The message for an empty answer: `Nothing ran today.`
pub fn no_usage(query: &Query, today: Date) -> String {
    match (query.since, query.until) {
        (None, None) => format!("Nothing has run yet{}.\n", filters(query)),
        _ => format!("Nothing ran {}{}.\n", words(query, today), filters(query)),
    }
}

/// `today`, `since 2026-11-01`, `from 2026-11-01 to 2026-11-22`.
pub(super) fn words(query: &Query, today: Date) -> String {
    match (query.since, query.until) {
        (Some(since), None) if since == today => "today".to_owned(),
        (Some(since), Some(until)) if since == until => format!("on {since}"),
        (Some(since), Some(until)) => format!("from {since} to {until}"),
        (Some(since), None) => format!("since {since}"),
        (None, Some(until)) => format!("up to {until}"),
        (None, None) => "for all time".to_owned(),
    }
}

/// The filters of the query: ` on work for backend`.
pub(super) fn filters(query: &Query) -> String {
    let subscription = query.subscription.iter().map(|name| format!(" on {name}"));
    let namespace = query.namespace.iter().map(|name| format!(" for {name}"));
    let model = query.model.iter().map(|model| format!(" with {}", one_line(model)));
    subscription.chain(namespace).chain(model).collect()
}

/// `1–23 November 2026`: the heading of a page.
pub(super) fn title(since: Date, until: Date) -> String {
    let form = |day: Date, form: &str| day.strftime(form).to_string();
    let last = form(until, "%-d %B %Y");
    if since == until {
        last
    } else if since.first_of_month() == until.first_of_month() {
        format!("{}–{last}", since.day())
    } else if since.year() == until.year() {
        format!("{} – {last}", form(since, "%-d %B"))
    } else {
        format!("{} – {last}", form(since, "%-d %B %Y"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;

    fn query(since: Option<Date>, until: Option<Date>) -> Query {
        Query { since, until, ..Query::all(TimeZone::UTC) }
    }

    #[test]
    fn a_period_is_shown_in_words() {
        let (first, last) = (date(2026, 11, 1), date(2026, 11, 22));
        let shown = |since, until| words(&query(since, until), last);
        assert_eq!(shown(Some(last), None), "today");
        assert_eq!(shown(Some(first), None), "since 2026-11-01");
        assert_eq!(shown(Some(first), Some(first)), "on 2026-11-01");
        assert_eq!(shown(Some(first), Some(last)), "from 2026-11-01 to 2026-11-22");
        assert_eq!(shown(None, Some(last)), "up to 2026-11-22");
        assert_eq!(shown(None, None), "for all time");
        assert_eq!(no_usage(&query(None, None), last), "Nothing has run yet.\n");
        let backend = Query {
            subscription: "work".parse().ok(),
            namespace: "backend".parse().ok(),
            model: Some("a\u{1b}b".into()),
            ..query(Some(last), None)
        };
        assert_eq!(no_usage(&backend, last), "Nothing ran today on work for backend with a b.\n");
    }

    #[test]
    fn a_single_day_is_shown_by_hour() {
        let (first, last) = (date(2026, 11, 1), date(2026, 11, 22));
        assert!(is_single_day(&query(Some(last), None), last));
        assert!(is_single_day(&query(Some(first), Some(first)), last));
        assert!(!is_single_day(&query(Some(first), None), last));
        assert!(!is_single_day(&query(None, Some(last)), last));
    }

    #[test]
    fn the_heading_of_a_page_has_its_days() {
        assert_eq!(title(date(2026, 11, 3), date(2026, 11, 3)), "3 November 2026");
        assert_eq!(title(date(2026, 11, 3), date(2026, 11, 9)), "3–9 November 2026");
        assert_eq!(title(date(2026, 10, 3), date(2026, 11, 9)), "3 October – 9 November 2026");
        assert_eq!(title(date(2025, 12, 3), date(2026, 1, 9)), "3 December 2025 – 9 January 2026");
    }
}
