//! Simulators of one design that get the same inputs; every output of all of them is compared after every clock.

use rtl_hdl::bench::{Rng, Seed};
use rtl_hdl::ir::{Domain, ModuleIr, Port};
use rtl_hdl::sim::{PortId, Simulator};
use rtl_hdl::{words_for, Direction};

use crate::panics::caught;

/// A simulator with what it is called.
pub struct Opinion {
    /// Its name.
    pub name: &'static str,
    /// What runs the design.
    pub simulator: Box<dyn Simulator>,
}

/// How simulators differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// One of them stopped.
    Stopped {
        /// Its name.
        name: &'static str,
        /// Why.
        message: String,
        /// After how many clocks.
        clocks: u64,
    },
    /// They say different things.
    Disagree {
        /// Those who are not of the opinion of the most; everybody, if there are no most.
        odd: Vec<&'static str>,
        /// An output, and what each says.
        message: String,
        /// After how many clocks.
        clocks: u64,
    },
}

/// Gives all of them the same random inputs for this many clocks.
///
/// # Errors
/// Where they differ first.
pub fn run(top: &ModuleIr, opinions: &mut [Opinion], seed: Seed, clocks: u64) -> Result<(), Difference> {
    let mut comparison = Comparison::new(top, opinions);
    let mut rng = seed.rng(&format!("inputs of {}", top.name));
    let every_clock = (1 << top.clocks.len()) - 1;
    for _ in 0..clocks {
        for (index, port) in top.ports.iter().enumerate().filter(|(_, port)| port.direction == Direction::Input) {
            if let Some(value) = input(top, port, &mut rng) {
                comparison.each(|simulator, ports| simulator.poke(ports[index], &value))?;
            }
        }
        if rng.percent(50) {
            comparison.each(|simulator, _| simulator.settle())?;
            comparison.compare()?;
        }
        let rising = rng.range(1..every_clock + 1);
        comparison.each(|simulator, _| simulator.step_clocks(rising))?;
        comparison.clocks += 1;
        comparison.compare()?;
    }
    Ok(())
}

/// The next value of an input, if it changes.
fn input(top: &ModuleIr, port: &Port, rng: &mut Rng) -> Option<Vec<u64>> {
    let is_reset = top.clocks.iter().any(|clock| clock.reset == Some(port.node));
    match port.domain {
        Domain::ClockInput(_) => None,
        _ if is_reset => Some(vec![u64::from(rng.percent(4))]),
        // What takes effect at once, most of the time does not.
        Domain::Async if port.width == 1 => Some(vec![u64::from(rng.percent(10))]),
        _ if rng.percent(30) => None,
        _ if rng.percent(20) => Some(vec![0; words_for(port.width)]),
        _ => Some(rng.bits(port.width)),
    }
}

struct Comparison<'a> {
    top: &'a ModuleIr,
    opinions: &'a mut [Opinion],
    /// For each simulator, its number of each port of the top.
    ports: Vec<Vec<PortId>>,
    clocks: u64,
}

impl<'a> Comparison<'a> {
    fn new(top: &'a ModuleIr, opinions: &'a mut [Opinion]) -> Self {
        let numbers = |opinion: &Opinion| top.ports.iter().map(|port| opinion.simulator.port(&port.name)).collect();
        let ports = opinions.iter().map(numbers).collect();
        Self { top, opinions, ports, clocks: 0 }
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Simulator, &[PortId])) -> Result<(), Difference> {
        for (opinion, ports) in self.opinions.iter_mut().zip(&self.ports) {
            caught(|| work(&mut *opinion.simulator, ports)).map_err(|panic| Difference::Stopped {
                name: opinion.name,
                message: panic.message,
                clocks: self.clocks,
            })?;
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), Difference> {
        let outputs = self.top.ports.iter().enumerate().filter(|(_, port)| port.direction == Direction::Output);
        for (index, port) in outputs {
            let said: Vec<Vec<u64>> = self
                .opinions
                .iter()
                .zip(&self.ports)
                .map(|(opinion, ports)| {
                    let mut words = vec![0; words_for(port.width)];
                    opinion.simulator.peek(ports[index], &mut words);
                    words
                })
                .collect();
            if said.iter().any(|words| *words != said[0]) {
                return Err(self.difference(port, &said));
            }
        }
        Ok(())
    }

    fn difference(&self, port: &Port, said: &[Vec<u64>]) -> Difference {
        let supporters = |words: &Vec<u64>| said.iter().filter(|other| *other == words).count();
        let most = said.iter().map(supporters).max().unwrap_or(0);
        let decided = most * 2 > said.len();
        let names = self.opinions.iter().map(|opinion| opinion.name).zip(said);
        let odd = names.clone().filter(|(_, words)| !decided || supporters(words) < most).map(|(name, _)| name);
        let values: Vec<String> =
            names.clone().map(|(name, words)| format!("{} in {name}", hexadecimal(words))).collect();
        let message = format!("the output `{}` of {} bits is {}", port.name, port.width, values.join(", "));
        Difference::Disagree { odd: odd.collect(), message, clocks: self.clocks }
    }
}

fn hexadecimal(words: &[u64]) -> String {
    let digits: String = words.iter().rev().map(|word| format!("{word:016x}")).collect();
    let digits = digits.trim_start_matches('0');
    format!("0x{}", if digits.is_empty() { "0" } else { digits })
}
