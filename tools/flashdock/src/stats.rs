//! Figures of a run: commands, clocks, latencies.

use crate::output::{self, Align, Table};
use nvme_spec::limits::CORE_HZ;
use serde::Serialize;

/// One command that has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The clock in which its doorbell was rung.
    pub announced_at: u64,
    /// The clock in which its completion was written.
    pub completed_at: u64,
    /// Bytes of data.
    pub bytes: u32,
}

/// Clocks at the frequency of the controller's core, in nanoseconds.
pub fn nanoseconds(clocks: f64) -> f64 {
    clocks * 1e9 / CORE_HZ as f64
}

/// What a run comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Commands that completed.
    pub commands: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// From the first doorbell to the last completion, or from one completion to another.
    pub clocks: u64,
    /// Clocks divided by commands.
    pub cycles_per_command: f64,
    /// At the frequency of the controller's core.
    pub iops: f64,
    /// At the frequency of the controller's core, in 10^9 bytes per second.
    pub gigabytes_per_second: f64,
    /// From the doorbell to the completion entry in host memory.
    pub latency: Latency,
    /// How often which latency was met.
    pub histogram: Vec<Bin>,
}

/// Latency in clocks, and in nanoseconds at the frequency of the controller's core.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Of half of the commands, at most.
    pub p50_cycles: u64,
    /// Of 90 % of the commands, at most.
    pub p90_cycles: u64,
    /// Of 99 % of the commands, at most.
    pub p99_cycles: u64,
    /// Of all commands, at most.
    pub max_cycles: u64,
    /// As `p50_cycles`.
    pub p50_ns: f64,
    /// As `p90_cycles`.
    pub p90_ns: f64,
    /// As `p99_cycles`.
    pub p99_ns: f64,
    /// As `max_cycles`.
    pub max_ns: f64,
}

/// A range of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// From so many clocks ...
    pub from_cycles: u64,
    /// ... to fewer than so many.
    pub to_cycles: u64,
    /// So many commands.
    pub commands: u64,
}

/// Most lines of a histogram.
const BINS_MAX: u64 = 10;

impl Summary {
    /// All of these commands, from the first doorbell on. Without commands there is nothing to sum up.
    pub fn of(samples: &[Sample]) -> Option<Self> {
        let start = samples.iter().map(|sample| sample.announced_at).min()?;
        let end = samples.iter().map(|sample| sample.completed_at).max()?;
        Some(Self::over(samples, end - start))
    }

    /// The steady state: the `commands` that follow the first `warm_up`, from completion to completion. What comes behind them keeps the
    /// queues full until the last of them has completed, and is not counted.
    ///
    /// # Panics
    /// When there are fewer samples than that, or no warm-up.
    pub fn steady(samples: &[Sample], warm_up: usize, commands: usize) -> Self {
        let mut samples = samples.to_vec();
        samples.sort_by_key(|sample| sample.completed_at);
        let start = samples[warm_up - 1].completed_at;
        let measured = &samples[warm_up..warm_up + commands];
        let end = measured[commands - 1].completed_at;
        Self::over(measured, end - start)
    }

    fn over(samples: &[Sample], clocks: u64) -> Self {
        let mut latencies: Vec<u64> = samples.iter().map(|sample| sample.completed_at - sample.announced_at).collect();
        latencies.sort_unstable();
        let commands = samples.len() as u64;
        let bytes = samples.iter().map(|sample| u64::from(sample.bytes)).sum();
        let clocks = clocks.max(1);
        Self {
            commands,
            bytes,
            clocks,
            cycles_per_command: clocks as f64 / commands as f64,
            iops: commands as f64 * CORE_HZ as f64 / clocks as f64,
            gigabytes_per_second: bytes as f64 * CORE_HZ as f64 / clocks as f64 / 1e9,
            latency: Latency::of(&latencies),
            histogram: bins(&latencies),
        }
    }

    /// The histogram as lines of text.
    pub fn histogram_text(&self, indent: usize) -> String {
        const COLUMNS: u64 = 40;
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let most = self.histogram.iter().map(|bin| bin.commands).max().unwrap_or(1).max(1);
        let mut table = Table::new(&[Align::Right, Align::Left, Align::Right, Align::Right, Align::Left]);
        for bin in &self.histogram {
            // A bin that holds anything at all shows.
            let eighths = (bin.commands * COLUMNS * 8).div_ceil(most);
            let bar = "█".repeat((eighths / 8) as usize) + EIGHTHS[(eighths % 8) as usize];
            let share = format!("{:.1} %", 100.0 * bin.commands as f64 / self.commands as f64);
            let (from, to) = (output::thousands(bin.from_cycles), output::thousands(bin.to_cycles));
            table.row([from, format!("..{to}"), output::thousands(bin.commands), share, bar]);
        }
        table.text(indent)
    }
}

impl Latency {
    fn of(sorted: &[u64]) -> Self {
        let [p50, p90, p99, max] = [500, 900, 990, 1000].map(|permille| percentile(sorted, permille));
        let ns = |clocks: u64| nanoseconds(clocks as f64);
        Self {
            p50_cycles: p50,
            p90_cycles: p90,
            p99_cycles: p99,
            max_cycles: max,
            p50_ns: ns(p50),
            p90_ns: ns(p90),
            p99_ns: ns(p99),
            max_ns: ns(max),
        }
    }
}

/// The smallest value that so many of a thousand of all values do not exceed.
///
/// # Panics
/// If there are none.
pub fn percentile(sorted: &[u64], permille: usize) -> u64 {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted[rank - 1]
}

/// Bins that grow with the latency: each is as wide, in proportion, as the others.
fn bins(sorted: &[u64]) -> Vec<Bin> {
    let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let min = min.max(1);
    let ratio = (max + 1) as f64 / min as f64;
    let bound = |i: u64| match i {
        0 => min.min(sorted[0]),
        BINS_MAX => max + 1,
        _ => (min as f64 * ratio.powf(i as f64 / BINS_MAX as f64)).round() as u64,
    };
    let mut bins = Vec::new();
    for i in 0..BINS_MAX {
        let (from_cycles, to_cycles) = (bound(i), bound(i + 1));
        // Bounds that round to the same clock leave nothing between them.
        if from_cycles < to_cycles {
            let below = |limit: u64| sorted.partition_point(|&latency| latency < limit);
            bins.push(Bin { from_cycles, to_cycles, commands: (below(to_cycles) - below(from_cycles)) as u64 });
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(announced_at: u64, completed_at: u64) -> Sample {
        Sample { announced_at, completed_at, bytes: 512 }
    }

    #[test]
    fn percentiles_are_values_that_were_met() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!([500, 900, 990, 991, 1000].map(|permille| percentile(&hundred, permille)), [50, 90, 99, 100, 100]);
        assert_eq!([500, 999].map(|permille| percentile(&[7], permille)), [7, 7]);
        assert_eq!(percentile(&[1, 2, 3], 500), 2);
    }

    #[test]
    fn every_command_is_in_one_bin() {
        for latencies in [vec![0], vec![5, 5], vec![0, 1, 1000], (300..900).collect(), vec![1, 2]] {
            let bins = bins(&latencies);
            assert_eq!(bins.iter().map(|bin| bin.commands).sum::<u64>(), latencies.len() as u64, "{latencies:?}");
            assert!(bins.windows(2).all(|pair| pair[0].to_cycles == pair[1].from_cycles));
        }
    }

    #[test]
    fn the_steady_state_leaves_both_ends_out() {
        // One command in 10 clocks, but for a slow start and a slow end.
        let mut samples = vec![sample(0, 1000)];
        samples.extend((1..=20).map(|i| sample(900 + 10 * i, 1000 + 10 * i)));
        samples.push(sample(0, 9999));
        let summary = Summary::steady(&samples, 1, 20);
        assert_eq!((summary.commands, summary.clocks), (20, 200));
        assert!((summary.cycles_per_command - 10.0).abs() < 1e-9);
        assert_eq!(summary.latency.max_cycles, 100);
    }

    #[test]
    fn all_commands_count_from_the_first_doorbell() {
        let summary = Summary::of(&[sample(100, 400), sample(150, 350)]).unwrap();
        assert_eq!((summary.clocks, summary.bytes), (300, 1024));
        assert!((nanoseconds(300.0) - 1200.0).abs() < 1e-9);
        assert!(Summary::of(&[]).is_none());
    }
}
