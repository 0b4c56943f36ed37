//! Pictures: panels one above the other over the same axis. A run has pushes a second above, and latencies on a logarithmic scale
//! below, over its time.

use std::fmt::Write;

use crate::load::Second;

const WIDTH: f64 = 900.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 130.0;
const PANEL: f64 = 200.0;
const TOP: f64 = 50.0;
/// From one panel's top to the next one's.
const STEP: f64 = 260.0;
/// Curves of more points are drawn without dots.
const MOST_DOTS: usize = 16;

/// A line of a panel.
pub struct Curve<'a> {
    /// What stands beside the panel, in the curve's colour; nothing if it is the only one.
    pub name: &'a str,
    /// As SVG has it.
    pub colour: &'a str,
    /// From left to right: where on the axis, and the value.
    pub points: Vec<(f64, f64)>,
}

/// Curves of one unit.
pub struct Panel<'a> {
    /// What stands above.
    pub name: &'a str,
    /// From below to above.
    pub scale: Scale,
    /// What is drawn.
    pub curves: Vec<Curve<'a>>,
}

/// What all panels stand over.
pub struct Axis<'a> {
    /// What stands below.
    pub name: &'a str,
    /// From left to right.
    pub scale: Scale,
    /// Where it is marked.
    pub marks: Vec<f64>,
}

/// How values become places.
#[derive(Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Scale {
    /// Zero below, the largest value or a little more above.
    pub fn linear(largest: f64) -> Scale {
        Scale { low: 0.0, high: round_up(largest), is_logarithmic: false }
    }

    /// From zero to a value.
    pub fn until(high: f64) -> Scale {
        Scale { low: 0.0, high, is_logarithmic: false }
    }

    /// From a value above zero to another, by factors.
    pub fn by_factors(low: f64, high: f64) -> Scale {
        Scale { low, high, is_logarithmic: true }
    }

    /// Whole powers of ten that hold all values.
    pub fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let positive = values.filter(|value| *value > 0.0);
        let low = 10f64.powf(positive.clone().fold(1e9, f64::min).log10().floor());
        let high = 10f64.powf(positive.fold(low * 1.5, f64::max).log10().ceil());
        Scale::by_factors(low, high)
    }

    /// From 0, at the lowest value, to 1.
    fn part(self, value: f64) -> f64 {
        if self.high <= self.low {
            return 0.0;
        }
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
    let curve = |name, colour, value: &dyn Fn(&Second) -> f64| Curve {
        name,
        colour,
        points: seconds.iter().map(|second| (second.end, value(second))).collect(),
    };
    let rates = vec![
        curve("intended", "#999999", &|second| second.due as f64 / second.length),
        curve("acknowledged", "#1b7837", &|second| second.acknowledged as f64 / second.length),
        curve("failed", "#c51b1b", &|second| second.failed as f64 / second.length),
    ];
    let latency = |at: usize| move |second: &Second| second.latencies[at] as f64 / 1000.0;
    let latencies = vec![
        curve("max", "#d6604d", &latency(2)),
        curve("p99", "#b2851e", &latency(1)),
        curve("p50", "#2166ac", &latency(0)),
    ];
    let linear = Scale::linear(values(&rates).fold(1.0, f64::max));
    let logarithmic = Scale::logarithmic(values(&latencies));
    let last = seconds.last().map_or(1.0, |second| second.end);
    let marks = (0..=8).map(|eighth| (last * f64::from(eighth) * 12.5).round() / 100.0).collect();
    let axis = Axis { name: "seconds after the warm-up", scale: Scale::until(last), marks };
    let rates = Panel { name: "pushes a second", scale: linear, curves: rates };
    let latencies = Panel { name: "latency, milliseconds", scale: logarithmic, curves: latencies };
    figure(title, &axis, &[rates, latencies])
}

fn values<'a>(curves: &'a [Curve]) -> impl Iterator<Item = f64> + Clone + 'a {
    curves.iter().flat_map(|curve| curve.points.iter().map(|(_, value)| *value))
}

/// Draws panels over an axis.
pub fn figure(title: &str, axis: &Axis, panels: &[Panel]) -> String {
    let height = TOP + STEP * panels.len() as f64 - 10.0;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut picture, LEFT, 24.0, "start", title);
    for (place, panel) in panels.iter().enumerate() {
        draw(&mut picture, TOP + STEP * place as f64, axis, panel);
    }
    text(&mut picture, (LEFT + WIDTH - RIGHT) / 2.0, height - 12.0, "middle", axis.name);
    picture.push_str("</svg>\n");
    picture
}

fn draw(picture: &mut String, top: f64, axis: &Axis, panel: &Panel) {
    let x = |at: f64| LEFT + axis.scale.part(at) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| top + PANEL * (1.0 - panel.scale.part(value));
    text(picture, LEFT, top - 8.0, "start", panel.name);
    for mark in panel.scale.marks() {
        line(picture, [(LEFT, y(mark)), (WIDTH - RIGHT, y(mark))], "#dddddd");
        text(picture, LEFT - 6.0, y(mark) + 4.0, "end", &number(mark));
    }
    for mark in &axis.marks {
        text(picture, x(*mark), top + PANEL + 16.0, "middle", &number(*mark));
    }
    for (place, curve) in panel.curves.iter().enumerate() {
        let points = curve.points.iter().map(|(at, value)| (x(*at), y(*value)));
        line(picture, points.clone(), curve.colour);
        if curve.points.len() <= MOST_DOTS {
            points.for_each(|point| dot(picture, point, curve.colour));
        }
        if curve.name.is_empty() {
            continue;
        }
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

fn dot(picture: &mut String, (x, y): (f64, f64), colour: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(picture, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
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
        assert_eq!([0.0, 2.0, 4.0].map(|value| Scale::until(4.0).part(value)), [0.0, 0.5, 1.0]);
        assert_eq!([1.0, 10.0, 100.0].map(|value| Scale::by_factors(1.0, 100.0).part(value)), [0.0, 0.5, 1.0]);
        // An axis with a single point.
        assert_eq!([Scale::until(0.0).part(0.0), Scale::by_factors(5.0, 5.0).part(5.0)], [0.0, 0.0]);
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
