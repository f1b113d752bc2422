//! Whether a saved text consists of JSON records. An answer can quote any record, so a text counts as records
//! only if it contains nothing else.

use serde::de::IgnoredAny;

use super::said;

/// Returns the records of a text: the whole text as one record on any number of lines, or one record per
/// line. Returns `None` for plain text, even if it contains records.
///
/// The first and the last line may be cut off. Other lines are allowed between the records if the stream is
/// complete (`is_whole`, given the first and the last line), because another process may have written to the
/// same file.
pub(super) fn of(text: &[u8], is_whole: fn(&[u8], &[u8]) -> bool) -> Option<Vec<&[u8]>> {
    if is_record(text) {
        return Some(vec![text]);
    }
    let mut lines = said::non_blank(text).map(<[u8]>::trim_ascii);
    let (first, last) = (lines.next()?, lines.next_back()?);
    let is_whole = is_whole(first, last);
    let first = Some(first).filter(|line| is_record(line) || !line.ends_with(b"}"));
    let last = Some(last).filter(|line| is_record(line) || !line.starts_with(b"{\""));
    let mut records = Vec::new();
    let mut others = 0;
    for line in first.into_iter().chain(lines).chain(last) {
        if is_record(line) {
            records.push(line);
        } else if is_whole {
            others += 1;
        } else {
            return None;
        }
    }
    (records.len() > others).then_some(records)
}

/// Whether a line can be an object. serde would also read an array as a struct, by the order of its fields.
pub(super) fn may_be_object(line: &[u8]) -> bool {
    line.trim_ascii_start().first() == Some(&b'{')
}

fn is_record(text: &[u8]) -> bool {
    let begins = text.trim_ascii_start().first();
    matches!(begins, Some(b'{' | b'[')) && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = r#"{"type":"opening"}"#;
    const EVENT: &str = r#"{"type":"event","info":{"status":"rejected"}}"#;
    const END: &str = r#"{"type":"end"}"#;

    #[test]
    fn a_text_consists_of_records_or_is_plain() {
        let is_whole = |first: &[u8], last: &[u8]| (first, last) == (OPENING.as_bytes(), END.as_bytes());
        for (text, records) in [
            (String::new(), None),
            ("\n\n".into(), None),
            ("hello".into(), None),
            ("5".into(), None),
            ("\"x\"".into(), None),
            ("{\"type\"".into(), None),
            (EVENT.into(), Some(1)),
            (format!("\n {EVENT}\n\n"), Some(1)),
            (format!("[{OPENING},\n{EVENT}]\n"), Some(1)),
            (format!("{OPENING}\n{EVENT}\n"), Some(2)),
            (format!("{OPENING}\r\n\r\n{EVENT}\r\n"), Some(2)),
            // cut off at either end
            (format!("{OPENING}\n{EVENT}\n{{\"type\":\"resu"), Some(2)),
            (format!("e\":\"user\"}}\n{EVENT}\n"), Some(1)),
            // something else wrote in between
            (format!("{OPENING}\n(node:7) Warning: x\n{EVENT}\n{END}\n"), Some(3)),
            // quoted
            (format!("{OPENING}\n(node:7) Warning: x\n{EVENT}\n"), None),
            (format!("It says:\n{EVENT}\n"), None),
            (format!("{EVENT}\nis what it says.\n"), None),
            (format!("It says:\n{OPENING}\n{EVENT}\n{END}\n"), None),
            (format!("{OPENING}\nand\n{EVENT}\nand\nso\non\n{END}\n"), None),
        ] {
            assert_eq!(of(text.as_bytes(), is_whole).map(|records| records.len()), records, "{text}");
        }
    }
}
