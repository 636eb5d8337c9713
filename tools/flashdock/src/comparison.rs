//! What measured cycles mean at the frequency of the core, beside what PCIe links let through and what others report: as a table, as JSON and as a plot.

use crate::failure::{Failure, Result};
use crate::link::{self, Generation, GENERATIONS};
use crate::output::{self, Align, Table};
use crate::workload::Op;
use nvme_spec::limits::CORE_HZ;
use plotters::prelude::*;
use serde::Serialize;
use std::path::Path;

/// A throughput that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Throughput {
    /// What was done: `512 B reads`.
    pub name: String,
    #[serde(skip)]
    op: Op,
    /// Bytes of a command.
    pub bytes: u64,
    /// Clocks per command.
    pub cycles: f64,
    /// Commands per second.
    pub iops: f64,
    /// 10^9 bytes per second.
    pub gigabytes_per_second: f64,
    /// What links let through.
    pub limits: Vec<Limit>,
}

/// What a link lets through.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// `Gen3 x4`.
    pub link: String,
    /// Commands per second.
    pub iops: f64,
    /// 10^9 bytes of data per second.
    pub gigabytes_per_second: f64,
}

/// A figure that somebody reports of another controller. Not measured here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reported {
    /// Whose it is.
    pub of: &'static str,
    /// What was done.
    pub what: &'static str,
    /// Bytes of a command.
    pub bytes: u64,
    /// Commands per second.
    pub iops: Option<f64>,
    /// 10^9 bytes per second.
    pub gigabytes_per_second: Option<f64>,
}

/// What others report.
pub const OTHERS: &[Reported] = &[
    Reported {
        of: "best open NVMe RTL known, Gen3 x8",
        what: "large transfers",
        bytes: 128 << 10,
        iops: None,
        gigabytes_per_second: Some(7.0),
    },
    Reported {
        of: "best open NVMe RTL known, Gen3 x8",
        what: "4 KiB commands",
        bytes: 4096,
        iops: Some(1.7e6),
        gigabytes_per_second: None,
    },
    Reported {
        of: "each drive of the AiSIO study",
        what: "512 B reads",
        bytes: 512,
        iops: Some(3.85e6),
        gigabytes_per_second: None,
    },
];

impl Reported {
    /// In 10^9 bytes per second, worked out if it was reported in commands.
    fn gigabytes_per_second(&self) -> f64 {
        let worked_out = self.iops.map(|iops| iops * self.bytes as f64 / 1e9);
        self.gigabytes_per_second.or(worked_out).unwrap_or(0.0)
    }
}

impl Throughput {
    /// Commands of one kind and size that take `cycles` clocks each.
    pub fn new(op: Op, bytes: u64, cycles: f64) -> Self {
        let iops = CORE_HZ as f64 / cycles;
        let kind = match op {
            Op::Read => "reads",
            Op::Write => "writes",
            Op::Mixed => "mixed",
        };
        let limit = |generation: &Generation| {
            let iops = commands_per_second(generation, op, bytes);
            Limit {
                link: format!("{} x{}", generation.name, link::LANES),
                iops,
                gigabytes_per_second: iops * bytes as f64 / 1e9,
            }
        };
        Self {
            name: format!("{} {kind}", output::bytes_text(bytes)),
            op,
            bytes,
            cycles,
            iops,
            gigabytes_per_second: iops * bytes as f64 / 1e9,
            limits: GENERATIONS.iter().map(limit).collect(),
        }
    }
}

/// Most commands per second of a link. Of reads and writes in turn, each takes the direction of the link that the other needs little of, so that
/// twice as many as the slower of both fit.
fn commands_per_second(generation: &Generation, op: Op, bytes: u64) -> f64 {
    let (reads, writes) = (generation.reads_per_second(bytes), generation.writes_per_second(bytes));
    match op {
        Op::Read => reads,
        Op::Write => writes,
        Op::Mixed => 2.0 * reads.min(writes),
    }
}

/// The heading of the table: what its figures are.
pub fn title() -> String {
    format!("At {} MHz, beside PCIe links and other controllers", CORE_HZ / 1_000_000)
}

/// The table.
pub fn table(measured: &[Throughput]) -> String {
    let links = GENERATIONS.iter().map(|generation| format!("{} x{}", generation.name, link::LANES));
    let names = links.flat_map(|link| [format!("{link} MIOPS"), "GB/s".to_owned()]);
    let mut columns = vec![("".to_owned(), Align::Left)];
    columns.extend(["cycles", "MIOPS", "GB/s"].map(|name| (name.to_owned(), Align::Right)));
    columns.extend(names.map(|name| (name, Align::Right)));
    let columns: Vec<(&str, Align)> = columns.iter().map(|(name, align)| (name.as_str(), *align)).collect();
    let mut table = Table::with_heading(&columns);
    let two = |value: f64| format!("{value:.2}");
    for row in measured {
        let mut cells = vec![row.name.clone(), format!("{:.1}", row.cycles), two(row.iops / 1e6)];
        cells.push(two(row.gigabytes_per_second));
        cells.extend(row.limits.iter().flat_map(|limit| [two(limit.iops / 1e6), two(limit.gigabytes_per_second)]));
        table.row(cells);
    }
    let mut others = Table::with_heading(&[
        ("reported by others", Align::Left),
        ("", Align::Left),
        ("MIOPS", Align::Right),
        ("GB/s", Align::Right),
    ]);
    for other in OTHERS {
        let iops = other.iops.map_or_else(String::new, |iops| two(iops / 1e6));
        others.row([other.of.to_owned(), other.what.to_owned(), iops, two(other.gigabytes_per_second())]);
    }
    let payload = link::MAX_PAYLOAD_BYTES;
    format!("{}  links: arithmetic, payloads of {payload} B\n\n{}", table.text(2), others.text(2))
}

// --- The plot ----------------------------------------------------------------------------------------------------------------------------

const SIZE: (u32, u32) = (960, 480);

/// A bar of the plot: what it is of, how high it is, and its place among the kinds of bars.
struct Bar {
    group: usize,
    kind: usize,
    gigabytes_per_second: f64,
}

/// Writes the comparison as an SVG: for each measured throughput a bar, and one for each link; others are lines across.
pub fn plot(path: &Path, measured: &[Throughput]) -> Result {
    if path.extension().is_none_or(|extension| extension != "svg") {
        return Err(Failure::new(
            format!("{} is no name of a plot", path.display()),
            "give `--plot` a name that ends in .svg",
        ));
    }
    output::check_replaceable(path)?;
    if measured.is_empty() {
        return Err(Failure::new("there is no throughput to plot", "leave `--only` out, or name a throughput"));
    }
    let svg = drawn(measured).map_err(|error| Failure::new(format!("cannot draw: {error}"), "report it"))?;
    output::write_file(path, svg.as_bytes())
}

fn drawn(measured: &[Throughput]) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let kinds: Vec<String> = std::iter::once("flashdock".to_owned())
            .chain(measured[0].limits.iter().map(|limit| format!("{} (limit)", limit.link)))
            .collect();
        let bars: Vec<Bar> = measured
            .iter()
            .enumerate()
            .flat_map(|(group, row)| {
                let limits = row.limits.iter().map(|limit| limit.gigabytes_per_second);
                let heights = std::iter::once(row.gigabytes_per_second).chain(limits);
                heights.enumerate().map(move |(kind, gigabytes_per_second)| Bar { group, kind, gigabytes_per_second })
            })
            .collect();
        let others: Vec<&Reported> = OTHERS.iter().collect();
        let highest = bars.iter().map(|bar| bar.gigabytes_per_second).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption(format!("flashdock at {} MHz, GB/s", CORE_HZ / 1_000_000), ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..measured.len() as f64, 0.0..highest * 1.5)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .x_labels(2 * measured.len() + 1)
            .x_label_formatter(&|x| {
                let middle = (x.fract() - 0.5).abs() < 0.01;
                measured.get(*x as usize).filter(|_| middle).map_or_else(String::new, |row| row.name.clone())
            })
            .draw()?;
        let width = 0.8 / kinds.len() as f64;
        for (kind, name) in kinds.iter().enumerate() {
            let color = if kind == 0 { RGBColor(0xC0, 0x39, 0x2B) } else { grey(kind) };
            let of_kind = bars.iter().filter(|bar| bar.kind == kind).map(|bar| {
                let left = bar.group as f64 + 0.1 + width * bar.kind as f64;
                Rectangle::new([(left, 0.0), (left + width * 0.92, bar.gigabytes_per_second)], color.filled())
            });
            chart
                .draw_series(of_kind)?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
        }
        for (index, other) in others.iter().enumerate() {
            let color = Palette99::pick(index + 2).to_rgba();
            let height = other.gigabytes_per_second();
            chart
                .draw_series(LineSeries::new([(0.0, height), (measured.len() as f64, height)], color.stroke_width(2)))?
                .label(format!("{}: {}", other.of, other.what))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

fn grey(kind: usize) -> RGBColor {
    let level = 0xD0_u8.saturating_sub(0x30 * (kind as u8 - 1));
    RGBColor(level, level, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Throughput> {
        vec![Throughput::new(Op::Read, 512, 10.0), Throughput::new(Op::Mixed, 4096, 36.0)]
    }

    #[test]
    fn cycles_become_commands_and_bytes_beside_every_link() {
        let text = table(&rows());
        assert!(text.contains("512 B reads") && text.contains("25.00") && text.contains("12.80"), "{text}");
        for generation in GENERATIONS {
            assert!(text.contains(&format!("{} x4 MIOPS", generation.name)), "{text}");
        }
        assert!(OTHERS.iter().all(|other| text.contains(other.of)), "{text}");
        // Both directions are busy.
        assert!(rows()[1].limits[0].gigabytes_per_second > 2.0 * 3.3);
    }

    #[test]
    fn the_plot_has_a_bar_for_each_figure_and_link() {
        let svg = drawn(&rows()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["512 B reads", "4 KiB mixed", "flashdock", "Gen5 x4 (limit)", OTHERS[2].of] {
            assert!(svg.contains(text), "{text}");
        }
        // The background, the bars, and one of each kind in the legend.
        let kinds = 1 + GENERATIONS.len();
        assert!(svg.matches("<rect").count() >= 2 * kinds + kinds);
    }
}
