//! Bars and sparklines drawn with characters.

const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The heights for a locale without Unicode, from light to dense.
const WEIGHTS: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];

/// A bar, `columns` long for the value `most`. A value above 0 is always visible.
pub(super) fn bar(value: u64, most: u64, columns: usize, unicode: bool) -> String {
    let steps = if unicode { columns * EIGHTHS.len() } else { columns };
    let filled = match share(value, most, steps) {
        0 if value > 0 => 1,
        filled => filled,
    };
    if !unicode {
        return "#".repeat(filled);
    }
    let mut bar = "█".repeat(filled / EIGHTHS.len());
    bar.extend(filled.checked_rem(EIGHTHS.len()).filter(|&rest| rest > 0).map(|rest| EIGHTHS[rest - 1]));
    bar
}

/// One character for each value, the highest for the greatest value; a space for 0.
pub(super) fn sparkline(values: &[u64], unicode: bool) -> String {
    let most = values.iter().copied().max().unwrap_or(0);
    let heights = if unicode { HEIGHTS } else { WEIGHTS };
    let character = |&value: &u64| match share(value, most, heights.len()) {
        0 if value == 0 => ' ',
        height => heights[height.saturating_sub(1)],
    };
    values.iter().map(character).collect()
}

/// The share of `value` in `most`, rounded to one of `steps`.
fn share(value: u64, most: u64, steps: usize) -> usize {
    let steps = u128::try_from(steps).unwrap_or(u128::MAX);
    let rounded = (u128::from(value) * steps * 2 + u128::from(most)).checked_div(u128::from(most) * 2);
    usize::try_from(rounded.unwrap_or(0).min(steps)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_invisible() {
        let bars = |unicode| [0, 1, 500, 530, 1000].map(|value| bar(value, 1000, 4, unicode));
        assert_eq!(bars(true), ["", "▏", "██", "██▏", "████"]);
        assert_eq!(bars(false), ["", "#", "##", "##", "####"]);
        assert_eq!(bar(0, 0, 4, true), "");
        assert_eq!(bar(u64::MAX, u64::MAX, 4, true), "████");
    }

    #[test]
    fn a_sparkline_has_a_character_for_each_value() {
        let values = [0, 1, 25, 50, 100, 0];
        assert_eq!(sparkline(&values, true), " ▁▂▄█ ");
        assert_eq!(sparkline(&values, false), " .:=@ ");
        assert_eq!(sparkline(&[0, 0], true), "  ");
    }
}
