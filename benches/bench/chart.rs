//! The chart of the overhead, as SVG: a bar for each row; its length is the logarithm of the ratio. The SVG
//! has no scripts and is readable in light and dark mode. Pure: the same figures give the same bytes.

use std::fmt::Write as _;

use crate::figures::{Figures, Kind, Row};
use crate::table::{short, shown};

const WIDTH: f64 = 760.0;
/// The x coordinates where bars begin (ratio 1) and where they may end; the ratio is written after the bar.
const BEGIN: f64 = 330.0;
const END: f64 = WIDTH - 60.0;
const TOP: f64 = 44.0;
const ROW: f64 = 36.0;
const BAR: f64 = 16.0;
const TICKS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

const STYLE: &str = "\
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .name { font: 13px ui-monospace, monospace; text-anchor: end }
  .note, .tick { font-size: 11px; fill: #59636e }
  .note { text-anchor: end }
  .tick { text-anchor: middle }
  .head { font-weight: 600 }
  line { stroke: #d1d9e0 }
  rect { fill: #8c959f }
  .kage { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .note, .tick { fill: #9198a1 }
    line { stroke: #3d444d }
    rect { fill: #656c76 }
    .kage { fill: #ab7df8 }
  }
";

pub(crate) fn draw(figures: &Figures) -> String {
    let mut rows: Vec<_> = shown(&figures.overhead).collect();
    // kage's rows come first and keep their order.
    let position = |row: &Row, ratio: f64| match row.kind {
        Kind::Base => 0.0,
        Kind::Kage => 1.0,
        Kind::Peer | Kind::Interpreter => 1.0 + ratio,
    };
    rows.sort_by(|(one, ratio), (other, others)| position(one, *ratio).total_cmp(&position(other, *others)));
    let highest = rows.iter().map(|(_, ratio)| *ratio).fold(2.0, f64::max);
    let reach = TICKS.into_iter().find(|tick| *tick >= highest).unwrap_or(highest);
    let across = |ratio: f64| BEGIN + (END - BEGIN) * (ratio.max(1.0).ln() / reach.ln());
    let rows_end = TOP + ROW * f64::from(u32::try_from(rows.len()).unwrap_or(u32::MAX));
    let height = rows_end + 12.0;

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
         <title id=\"title\">kage's overhead at the start of a program</title>\n\
         <desc id=\"desc\">{}</desc>\n<style>\n{STYLE}</style>\n\
         <text x=\"{BEGIN}\" y=\"16\" class=\"head\">time to start and end, relative to env true (logarithmic)</text>\n",
        escaped(&described(&rows))
    );
    for tick in TICKS.into_iter().filter(|tick| *tick <= reach) {
        let x = across(tick);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{rows_end}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" class=\"tick\">{tick}</text>",
            TOP - 6.0,
            TOP - 11.0
        );
    }
    let mut top = TOP;
    for (row, ratio) in &rows {
        svg.push_str(&bar(row, *ratio, top, across(*ratio)));
        top += ROW;
    }
    svg + "</svg>\n"
}

fn bar(row: &Row, ratio: f64, top: f64, until: f64) -> String {
    let class = if row.kind == Kind::Kage { " class=\"kage\"" } else { "" };
    let middle = top + ROW / 2.0;
    // Without a second line the name is in the middle.
    let name_at = if row.note.is_empty() { middle + 4.0 } else { middle - 2.0 };
    let note = match row.note.as_str() {
        "" => String::new(),
        note => {
            let (x, y) = (BEGIN - 8.0, middle + 12.0);
            format!("<text x=\"{x}\" y=\"{y}\" class=\"note\">{}</text>", escaped(note))
        }
    };
    format!(
        "<text x=\"{}\" y=\"{name_at}\" class=\"name\">{}</text>{note}\
         <rect x=\"{BEGIN}\" y=\"{}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"{class}/>\
         <text x=\"{:.1}\" y=\"{}\">{}</text>\n",
        BEGIN - 8.0,
        escaped(&row.name),
        middle - BAR / 2.0,
        (until - BEGIN).max(2.0),
        until.max(BEGIN + 2.0) + 6.0,
        middle + 4.0,
        short(ratio)
    )
}

/// The chart as text, for screen readers.
fn described(rows: &[(&Row, f64)]) -> String {
    let one = |(row, ratio): &(&Row, f64)| {
        let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
        format!("{}{note}: {}", row.name, short(*ratio))
    };
    rows.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
