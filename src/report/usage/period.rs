//! The days that were asked for, in words.

use jiff::civil::Date;

use crate::ledger::Query;
use crate::text::one_line;

/// Whether it asks for one day, which is shown by hours.
pub fn is_of_one_day(query: &Query, today: Date) -> bool {
    query.since.is_some_and(|since| since == query.until.unwrap_or(today))
}

/// That there is nothing to show: `Nothing ran today.`
pub fn nothing(query: &Query, today: Date) -> String {
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
        (None, None) => "of all time".to_owned(),
    }
}

/// ` on work for backend`, with what was asked for.
pub(super) fn filters(query: &Query) -> String {
    let subscription = query.subscription.iter().map(|name| format!(" on {name}"));
    let namespace = query.namespace.iter().map(|name| format!(" for {name}"));
    let model = query.model.iter().map(|model| format!(" with {}", one_line(model)));
    subscription.chain(namespace).chain(model).collect()
}

/// `1–23 November 2026`, as a page is headed.
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
    fn a_period_is_said_as_a_person_would() {
        let (first, last) = (date(2026, 11, 1), date(2026, 11, 22));
        let said = |since, until| words(&query(since, until), last);
        assert_eq!(said(Some(last), None), "today");
        assert_eq!(said(Some(first), None), "since 2026-11-01");
        assert_eq!(said(Some(first), Some(first)), "on 2026-11-01");
        assert_eq!(said(Some(first), Some(last)), "from 2026-11-01 to 2026-11-22");
        assert_eq!(said(None, Some(last)), "up to 2026-11-22");
        assert_eq!(said(None, None), "of all time");
        assert_eq!(nothing(&query(None, None), last), "Nothing has run yet.\n");
        let backend = Query {
            subscription: "work".parse().ok(),
            namespace: "backend".parse().ok(),
            model: Some("a\u{1b}b".into()),
            ..query(Some(last), None)
        };
        assert_eq!(nothing(&backend, last), "Nothing ran today on work for backend with a b.\n");
    }

    #[test]
    fn one_day_is_shown_by_hours() {
        let (first, last) = (date(2026, 11, 1), date(2026, 11, 22));
        assert!(is_of_one_day(&query(Some(last), None), last));
        assert!(is_of_one_day(&query(Some(first), Some(first)), last));
        assert!(!is_of_one_day(&query(Some(first), None), last));
        assert!(!is_of_one_day(&query(None, Some(last)), last));
    }

    #[test]
    fn a_page_is_headed_by_its_days() {
        assert_eq!(title(date(2026, 11, 3), date(2026, 11, 3)), "3 November 2026");
        assert_eq!(title(date(2026, 11, 3), date(2026, 11, 9)), "3–9 November 2026");
        assert_eq!(title(date(2026, 10, 3), date(2026, 11, 9)), "3 October – 9 November 2026");
        assert_eq!(title(date(2025, 12, 3), date(2026, 1, 9)), "3 December 2025 – 9 January 2026");
    }
}
