//! Parses dates as JavaScript and ICU print them in the user's language: `10 de jul. de 2026, 11:52`,
//! `10. Juli 2026 um 11:52`, `2026年7月10日 11:52`. Only dates with day, month and year are read: without a
//! year the order of day and month is not known.

use jiff::civil::{Date, Time};
use jiff::{Timestamp, Zoned};

/// The beginnings of month names that are enough to tell the months apart, January first. Source: the Unicode
/// locale data (CLDR) for de, es, fr, it, pt, nl, pl, sv, da, nb, tr, cs, ro, hu, fi, id, ru, uk, ar.
const MONTHS: [&[&str]; 12] = [
    &["jan", "jän", "ene", "gen", "janv", "sty", "oca", "led", "ian", "tammi", "янв", "січ", "ιαν", "يناير"],
    &["feb", "fev", "fév", "febb", "lut", "şub", "úno", "helmi", "фев", "лют", "φεβ", "فبراير"],
    &["mar", "mär", "maa", "mrt", "bře", "márc", "maalis", "мар", "бер", "μαρ", "مارس"],
    &["apr", "abr", "avr", "kwi", "nis", "dub", "ápr", "huhti", "апр", "кві", "απρ", "أبريل"],
    &["may", "mai", "mag", "mei", "maj", "kvě", "máj", "touko", "мая", "май", "тра", "μαΐ", "مايو"],
    &[
        "jun",
        "juin",
        "giu",
        "cze",
        "haz",
        "červn",
        "cerv",
        "iun",
        "jún",
        "kesä",
        "июн",
        "чер",
        "ιουν",
        "يونيو",
    ],
    &["jul", "juil", "lug", "lip", "tem", "července", "iul", "júl", "heinä", "июл", "лип", "ιουλ", "يوليو"],
    &["aug", "ago", "aoû", "aou", "sie", "ağu", "srp", "elo", "авг", "сер", "αυγ", "أغسطس"],
    &["sep", "set", "wrz", "eyl", "zář", "szept", "syys", "сен", "вер", "σεπ", "سبتمبر"],
    &["oct", "okt", "out", "ott", "paź", "eki", "říj", "loka", "окт", "жов", "οκτ", "أكتوبر"],
    &["nov", "lis", "kas", "noi", "marras", "ноя", "лист", "νοε", "نوفمبر"],
    &["dec", "dez", "dic", "déc", "des", "gru", "ara", "pro", "joulu", "дек", "гру", "δεκ", "ديسمبر"],
];

/// Words for the second half of the day.
const AFTERNOON: [&str; 4] = ["pm", "午後", "下午", "오후"];
/// Words for the first half.
const MORNING: [&str; 4] = ["am", "午前", "上午", "오전"];

/// Parses a date with its time of day, in the zone of `now`.
pub(super) fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    let (before, clock) = split_clock(&text.replace(" h ", ":"))?;
    let at = |date: Date| date.to_datetime(clock).to_zoned(now.time_zone().clone()).ok();
    let times = dates(&before).into_iter().filter_map(at).map(|at| at.timestamp());
    // With two readings, the next time is meant: a limit does not last for months.
    times.min_by_key(|time| (*time < now.timestamp(), *time))
}

/// Splits a text into the date and the time of day, which comes last.
fn split_clock(text: &str) -> Option<(String, Time)> {
    let colon = text.find(':')?;
    let begins = text[..colon]
        .rfind(|letter: char| !letter.is_ascii_digit())
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let (mut date, clock) = (text[..begins].to_owned(), &text[begins..]);
    let ends = clock.find(|letter: char| !letter.is_ascii_digit() && letter != ':').unwrap_or(clock.len());
    let after: String = clock[ends..].chars().filter(|letter| letter.is_alphanumeric()).collect();
    let numbers: Vec<i8> = clock[..ends].split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let (hour, minute) = (*numbers.first()?, *numbers.get(1)?);
    let mut half = None;
    for (words, is_afternoon) in [(&AFTERNOON, true), (&MORNING, false)] {
        if let Some(word) = words.iter().find(|word| after == **word || date.trim_end().ends_with(**word)) {
            half = Some(is_afternoon);
            date.truncate(date.trim_end().trim_end_matches(word).len());
        }
    }
    if half.is_none() && !after.is_empty() {
        return None;
    }
    let hour = match half {
        Some(true) if hour < 12 => hour + 12,
        Some(false) if hour == 12 => 0,
        _ => hour,
    };
    let second = numbers.get(2).copied().unwrap_or(0);
    Some((date, Time::new(hour, minute, second, 0).ok()?))
}

/// Reads a date: a month in words between two numbers, or three numbers. The year may be first or last. The day
/// is before the month, but `7/10/2026` may also be the tenth of July.
fn dates(text: &str) -> Vec<Date> {
    let is_separator = |letter: char| !letter.is_alphanumeric();
    let mut numbers = Vec::new();
    let mut month = None;
    let spaced: String = split_digits(text);
    for word in spaced.split(is_separator).filter(|word| !word.is_empty()) {
        if let Ok(number) = word.parse::<i16>() {
            numbers.push(number);
        } else if month.is_none() {
            month = month_of(word);
        }
    }
    let (year, readings) = match (numbers.as_slice(), month) {
        (&[day, year] | &[year, day], Some(month)) if year >= 2000 => (year, vec![(i16::from(month), day)]),
        (&[year, month, day], None) if year >= 2000 => (year, vec![(month, day)]),
        (&[first, second, year], None) if year >= 2000 && text.contains('/') => {
            (year, vec![(second, first), (first, second)])
        }
        (&[day, month, year], None) if year >= 2000 => (year, vec![(month, day)]),
        _ => return Vec::new(),
    };
    let date = |(month, day)| {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        Date::new(year, month, day).ok()
    };
    readings.into_iter().filter_map(date).collect()
}

/// Separates numbers from the letters next to them: `7月10日` becomes `7 月 10 日`.
fn split_digits(text: &str) -> String {
    let mut spaced = String::new();
    let mut was_digit = None;
    for letter in text.chars() {
        let is_digit = letter.is_ascii_digit();
        if was_digit.is_some_and(|was| was != is_digit) {
            spaced.push(' ');
        }
        was_digit = Some(is_digit);
        spaced.push(letter);
    }
    spaced
}

fn month_of(word: &str) -> Option<i8> {
    let known = |names: &&[&str]| names.iter().any(|name| word.starts_with(name));
    let mut found = MONTHS.iter().enumerate().filter(|(_, names)| known(names));
    let (at, _) = found.next()?;
    i8::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_other_languages_are_read() {
        let now: Zoned = "2026-07-09T20:00:00[UTC]".parse().unwrap();
        for text in [
            "10 de jul. de 2026, 11:52",
            "10 de julho de 2026 às 11:52",
            "10. juli 2026 um 11:52",
            "10 juil. 2026, 11:52",
            "10 juillet 2026 à 11:52",
            "10 lug 2026, 11:52",
            "10 jul. 2026 11:52",
            "10 lip 2026, 11:52",
            "10 tem 2026 11:52",
            "10 июл. 2026 г., 11:52",
            "10 липня 2026 р. о 11:52",
            "2026年7月10日 11:52",
            "2026年7月10日 上午11:52",
            "2026년 7월 10일 오전 11:52",
            "2026/07/10 11:52",
            "2026. 7. 10. 11:52",
            "10 iul. 2026, 11:52",
            "2026. júl. 10. 11:52",
            "10.07.2026, 11:52",
            "10. 7. 2026 11:52",
            "10/07/2026 11:52",
            "7/10/2026, 11:52 am",
            "10 thg 7, 2026, 11:52",
            "10 juil. 2026, 11 h 52",
            "10 de jul. de 2026, 11:52 a. m.",
            "10 يوليو 2026، 11:52",
        ] {
            assert_eq!(
                parse(text, &now).map(|at| at.to_string()).as_deref(),
                Some("2026-07-10T11:52:00Z"),
                "{text}"
            );
        }
        let afternoon = parse("2026년 7월 10일 오후 3:05", &now).unwrap();
        assert_eq!(afternoon.to_string(), "2026-07-10T15:05:00Z");
    }

    #[test]
    fn each_month_of_a_language_is_the_right_one() {
        let now: Zoned = "2026-07-09T20:00:00[UTC]".parse().unwrap();
        for months in [
            "ene. feb. mar. abr. may. jun. jul. ago. sept. oct. nov. dic.",
            "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
            "jan. feb. märz apr. mai juni juli aug. sept. okt. nov. dez.",
            "gen feb mar apr mag giu lug ago set ott nov dic",
            "jan. fev. mar. abr. mai. jun. jul. ago. set. out. nov. dez.",
            "jan. feb. mrt. apr. mei jun. jul. aug. sep. okt. nov. dec.",
            "sty lut mar kwi maj cze lip sie wrz paź lis gru",
            "oca şub mar nis may haz tem ağu eyl eki kas ara",
            "янв. февр. мар. апр. мая июн. июл. авг. сент. окт. нояб. дек.",
            "січ. лют. бер. квіт. трав. черв. лип. серп. вер. жовт. лист. груд.",
        ] {
            for (number, month) in (1..).zip(months.split(' ')) {
                let at = parse(&format!("10 {month} 2026, 11:52"), &now).map(|at| at.to_string());
                assert_eq!(at, Some(format!("2026-{number:02}-10T11:52:00Z")), "{month}");
            }
        }
    }

    #[test]
    fn what_is_no_date_is_not_read() {
        let now: Zoned = "2026-07-09T20:00:00[UTC]".parse().unwrap();
        for text in ["10 xyz 2026, 11:52", "jul 2026, 11:52", "10 de jul., 11:52", "11:52"] {
            assert_eq!(parse(text, &now), None, "{text}");
        }
    }
}
