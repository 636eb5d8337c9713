//! What `sweep` runs: a TOML file with values and lists of values.

use crate::block_trace::BadLines;
use crate::flash::{self, Collection, Overwrites, Size, SPARE_MAX};
use clap::ValueEnum;
use flash_fw::Config;
use std::fmt;
use std::ops::RangeInclusive;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// Most runs of a plan.
const RUNS_MAX: usize = 10_000;
/// How often all may be overwritten.
const OVERWRITES: RangeInclusive<u64> = 1..=1000;

/// The values of each part: all combinations are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of the flash.
    pub sizes: Vec<Size>,
    /// In percent of what the host sees.
    pub spares: Vec<u32>,
    /// Which super-block is collected.
    pub policies: Vec<Collection>,
    /// Which units are overwritten.
    pub workloads: Vec<Overwrites>,
    /// How often.
    pub overwrites: Vec<u32>,
    /// What chooses them. TOML has integers of 63 bits.
    pub seeds: Vec<u64>,
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// What firmware is told.
    pub config: Config,
    /// See [`Plan`].
    pub size: Size,
    /// See [`Plan`].
    pub spare: u32,
    /// See [`Plan`].
    pub policy: Collection,
    /// See [`Plan`].
    pub workload: Overwrites,
    /// See [`Plan`].
    pub overwrites: u32,
    /// See [`Plan`].
    pub seed: u64,
}

impl Plan {
    /// A plan to begin with: what does not stand in a file is as here.
    pub fn example() -> Self {
        Self {
            sizes: vec![Size::Small],
            spares: vec![7, 15, 28],
            policies: vec![Collection::Greedy],
            workloads: vec![Overwrites::Uniform],
            overwrites: vec![3],
            seeds: vec![1],
        }
    }

    /// The plan of a file.
    ///
    /// # Errors
    /// Lines that are wrong.
    pub fn parse(text: &str) -> Result<Self, BadLines> {
        let mut bad = BadLines::default();
        let line_at = |offset: usize| {
            1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|&&byte| byte == b'\n').count() as u64
        };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let offset = error.span().map_or(0, |span| span.start);
            bad.add(line_at(offset), error.message().replace('\n', ", "));
        }
        if bad.count > 0 {
            return Err(bad);
        }
        let mut plan = Self::example();
        let mut spare_line = 1;
        for (key, value) in table.get_ref() {
            let line = line_at(key.span().start);
            let mut reader = Reader { value, line_at: &line_at, bad: &mut bad };
            match key.get_ref().as_ref() {
                "size" => plan.sizes = reader.names(),
                "spare_percent" => {
                    spare_line = line;
                    plan.spares =
                        reader.numbers(1..=u64::from(SPARE_MAX)).into_iter().map(|spare| spare as u32).collect();
                }
                "policy" => plan.policies = reader.names(),
                "workload" => plan.workloads = reader.names(),
                "overwrites" => {
                    plan.overwrites = reader.numbers(OVERWRITES).into_iter().map(|times| times as u32).collect()
                }
                "seed" => plan.seeds = reader.numbers(0..=i64::MAX as u64),
                other => bad.add(
                    line,
                    format!("there is no `{other}`; there are size, spare_percent, policy, workload, overwrites, seed"),
                ),
            }
        }
        if bad.count == 0 {
            if plan.count() > RUNS_MAX {
                bad.add(1, format!("these are {} runs; {RUNS_MAX} are the most", plan.count()));
            } else if let Err((size, spare)) = plan.runs() {
                bad.add(spare_line, format!("{spare} % of spare are too few for size {}", flash::name_of(size)));
            }
        }
        if bad.count == 0 {
            Ok(plan)
        } else {
            Err(bad)
        }
    }

    fn count(&self) -> usize {
        let counts = [
            self.sizes.len(),
            self.spares.len(),
            self.policies.len(),
            self.workloads.len(),
            self.overwrites.len(),
            self.seeds.len(),
        ];
        counts.into_iter().fold(1, usize::saturating_mul)
    }

    /// All combinations, the last part changing first.
    ///
    /// # Errors
    /// A size and a spare that do not go together.
    pub fn runs(&self) -> Result<Vec<Run>, (Size, u32)> {
        let mut runs = Vec::new();
        for &size in &self.sizes {
            for &spare in &self.spares {
                for &policy in &self.policies {
                    let config = flash::config(size, spare, policy).ok_or((size, spare))?;
                    for &workload in &self.workloads {
                        for &overwrites in &self.overwrites {
                            for &seed in &self.seeds {
                                runs.push(Run { config, size, spare, policy, workload, overwrites, seed });
                            }
                        }
                    }
                }
            }
        }
        Ok(runs)
    }
}

/// As a file that says what each part is.
impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: Vec<String>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let numbers = |numbers: Vec<u64>| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let all = |names: &[String]| names.join(", ");
        let sizes = Size::value_variants().iter().map(|value| flash::name_of(*value)).collect::<Vec<_>>();
        let policies = Collection::value_variants().iter().map(|value| flash::name_of(*value)).collect::<Vec<_>>();
        let workloads = Overwrites::value_variants().iter().map(|value| flash::name_of(*value)).collect::<Vec<_>>();
        writeln!(
            formatter,
            "# Every combination of these values is run. A list of one may stand without its brackets."
        )?;
        writeln!(formatter, "# How large the flash is: {}.", all(&sizes))?;
        writeln!(formatter, "size = [{}]", names(self.sizes.iter().map(|value| flash::name_of(*value)).collect()))?;
        writeln!(
            formatter,
            "# Spare in percent of what the host sees, beside what the device needs for itself: 1 to {SPARE_MAX}."
        )?;
        writeln!(formatter, "spare_percent = [{}]", numbers(self.spares.iter().map(|&value| value.into()).collect()))?;
        writeln!(formatter, "# Which super-block is collected: {}.", all(&policies))?;
        writeln!(
            formatter,
            "policy = [{}]",
            names(self.policies.iter().map(|value| flash::name_of(*value)).collect())
        )?;
        writeln!(formatter, "# Which units are overwritten: {}.", all(&workloads))?;
        writeln!(
            formatter,
            "workload = [{}]",
            names(self.workloads.iter().map(|value| flash::name_of(*value)).collect())
        )?;
        writeln!(formatter, "# How often all is overwritten: the figures are those of the last time.")?;
        writeln!(formatter, "overwrites = [{}]", numbers(self.overwrites.iter().map(|&value| value.into()).collect()))?;
        writeln!(formatter, "# What chooses the units.")?;
        writeln!(formatter, "seed = [{}]", numbers(self.seeds.clone()))
    }
}

/// Reads the value of a key, or each of its list.
struct Reader<'a, 'i> {
    value: &'a Spanned<DeValue<'i>>,
    line_at: &'a dyn Fn(usize) -> u64,
    bad: &'a mut BadLines,
}

impl Reader<'_, '_> {
    fn each<T>(&mut self, read: impl Fn(&DeValue) -> Result<T, String>) -> Vec<T> {
        let one = std::slice::from_ref(self.value);
        let values = match self.value.get_ref() {
            DeValue::Array(list) => list.iter().collect::<Vec<_>>(),
            _ => one.iter().collect(),
        };
        if values.is_empty() {
            self.bad.add((self.line_at)(self.value.span().start), "the list is empty");
        }
        let mut read_values = Vec::new();
        for value in values {
            match read(value.get_ref()) {
                Ok(value) => read_values.push(value),
                Err(reason) => self.bad.add((self.line_at)(value.span().start), reason),
            }
        }
        read_values
    }

    fn names<T: ValueEnum>(&mut self) -> Vec<T> {
        let names: Vec<String> = T::value_variants().iter().map(|value| flash::name_of(value.clone())).collect();
        self.each(|value| {
            let name =
                value.as_str().ok_or_else(|| format!("a {} is none of {}", value.type_str(), names.join(", ")))?;
            T::from_str(name, false).map_err(|_| format!("`{name}` is none of {}", names.join(", ")))
        })
    }

    fn numbers(&mut self, range: RangeInclusive<u64>) -> Vec<u64> {
        let what = format!("is not a number from {} to {}", range.start(), range.end());
        self.each(|value| {
            let integer = value.as_integer().ok_or_else(|| format!("a {} {what}", value.type_str()))?;
            let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
            number.filter(|number| range.contains(number)).ok_or_else(|| format!("{} {what}", integer.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_lines_are_named_all_of_them() {
        let text = "size = [\"small\", \"huge\"]\nspare_percent = [7,\n  0,\n  \"x\"]\npolicy = 3\nworkloads = []\nseed = []\noverwrites = -1\n";
        let bad = Plan::parse(text).expect_err("it is bad");
        let expected = [
            (1, "`huge` is none of small, 1g, 4g, full"),
            (3, "0 is not a number from 1 to 400"),
            (4, "a string is not a number"),
            (5, "a integer is none of greedy, cost-benefit"),
            (6, "there is no `workloads`"),
            (7, "the list is empty"),
            (8, "-1 is not a number from 1 to 1000"),
        ];
        let mut found = bad.first.clone();
        found.sort_by_key(|bad| bad.line);
        assert_eq!(found.len(), expected.len(), "{bad}");
        for (found, (line, part)) in found.iter().zip(expected) {
            assert!(found.line == line && found.reason.contains(part), "{bad}");
        }
        let broken = Plan::parse("seed = 1\nsize = [\"small\"\n").expect_err("it is no TOML");
        assert!(broken.first[0].line >= 2, "{broken}");
        let seeds: Vec<String> = (0..=RUNS_MAX).map(|seed| seed.to_string()).collect();
        let many = Plan::parse(&format!("seed = [{}]\nspare_percent = 7", seeds.join(","))).expect_err("too many");
        assert!(many.to_string().contains("10001 runs"), "{many}");
    }

    #[test]
    fn a_value_is_a_list_of_one_and_all_combinations_run() {
        let plan = Plan::parse("seed = [1, 0x10]\npolicy = \"cost-benefit\"\nspare_percent = 1_0\n").expect("a plan");
        assert_eq!((plan.seeds.as_slice(), plan.policies.as_slice()), (&[1, 16][..], &[Collection::CostBenefit][..]));
        let runs = plan.runs().expect("they go together");
        assert_eq!(runs.iter().map(|run| (run.spare, run.seed)).collect::<Vec<_>>(), [(10, 1), (10, 16)]);
        assert_eq!(Plan::parse(""), Ok(Plan::example()));
    }

    fn some<T: ValueEnum + std::fmt::Debug + 'static>() -> impl Strategy<Value = Vec<T>> {
        prop::collection::vec(prop::sample::select(T::value_variants()), 1..3)
    }

    fn any_plan() -> impl Strategy<Value = Plan> {
        let spares = prop::collection::vec(7..=SPARE_MAX, 1..4);
        let overwrites = prop::collection::vec(1..=1000_u32, 1..4);
        let seeds = prop::collection::vec(0..=i64::MAX as u64, 1..4);
        (some(), spares, some(), some(), overwrites, seeds).prop_map(
            |(sizes, spares, policies, workloads, overwrites, seeds)| Plan {
                sizes,
                spares,
                policies,
                workloads,
                overwrites,
                seeds,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(plan in any_plan()) {
            prop_assert_eq!(Plan::parse(&plan.to_string()), Ok(plan));
        }

        #[test]
        fn any_text_is_a_plan_or_none(text in ".{0,100}") {
            let _ = Plan::parse(&text);
        }

        #[test]
        fn nearly_plans_are_a_plan_or_none(text in "((size|seed|spare_percent|policy|x.y) ?= ?(\\[?(\"small\"|-?[0-9]{0,20}|0x[0-9a-g]{0,20}|1e3|\\{\\}|nan),?\\]?)\n){0,4}") {
            let _ = Plan::parse(&text);
        }
    }
}
