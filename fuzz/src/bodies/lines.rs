//! Families as text and OpenMetrics write them, mostly valid.

use catchment::exposition::format::PushFormat;

use super::{Choices, NAMES, Part, same};

const KINDS: [&str; 9] =
    ["counter", "gauge", "histogram", "summary", "untyped", "unknown", "gaugehistogram", "info", "stateset"];

const LABELS: [&str; 12] = [
    "",
    "{a=\"1\"}",
    "{a=\"2\"}",
    "{ b = \"1\" , a=\"1\",}",
    "{a=\"\"}",
    "{a=\"# 1\\n 2\"}",
    "{clearmode=\"replace\"}",
    "{clearmode=\"family\",a=\"1\"}",
    "{\"x.y\"=\"1\"}",
    "{le=\"1\"}",
    "{a=\"drop\"}",
    "{quantile=\"0.5\"}",
];

/// A family's lines in text or OpenMetrics, or any lines.
pub(super) fn lines(format: PushFormat, choices: &mut Choices<'_>, parts: &mut Vec<Part>) {
    let (name, kind) = (choices.pick(&NAMES), choices.pick(&KINDS));
    let said = choices.byte();
    if said & 1 == 0 {
        parts.push(same(format!("# TYPE {name} {kind}\n")));
    }
    if said & 2 == 2 {
        parts.push(same(format!("# HELP {name} Of \\n {said}.\n")));
    }
    if said & 4 == 4 {
        parts.push(same(choices.pick(&[
            "\n",
            "# \n",
            " # x 1\n",
            "#EOF\n",
            "# UNIT a_s s\n",
            "  \t\n",
            "# TYPE c_sum counter\n",
        ])));
    }
    let is_openmetrics = format == PushFormat::OpenMetrics;
    for _ in 0..1 + choices.below(3) {
        let labels = choices.pick(&LABELS);
        match kind {
            "histogram" | "gaugehistogram" => {
                histogram_lines(kind == "gaugehistogram" && is_openmetrics, name, labels, choices, parts)
            }
            "summary" => {
                let missing = choices.byte();
                let quantile = with_label(labels, "quantile", choices.pick(&["0.5", "0.9"]));
                let series = [
                    (4, name.to_owned() + &quantile),
                    (1, format!("{name}_sum{labels}")),
                    (2, format!("{name}_count{labels}")),
                ];
                series
                    .iter()
                    .filter(|(bit, _)| missing & bit == 0)
                    .for_each(|(_, series)| line(series, choices, parts));
            }
            "counter" if is_openmetrics => {
                line(&format!("{}_total{labels}", name.trim_end_matches("_total")), choices, parts);
                if said & 8 == 8 {
                    line(&format!("{name}_created{labels}"), choices, parts);
                }
            }
            "info" if is_openmetrics => line(&format!("{name}_info{labels}"), choices, parts),
            "stateset" if is_openmetrics => line(&(name.to_owned() + &with_label(labels, name, "on")), choices, parts),
            _ => line(&format!("{name}{labels}"), choices, parts),
        }
    }
}

fn histogram_lines(is_gauge: bool, name: &str, labels: &str, choices: &mut Choices<'_>, parts: &mut Vec<Part>) {
    let missing = choices.byte();
    for (bit, bound) in [(1, "1"), (2, "2"), (4, "+Inf"), (8, "1.0")] {
        if (missing ^ 8) & bit == 0 {
            line(&format!("{name}_bucket{}", with_label(labels, "le", bound)), choices, parts);
        }
    }
    let [sum, count] = if is_gauge { ["gsum", "gcount"] } else { ["sum", "count"] };
    if missing & 16 == 0 {
        line(&format!("{name}_{sum}{labels}"), choices, parts);
    }
    if missing & 32 == 0 {
        line(&format!("{name}_{count}{labels}"), choices, parts);
    }
}

fn with_label(labels: &str, name: &str, value: &str) -> String {
    match labels.strip_suffix('}') {
        Some(open) if open.ends_with(',') => format!("{open}{name}=\"{value}\"}}"),
        Some(open) => format!("{open},{name}=\"{value}\"}}"),
        None => format!("{{{name}=\"{value}\"}}"),
    }
}

/// A series and its value; now and then with more behind it.
fn line(series: &str, choices: &mut Choices<'_>, parts: &mut Vec<Part>) {
    let end = choices.byte();
    let series = match series.strip_prefix('"').and_then(|series| series.split_once('"')) {
        Some((name, labels)) => format!("{{\"{name}\",{}}}", labels.trim_matches(['{', '}'])).replace(",}", "}"),
        None => series.to_owned(),
    };
    let (blank, end) = match end {
        0..224 => (" ", "\n"),
        224..230 => ("  ", " \n"),
        230..236 => ("\t", "\r\n"),
        236..240 => (" ", " 1234\n"),
        240..244 => (" ", " # {a=\"1\"} 1\n"),
        244..248 => (" ", ""),
        248..252 => ("", "\n"),
        _ => (" ", "\t\n"),
    };
    parts.extend([same(series + blank), Part::Decimal, same(end)]);
}
