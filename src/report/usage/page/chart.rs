//! Charts as inline SVG. Horizontal lengths are percentages and vertical ones pixels, so that a chart fits
//! any width while its text keeps its size.

use super::element::Element;

/// The number of colors. All further series are summed up as `others`.
pub(super) const COLORS: usize = 8;
/// Pixels above the plot, for the upper half of the highest number of the scale.
const ABOVE: f64 = 8.0;
/// Pixels below the plot, for dates.
const BELOW: f64 = 26.0;
/// The width of the scale on the left, in pixels.
const SCALE: u32 = 46;
/// The maximum width of a column, in percent.
const WIDEST: f64 = 7.0;
/// The maximum number of dates below a chart.
const DATES: usize = 5;

/// The CSS class of a color.
pub(super) fn color(at: usize) -> String {
    if at < COLORS { format!("s{at}") } else { "others".to_owned() }
}

/// One column: one part for each series, from bottom to top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// The date below the column.
    pub date: String,
    /// The tooltip.
    pub tooltip: String,
    pub parts: Vec<u64>,
}

impl Step {
    fn sum(&self) -> u64 {
        self.parts.iter().copied().fold(0, u64::saturating_add)
    }
}

/// Stacked columns over time. `height` is the height of the plot in pixels.
pub(super) fn columns(label: &str, steps: &[Step], height: f64, amount: impl Fn(u64) -> String) -> Element {
    let most = steps.iter().map(Step::sum).max().unwrap_or(0);
    let tick = tick(most);
    let top = most.div_ceil(tick).max(1).saturating_mul(tick);
    let y = |value: u64| ABOVE + height * (1.0 - share(value, top));
    let ticks: Vec<u64> = (0..=top / tick).map(|at| at * tick).collect();
    let scale = ticks.iter().map(|&value| {
        let text = Element::new("text").with("x", SCALE - 8).with("y", px(y(value) + 4.0));
        text.with("text-anchor", "end").text(&amount(value))
    });
    let lines = ticks.iter().map(|&value| {
        let line = Element::of("line", if value == 0 { "base" } else { "grid" });
        line.with("x1", "0").with("x2", "100%").with("y1", px(y(value))).with("y2", px(y(value)))
    });
    let slot = 100.0 / share_base(steps.len());
    let middle = |at: usize| slot * (share_base(at + 1) - 0.5);
    let drawn = steps.iter().enumerate().map(|(at, step)| column(step, middle(at), slot, height, top));
    let tall = px(ABOVE + height + BELOW);
    let side =
        Element::of("svg", "scale").with("width", SCALE).with("height", &tall).with("aria-hidden", "true");
    let plot = Element::new("svg").with("role", "img").with("aria-label", label);
    let plot = plot.with("width", "100%").with("height", &tall);
    let plot = plot.children(lines).children(drawn).children(dates(steps, middle, ABOVE + height + 18.0));
    Element::of("div", "plot").child(side.children(scale)).child(plot)
}

/// `middle` is the middle of the column and `slot` the width of its hover area, in percent.
fn column(step: &Step, middle: f64, slot: f64, height: f64, top: u64) -> Element {
    let width = (slot * 0.76).min(WIDEST);
    let across = |element: Element, width: f64| {
        element.with("x", percent(middle - width / 2.0)).with("width", percent(width))
    };
    let under = across(Element::of("rect", "under"), slot).with("y", px(ABOVE)).with("height", px(height));
    let mut below = ABOVE + height;
    let parts = step.parts.iter().enumerate().filter(|(_, value)| **value > 0).map(|(at, &value)| {
        let full = height * share(value, top);
        below -= full;
        // A gap separates the parts for users who cannot distinguish their colors. A thin part has no gap.
        let gap = if full > 3.0 { 1.0 } else { 0.0 };
        let part = across(Element::of("rect", &color(at)), width).with("rx", "1.5");
        part.with("y", px(below)).with("height", px((full - gap).max(0.75)))
    });
    let parts: Vec<_> = parts.collect();
    let tooltip = Element::new("title").text(&step.tooltip);
    Element::of("g", "step").child(tooltip).child(under).children(parts)
}

fn dates(steps: &[Step], middle: impl Fn(usize) -> f64, y: f64) -> impl Iterator<Item = Element> {
    let last = steps.len().saturating_sub(1);
    let count = DATES.min(steps.len()).max(2);
    let mut shown: Vec<_> = (0..count).map(|at| at * last / (count - 1)).collect();
    shown.dedup();
    shown.into_iter().filter_map(move |at| {
        // A centered date would be cut at the edges.
        let (x, anchor) = match middle(at) {
            left if left < 6.0 => (0.0, "start"),
            right if right > 94.0 => (100.0, "end"),
            middle => (middle, "middle"),
        };
        let text = Element::new("text").with("x", percent(x)).with("y", px(y));
        Some(text.with("text-anchor", anchor).text(&steps.get(at)?.date))
    })
}

/// A bar filled from the left. `value` is 0.0-1.0.
pub(super) fn meter(label: &str, value: f64, class: &str) -> Element {
    let svg = Element::of("svg", "meter").with("role", "img").with("aria-label", label);
    let rect = |class: &str, width: f64| {
        Element::of("rect", class).with("width", percent(width)).with("height", "8").with("rx", "4")
    };
    let filled = (value.clamp(0.0, 1.0) * 100.0).max(if value > 0.0 { 1.0 } else { 0.0 });
    svg.with("width", "100%").with("height", "8").child(rect("track", 100.0)).child(rect(class, filled))
}

/// The distance between grid lines: 1, 2 or 5 times a power of ten, so that there are at most four lines.
fn tick(most: u64) -> u64 {
    let least = most.div_ceil(4).max(1);
    let mut decade: u64 = 1;
    loop {
        let found =
            [1, 2, 5].into_iter().map(|digit| decade.saturating_mul(digit)).find(|tick| *tick >= least);
        match found {
            Some(tick) => return tick,
            None => decade = decade.saturating_mul(10),
        }
    }
}

// The lost precision is less than a pixel.
#[allow(clippy::cast_precision_loss)]
pub(super) fn share(value: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { value as f64 / whole as f64 }
}

#[allow(clippy::cast_precision_loss)]
fn share_base(count: usize) -> f64 {
    count.max(1) as f64
}

fn px(pixels: f64) -> String {
    format!("{pixels:.1}")
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_are_at_round_numbers() {
        let most = [0, 1, 3, 4, 5, 9, 17, 1_234_567, u64::MAX];
        assert_eq!(most.map(tick)[..8], [1, 1, 1, 1, 2, 5, 5, 500_000]);
    }

    #[test]
    fn a_column_is_stacked_in_its_share_of_the_plot() {
        let step = Step { date: "1 Nov".into(), tooltip: "<b>".into(), parts: vec![1, 0, 3] };
        let expected = "<g class=\"step\"><title>&lt;b&gt;</title>\
            <rect class=\"under\" x=\"0.00%\" width=\"100.00%\" y=\"8.0\" height=\"100.0\"></rect>\
            <rect class=\"s0\" x=\"46.50%\" width=\"7.00%\" rx=\"1.5\" y=\"83.0\" height=\"24.0\"></rect>\
            <rect class=\"s2\" x=\"46.50%\" width=\"7.00%\" rx=\"1.5\" y=\"8.0\" height=\"74.0\"></rect></g>";
        assert_eq!(column(&step, 50.0, 100.0, 100.0, 4).to_string(), expected);
    }

    #[test]
    fn a_meter_is_never_longer_than_its_track() {
        let text = meter("a", 1.7, "fill").to_string();
        assert_eq!(text.matches("100.00%").count(), 2, "{text}");
        assert!(meter("a", 0.001, "fill").to_string().contains("\"1.00%\""));
    }
}
