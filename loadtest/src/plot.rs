//! A run as a picture: pushes a second above, latencies on a logarithmic scale below, over the same time.

use std::fmt::Write;

use crate::load::Second;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 110.0;
const PANEL: f64 = 200.0;
const TOPS: [f64; 2] = [50.0, 310.0];

/// A line of a panel: its name, its colour, and a value for each second.
struct Curve<'a> {
    name: &'a str,
    colour: &'a str,
    values: Vec<f64>,
}

/// How values become heights.
#[derive(Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// Zero below, the largest value or a little more above.
    fn linear(largest: f64) -> Scale {
        Scale { low: 0.0, high: round_up(largest), is_logarithmic: false }
    }

    /// Whole powers of ten that hold all values.
    fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let positive = values.filter(|value| *value > 0.0);
        let low = 10f64.powf(positive.clone().fold(1e9, f64::min).log10().floor());
        let high = 10f64.powf(positive.fold(low * 1.5, f64::max).log10().ceil());
        Scale { low, high, is_logarithmic: true }
    }

    /// From 0, below, to 1.
    fn part(self, value: f64) -> f64 {
        if self.is_logarithmic {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            value / self.high
        }
    }

    fn marks(self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = (self.high / self.low).log10().round() as i32;
            (0..=decades).map(|decade| self.low * 10f64.powi(decade)).collect()
        } else {
            (0..=4).map(|quarter| self.high * f64::from(quarter) / 4.0).collect()
        }
    }
}

/// The next of 1, 2, 4, 5, 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.max(1e-9).log10().floor());
    let digit = [1.0, 2.0, 4.0, 5.0, 8.0].into_iter().find(|digit| digit * decade >= value);
    digit.unwrap_or(10.0) * decade
}

/// Draws a run.
pub fn svg(title: &str, seconds: &[Second]) -> String {
    let rate = |count: fn(&Second) -> u64| seconds.iter().map(|second| count(second) as f64 / second.length).collect();
    let latency = |at: usize| seconds.iter().map(|second| second.latencies[at] as f64 / 1000.0).collect();
    let rates = [
        Curve { name: "intended", colour: "#999999", values: rate(|second| second.due) },
        Curve { name: "acknowledged", colour: "#1b7837", values: rate(|second| second.acknowledged) },
        Curve { name: "failed", colour: "#c51b1b", values: rate(|second| second.failed) },
    ];
    let latencies = [
        Curve { name: "max", colour: "#d6604d", values: latency(2) },
        Curve { name: "p99", colour: "#b2851e", values: latency(1) },
        Curve { name: "p50", colour: "#2166ac", values: latency(0) },
    ];
    let all = |curves: &[Curve]| curves.iter().flat_map(|curve| curve.values.clone()).collect::<Vec<f64>>();
    let ends: Vec<f64> = seconds.iter().map(|second| second.end).collect();
    let mut picture = head(title);
    let linear = Scale::linear(all(&rates).into_iter().fold(1.0, f64::max));
    panel(&mut picture, TOPS[0], "pushes a second", linear, &ends, &rates);
    let logarithmic = Scale::logarithmic(all(&latencies).into_iter());
    panel(&mut picture, TOPS[1], "latency, milliseconds", logarithmic, &ends, &latencies);
    text(&mut picture, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 12.0, "middle", "seconds after the warm-up");
    picture.push_str("</svg>\n");
    picture
}

fn head(title: &str) -> String {
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    text(&mut picture, LEFT, 24.0, "start", title);
    picture
}

fn panel(picture: &mut String, top: f64, name: &str, scale: Scale, ends: &[f64], curves: &[Curve]) {
    let last = ends.last().copied().unwrap_or(1.0);
    let x = |second: f64| LEFT + second / last * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL * (1.0 - scale.part(value));
    text(picture, LEFT, top - 8.0, "start", name);
    for mark in scale.marks() {
        line(picture, [(LEFT, y(mark)), (WIDTH - RIGHT, y(mark))], "#dddddd");
        text(picture, LEFT - 6.0, y(mark) + 4.0, "end", &number(mark));
    }
    for eighth in 0..=8 {
        let second = last * f64::from(eighth) / 8.0;
        text(picture, x(second), top + PANEL + 16.0, "middle", &number((second * 100.0).round() / 100.0));
    }
    for (place, curve) in curves.iter().enumerate() {
        let points = ends.iter().zip(&curve.values).map(|(end, value)| (x(*end), y(*value)));
        line(picture, points, curve.colour);
        let beside = top + 14.0 + 18.0 * place as f64;
        line(picture, [(WIDTH - RIGHT + 8.0, beside - 4.0), (WIDTH - RIGHT + 24.0, beside - 4.0)], curve.colour);
        text(picture, WIDTH - RIGHT + 28.0, beside, "start", curve.name);
    }
}

fn line(picture: &mut String, points: impl IntoIterator<Item = (f64, f64)>, colour: &str) {
    let points: Vec<String> = points.into_iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    // Writing to a string does not fail.
    let _ = writeln!(
        picture,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        points.join(" ")
    );
}

fn text(picture: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ =
        writeln!(picture, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#333333\">{text}</text>");
}

fn number(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 10_000.0 => format!("{}k", value / 1e3),
        value => format!("{}", (value * 1e4).round() / 1e4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_their_values() {
        for (value, high) in [(1.0, 1.0), (3.0, 4.0), (9.0, 10.0), (4_100.0, 5_000.0), (80_000.0, 80_000.0)] {
            assert_eq!(Scale::linear(value).high, high, "{value}");
        }
        let scale = Scale::logarithmic([0.0, 0.03, 1.0, 45.0].into_iter());
        assert_eq!(
            scale.marks().iter().map(|mark| number(*mark)).collect::<Vec<_>>(),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!([0.0, 0.01, 1.0, 100.0].map(|value| scale.part(value)), [0.0, 0.0, 0.5, 1.0]);
    }

    #[test]
    fn a_picture_has_a_line_for_each_curve() {
        let second =
            |end| Second { end, length: 1.0, due: 10, sent: 10, acknowledged: 9, failed: 1, latencies: [50, 70, 90] };
        let picture = svg("a < b & c", &[second(1.0), second(2.0)]);
        assert!(picture.contains("a &lt; b &amp; c"));
        for name in ["intended", "acknowledged", "failed", "p50", "p99", "max"] {
            assert!(picture.contains(&format!(">{name}</text>")), "{name}");
        }
        let is_sound =
            |value: &str| value.split([' ', ',']).all(|number| number.parse::<f64>().is_ok_and(f64::is_finite));
        let points = picture.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        assert!(points.clone().count() >= 12 && points.clone().all(is_sound), "{picture}");
        assert!(!svg("nothing", &[]).contains("NaN"));
    }
}
