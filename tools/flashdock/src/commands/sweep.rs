//! `sweep`: write amplification and wear over many drives.

use crate::failure::{Failure, Result};
use crate::flash;
use crate::output::{self, Align, Table};
use crate::progress::Progress;
use crate::sweep_plan::{Plan, Run};
use plotters::prelude::*;
use sim_flash::age::{self, Ageing};
use sim_flash::{Drive, FlashDrive, Owned};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Age a drive for every combination of some values, and compare write amplification and wear
///
/// A configuration is a TOML file with values and lists of values, each of which may be left out:
///
///   size           small, 1g, 4g, full
///   spare_percent  of what the host sees, beside what the device needs for itself
///   policy         greedy, cost-benefit
///   workload       uniform, hot-cold
///   overwrites     how often all is overwritten; the figures are those of the last time
///   seed           what chooses the units
///
/// The whole file is checked before anything runs. Results appear when all runs have ended: as CSV on standard output or in a file, and as a plot of
/// write amplification over spare, the mean of all seeds.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The configuration
    #[arg(required_unless_present = "example")]
    config: Option<PathBuf>,
    /// Print a configuration to begin with
    #[arg(long, conflicts_with_all = ["config", "csv", "plot"])]
    example: bool,
    /// Write the CSV to this file, and a table to standard output
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the plot to this file (SVG)
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// What a run found.
#[derive(Clone, Copy)]
struct Found {
    write_amplification: f64,
    with_records: f64,
    erases_mean: f64,
    erases_spread: u32,
}

/// Runs the sweep.
pub fn run(args: &Args) -> Result {
    let Some(path) = args.config.as_deref().filter(|_| !args.example) else {
        return output::print(&Plan::example().to_string());
    };
    let plan = load(path)?;
    if let Some(csv) = &args.csv {
        output::check_replaceable(csv)?;
    }
    if let Some(plot) = &args.plot {
        check_plot(plot)?;
    }
    let runs = plan.runs().map_err(|_| Failure::new("a spare is too small", "give a larger one"))?;
    let writes = |run: &Run| u64::from(run.config.units) * (1 + u64::from(run.overwrites));
    let mut progress = Progress::new("units", runs.iter().map(writes).sum());
    let rows: Vec<(Run, Found)> =
        runs.into_iter().map(|run| Ok((run, study(&run, &mut progress)?))).collect::<Result<_>>()?;
    drop(progress);
    if let Some(plot) = &args.plot {
        let svg = drawn(&rows).map_err(|error| Failure::new(format!("cannot draw: {error}"), "report it"))?;
        output::write_file(plot, svg.as_bytes())?;
    }
    match &args.csv {
        None => output::print(&csv(&rows)),
        Some(file) => {
            output::write_file(file, csv(&rows).as_bytes())?;
            output::print(&table(&rows))
        }
    }
}

fn load(path: &Path) -> Result<Plan> {
    let name = path.display();
    let example = format!("`{}` prints one to begin with", output::command("sweep --example"));
    let cannot = |what: String| Failure::new(format!("cannot read {name}: {what}"), &example);
    let metadata = fs::metadata(path).map_err(|error| cannot(output::reason(&error)))?;
    if !metadata.is_file() {
        return Err(cannot("it is not a file".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| cannot(output::reason(&error)))?;
    Plan::parse(&text).map_err(|bad| {
        let what = format!("{name} has {}, and nothing was run", output::count_text(bad.count, "mistake"));
        Failure::new(what, format!("correct them; {example}")).with_detail(bad)
    })
}

fn check_plot(path: &Path) -> Result {
    if path.extension().is_none_or(|extension| extension != "svg") {
        return Err(Failure::new(
            format!("{} is no name of a plot", path.display()),
            "give `--plot` a name that ends in .svg",
        ));
    }
    output::check_replaceable(path)
}

fn study(run: &Run, progress: &mut Progress) -> Result<Found> {
    let mut memory = Owned::new(&run.config);
    let mut drive = Drive::formatted(run.config, &mut memory, run.seed).map_err(flash::stopped)?;
    let ageing =
        Ageing { fill_percent: 100, rounds: Some(run.overwrites), pattern: run.workload.pattern(), seed: run.seed };
    let aged = age::age(&mut drive, &ageing, || progress.advance(1)).map_err(flash::stopped)?;
    let smart = FlashDrive::smart(&mut drive);
    Ok(Found {
        write_amplification: aged.write_amplifications.last().copied().unwrap_or(0.0),
        with_records: aged.with_records,
        erases_mean: smart.erases as f64 / f64::from(run.config.geometry.blocks_per_plane - 1),
        erases_spread: smart.erases_most - smart.erases_least,
    })
}

// --- The results -------------------------------------------------------------------------------------------------------------------------

const COLUMNS: [&str; 11] = [
    "size",
    "spare_percent",
    "policy",
    "workload",
    "overwrites",
    "seed",
    "units",
    "write_amplification",
    "write_amplification_with_records",
    "erases_mean",
    "erases_spread",
];

fn cells(run: &Run, found: &Found) -> [String; COLUMNS.len()] {
    [
        flash::name_of(run.size),
        run.spare.to_string(),
        flash::name_of(run.policy),
        flash::name_of(run.workload),
        run.overwrites.to_string(),
        run.seed.to_string(),
        run.config.units.to_string(),
        format!("{:.4}", found.write_amplification),
        format!("{:.4}", found.with_records),
        format!("{:.2}", found.erases_mean),
        found.erases_spread.to_string(),
    ]
}

fn csv(rows: &[(Run, Found)]) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for (run, found) in rows {
        let _ = writeln!(text, "{}", cells(run, found).join(","));
    }
    text
}

/// As the CSV, with names that are read at once.
fn table(rows: &[(Run, Found)]) -> String {
    let names = [
        "size",
        "spare %",
        "policy",
        "workload",
        "overwrites",
        "seed",
        "units",
        "WA",
        "WA with records",
        "erases",
        "spread",
    ];
    let mut table = Table::with_heading(&names.map(|name| (name, Align::Right)));
    for (run, found) in rows {
        table.row(cells(run, found));
    }
    table.text(0)
}

const SIZE: (u32, u32) = (960, 480);

/// The drives that differ in nothing but spare and seed: their name, and the mean write amplification for each spare.
fn series(rows: &[(Run, Found)]) -> Vec<(String, Vec<(u32, f64)>)> {
    let mut all: Vec<(String, BTreeMap<u32, Vec<f64>>)> = Vec::new();
    for (run, found) in rows {
        let times = output::count_text(run.overwrites.into(), "overwrite");
        let (size, policy, workload) =
            (flash::name_of(run.size), flash::name_of(run.policy), flash::name_of(run.workload));
        let name = format!("{size}, {policy}, {workload}, {times}");
        let index = all.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            all.push((name, BTreeMap::new()));
            all.len() - 1
        });
        all[index].1.entry(run.spare).or_default().push(found.write_amplification);
    }
    let mean = |figures: Vec<f64>| figures.iter().sum::<f64>() / figures.len() as f64;
    all.into_iter()
        .map(|(name, points)| (name, points.into_iter().map(|(spare, figures)| (spare, mean(figures))).collect()))
        .collect()
}

fn drawn(rows: &[(Run, Found)]) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let spares = rows.iter().map(|(run, _)| f64::from(run.spare)).fold(0.0, f64::max);
        let highest = rows.iter().map(|(_, found)| found.write_amplification).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(&area)
            .caption("Write amplification over spare", ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..spares * 1.1, 0.0..highest * 1.2)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.15))
            .x_desc("spare, percent of what the host sees")
            .y_desc("units programmed per unit written")
            .x_label_formatter(&|spare| format!("{spare:.0}"))
            .y_label_formatter(&|figure| format!("{figure:.1}"))
            .draw()?;
        for (index, (name, points)) in series(rows).into_iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            let points: Vec<(f64, f64)> = points.into_iter().map(|(spare, figure)| (spare.into(), figure)).collect();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 12, y)], color.stroke_width(2)));
            chart.draw_series(points.into_iter().map(|point| Circle::new(point, 4, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_has_a_line_for_drives_that_differ_in_spare_and_seed() {
        let plan = Plan::parse("spare_percent = [10, 20]\nseed = [1, 2]\npolicy = [\"greedy\", \"cost-benefit\"]")
            .expect("a plan");
        let runs = plan.runs().expect("they go together").into_iter();
        let found = |run: &Run| Found {
            write_amplification: f64::from(run.spare) / 10.0 + run.seed as f64,
            with_records: 0.0,
            erases_mean: 0.0,
            erases_spread: 0,
        };
        let rows: Vec<(Run, Found)> = runs.map(|run| (run, found(&run))).collect();
        let expected = vec![(10, 2.5), (20, 3.5)];
        let name = |policy| format!("small, {policy}, uniform, 3 overwrites");
        assert_eq!(series(&rows), [(name("greedy"), expected.clone()), (name("cost-benefit"), expected)]);
        let svg = drawn(&rows).expect("it can be drawn");
        assert!(svg.contains("small, greedy, uniform") && svg.matches("<circle").count() == 4, "{svg}");
        assert_eq!(csv(&rows).lines().count(), 1 + rows.len());
    }
}
