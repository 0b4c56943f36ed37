//! What was measured, as a table in Markdown, as JSON, and as a picture.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::plot::{Axis, Curve, Panel, Scale, figure};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in JSON.
    key: &'static str,
    /// What stands above it.
    heading: &'static str,
}

/// A column, by its name in JSON and its heading.
pub const fn column(key: &'static str, heading: &'static str) -> Column {
    Column { key, heading }
}

/// A table with a value for each column in each row.
pub struct Findings {
    /// What its files are called.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: numbers, texts, or null where there is nothing to tell.
    pub rows: Vec<Vec<Value>>,
    /// Which of it is drawn.
    pub drawing: Option<Drawing>,
}

/// What is drawn of a table, by its columns' names in JSON.
pub struct Drawing {
    /// Tells the curves apart; without it there is one.
    pub curves: Option<&'static str>,
    /// To the right.
    pub x: &'static str,
    /// Whether `x` grows by factors.
    pub is_logarithmic: bool,
    /// Upwards, a panel for each.
    pub panels: &'static [&'static str],
}

/// Values further apart than this are drawn on a logarithmic scale.
const WIDE: f64 = 20.0;

impl Findings {
    /// For programs.
    pub fn json(&self) -> Value {
        let cores = std::thread::available_parallelism().map(usize::from).ok();
        let points = self.rows.iter().map(|row| {
            self.columns.iter().zip(row).map(|(column, value)| (column.key, value.clone())).collect::<Value>()
        });
        json!({ "title": self.title, "cores": cores, "points": points.collect::<Value>() })
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let Findings { name, title, .. } = self;
        let mut text = format!("{title}\n\n```bash\ncatchment-load scale --only {name}\n```\n\n");
        text += &line(self.columns.iter().map(|column| column.heading.to_owned()).collect());
        text += &line(self.columns.iter().map(|_| "---".to_owned()).collect());
        for row in &self.rows {
            text += &line(row.iter().map(cell).collect());
        }
        text.push('\n');
        text
    }

    /// A picture, if there is something to draw.
    pub fn picture(&self) -> Option<String> {
        let drawing = self.drawing.as_ref()?;
        let x = self.column(drawing.x)?;
        let mut marks: Vec<f64> = self.rows.iter().filter_map(|row| row[x].as_f64()).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        let (first, last) = (*marks.first()?, *marks.last()?);
        let scale = if drawing.is_logarithmic { Scale::by_factors(first, last) } else { Scale::until(last) };
        let axis = Axis { name: self.columns[x].heading, scale, marks };
        let panels: Option<Vec<Panel>> = drawing.panels.iter().map(|key| self.panel(drawing, x, key)).collect();
        Some(figure(self.title, &axis, &panels?))
    }

    fn column(&self, key: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.key == key)
    }

    fn panel(&self, drawing: &Drawing, x: usize, key: &str) -> Option<Panel<'_>> {
        let y = self.column(key)?;
        let by = drawing.curves.and_then(|key| self.column(key));
        let mut curves: Vec<Curve> = Vec::new();
        for row in &self.rows {
            let Some(point) = row[x].as_f64().zip(row[y].as_f64()) else { continue };
            let name = by.and_then(|by| row[by].as_str()).unwrap_or_default();
            match curves.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push(point),
                None => curves.push(Curve { name, colour: COLOURS[curves.len() % COLOURS.len()], points: vec![point] }),
            }
        }
        let values = || curves.iter().flat_map(|curve| curve.points.iter().map(|(_, value)| *value));
        let largest = values().fold(0.0, f64::max);
        let is_wide = values().fold(f64::INFINITY, f64::min) * WIDE < largest;
        let scale = if is_wide { Scale::logarithmic(values()) } else { Scale::linear(largest) };
        Some(Panel { name: self.columns[y].heading, scale, curves })
    }
}

const COLOURS: [&str; 4] = ["#2166ac", "#d6604d", "#1b7837", "#b2851e"];

/// A value for people: three digits mean something, and large numbers are read in groups.
fn cell(value: &Value) -> String {
    match (value.as_f64(), value.as_str()) {
        (_, Some(text)) => text.to_owned(),
        (Some(number), _) if number.fract() == 0.0 || number.abs() >= 100.0 => grouped(number.round() as i64),
        (Some(number), _) => {
            let decimals = (2 - number.abs().log10().floor() as i32).clamp(0, 6) as usize;
            format!("{number:.decimals$}")
        }
        _ => "–".to_owned(),
    }
}

/// Digits in groups of three.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        let is_first_of_group = place > 0 && (digits.len() - place).is_multiple_of(3);
        // Writing to a string does not fail.
        let _ = write!(text, "{}{digit}", if is_first_of_group { "," } else { "" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        Findings {
            name: "stored",
            title: "By what is stored",
            columns: vec![column("curve", "coding"), column("stored", "series"), column("cpu", "CPU µs")],
            rows: vec![
                vec![json!("gzip"), json!(1_000), json!(1.5)],
                vec![json!("gzip"), json!(1_000_000), json!(45.25)],
                vec![json!("identity"), json!(1_000), json!(null)],
            ],
            drawing: Some(Drawing { curves: Some("curve"), x: "stored", is_logarithmic: true, panels: &["cpu"] }),
        }
    }

    #[test]
    fn cells_have_the_digits_that_mean_something() {
        let cases = [
            (json!(0), "0"),
            (json!(1_234_567), "1,234,567"),
            (json!(-1_000), "-1,000"),
            (json!(999), "999"),
            (json!(12_345.678), "12,346"),
            (json!(45.256), "45.3"),
            (json!(1.2345), "1.23"),
            (json!(0.012345), "0.0123"),
            (json!("gzip"), "gzip"),
            (json!(null), "–"),
        ];
        cases.iter().for_each(|(value, expected)| assert_eq!(cell(value), *expected, "{value}"));
    }

    #[test]
    fn a_table_is_markdown_and_json() {
        let text = findings().markdown();
        let expected = "| coding | series | CPU µs |\n| --- | --- | --- |\n| gzip | 1,000 | 1.50 |\n";
        assert!(text.contains(expected) && text.contains("scale --only stored\n"), "{text}");
        assert_eq!(findings().json()["points"][1], json!({ "curve": "gzip", "stored": 1_000_000, "cpu": 45.25 }));
    }

    #[test]
    fn a_picture_has_a_curve_for_each_name_that_has_points() {
        let picture = findings().picture().unwrap();
        assert!(picture.contains(">gzip</text>") && !picture.contains(">identity</text>"), "{picture}");
        assert!(picture.contains(">1000</text>") && picture.contains(">1M</text>"), "{picture}");
        // Values far apart stand on a logarithmic scale.
        assert!(picture.contains(">100</text>"), "{picture}");
        assert!(Findings { drawing: None, ..findings() }.picture().is_none());
        assert!(Findings { rows: vec![], ..findings() }.picture().is_none());
    }
}
