//! Plots: what the runs wrote as JSON, drawn as SVG that can be read on a light page and on a dark one.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::arguments::Plot;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
/// Room for the numbers along the sides, the title and the legend.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 50.0;

const STYLE: &str = "text { font: 12px sans-serif; fill: #222 } .title { font-size: 15px } \
    .grid { stroke: #ccc } .line { fill: none; stroke-width: 2 } \
    @media (prefers-color-scheme: dark) { text { fill: #ddd } .grid { stroke: #444 } }";
/// Told apart by eyes that see fewer colours too (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Draws one field of the runs over another.
pub(crate) fn draw(wanted: &Plot) -> Result<()> {
    let lines = read(&wanted.file, &wanted.x, &wanted.y)?;
    ensure!(
        !lines.is_empty(),
        "no run in {} has both {} and {}",
        wanted.file.display(),
        wanted.x,
        wanted.y
    );
    std::fs::write(&wanted.out, svg(wanted, &lines))
        .with_context(|| format!("writing {}", wanted.out.display()))
}

/// A line for each workload and transport, its points from left to right.
fn read(file: &Path, x: &str, y: &str) -> Result<Lines> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let mut lines = Lines::new();
    for row in text.lines() {
        let row: Value = serde_json::from_str(row).context("a line is no JSON object")?;
        let (Some(x), Some(y)) = (row[x].as_f64(), row[y].as_f64()) else { continue };
        let name = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let line = format!("{} {}", name("workload"), name("transport"));
        lines.entry(line.trim().to_owned()).or_default().push((x, y));
    }
    for points in lines.values_mut() {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    Ok(lines)
}

/// Along the bottom each value has the same room: they mostly grow by factors.
fn places(lines: &Lines) -> Vec<f64> {
    let mut places: Vec<f64> = lines.values().flatten().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

/// The next round number at which an axis can end.
fn round_up(value: f64) -> f64 {
    let scale = 10f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let fits = steps.into_iter().map(|step| step * scale).find(|end| *end >= value);
    fits.unwrap_or(10.0 * scale)
}

fn svg(wanted: &Plot, lines: &Lines) -> String {
    let places = places(lines);
    let most = round_up(lines.values().flatten().map(|(_, y)| *y).fold(0.0, f64::max));
    let gap = (WIDTH - LEFT - RIGHT) / (places.len().max(2) - 1) as f64;
    let across = |x: f64| {
        let place = places.iter().position(|place| *place == x).unwrap_or_default();
        LEFT + gap * place as f64
    };
    let up = |y: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / most;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<title>{title}</title>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"20\">{title}</text>\n",
        title = escaped(&wanted.title)
    );
    // Writing to a string cannot fail.
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let y = up(value);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for x in &places {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{x}</text>",
            across(*x),
            HEIGHT - BOTTOM + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 10.0,
        escaped(&format!("{} (side: {})", wanted.x, wanted.y))
    );
    for (number, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> =
            points.iter().map(|(x, y)| format!("{:.1} {:.1}", across(*x), up(*y))).collect();
        let _ = writeln!(
            svg,
            "<path class=\"line\" stroke=\"{colour}\" d=\"M{}\"/>\
             <text x=\"{:.1}\" y=\"42\" style=\"fill:{colour}\">{}</text>",
            path.join("L"),
            LEFT + 150.0 * number as f64,
            escaped(name)
        );
        for (x, y) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{x}: {y}</title></circle>",
                across(*x),
                up(*y)
            );
        }
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_with_both_fields_is_a_point_and_the_others_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs.jsonl");
        let runs = "{\"workload\":\"noop\",\"transport\":\"grpc\",\"in_flight\":32,\"p50_ms\":2}\n\
                    {\"workload\":\"noop\",\"transport\":\"grpc\",\"in_flight\":1,\"p50_ms\":1.5}\n\
                    {\"workload\":\"noop\",\"unfinished\":7}\n";
        std::fs::write(&file, runs).unwrap();
        let lines = read(&file, "in_flight", "p50_ms").unwrap();
        assert_eq!(lines, Lines::from([("noop grpc".to_owned(), vec![(1.0, 1.5), (32.0, 2.0)])]));
        let wanted = Plot {
            file: file.clone(),
            x: "in_flight".to_owned(),
            y: "p50_ms".to_owned(),
            title: "latency & load".to_owned(),
            out: folder.path().join("plot.svg"),
        };
        draw(&wanted).unwrap();
        let drawn = std::fs::read_to_string(&wanted.out).unwrap();
        assert_eq!(drawn.matches("<circle").count(), 2);
        assert!(drawn.contains("latency &amp; load") && !drawn.contains("NaN"), "{drawn}");
        let none = Plot { y: "nothing".to_owned(), ..wanted };
        assert!(draw(&none).unwrap_err().to_string().contains("has both in_flight and nothing"));
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_all_points() {
        for (most, end) in [(0.7, 1.0), (1.2, 2.0), (2.1, 2.5), (26.0, 50.0), (1000.0, 1000.0)] {
            assert_eq!(round_up(most), end, "{most}");
        }
    }
}
