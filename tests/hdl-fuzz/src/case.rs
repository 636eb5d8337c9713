//! A case: the choices that a design and its run are made from, and how they are kept as text.

use std::fmt::{self, Write as _};

use rtl_hdl::bench::Seed;

use crate::tape::{Recorder, Tapes};

/// How many moments a design runs in which clocks rise.
pub const CLOCKS: u64 = 120;

/// One design and its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The name of the top module, and the beginning of the names of the others.
    pub top: String,
    /// What the inputs and the clocks are made from.
    pub stimulus: Seed,
    /// How many moments it runs.
    pub clocks: u64,
    /// What the design is made from.
    pub design: Choices,
}

/// What a design is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choices {
    /// Made up from this seed.
    Seed(Seed),
    /// Made again from these tapes.
    Tapes(Tapes),
}

impl Case {
    /// The case of this number of a run with this seed.
    pub fn random(seed: Seed, number: u64) -> Self {
        Case { top: format!("random{number}"), stimulus: seed, clocks: CLOCKS, design: Choices::Seed(seed) }
    }

    /// The tapes from which the design is built.
    pub fn recorder(&self) -> Recorder {
        match &self.design {
            Choices::Seed(seed) => Recorder::random(*seed),
            Choices::Tapes(tapes) => Recorder::replay(tapes.clone()),
        }
    }

    /// The same case with these tapes.
    pub fn with_tapes(&self, tapes: Tapes) -> Self {
        Case { design: Choices::Tapes(tapes), ..self.clone() }
    }

    /// Reads what `to_string` wrote.
    ///
    /// # Errors
    /// With the line that is wrong, and what should stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut top, mut stimulus, mut clocks, mut made_up, mut tapes) = (None, None, None, None, Tapes::new());
        for (index, line) in text.lines().enumerate() {
            let wrong = |what: &str| format!("line {}: {what}: `{line}`", index + 1);
            match line.split_once(' ').map(|(key, value)| (key, value.trim())) {
                _ if line.trim().is_empty() || line.starts_with('#') => {}
                Some(("top", name)) if is_name(name) => top = Some(name.to_owned()),
                Some((key @ ("stimulus" | "seed"), seed)) => {
                    let seed = Seed::parse(seed).ok_or_else(|| wrong("a seed is a number, such as 0x5eed"))?;
                    *(if key == "seed" { &mut made_up } else { &mut stimulus }) = Some(seed);
                }
                Some(("clocks", number)) => {
                    let number = number.parse().ok().filter(|number| *number <= CLOCKS_MAX);
                    clocks = Some(number.ok_or_else(|| wrong(&format!("clocks are at most {CLOCKS_MAX}")))?);
                }
                Some(("module", tape)) => {
                    let (name, choices) =
                        tape.split_once(':').ok_or_else(|| wrong("a module is `module NAME: CHOICES`"))?;
                    let choices = choices.split_whitespace().map(str::parse).collect::<Result<_, _>>();
                    tapes.insert(name.to_owned(), choices.map_err(|_| wrong("choices are numbers of 64 bits"))?);
                }
                _ => return Err(wrong("a line begins with `top`, `stimulus`, `clocks`, `module`, `seed` or `#`")),
            }
        }
        let lacks = |what: &str| format!("there is no line `{what}`");
        Ok(Case {
            top: top.ok_or_else(|| lacks("top"))?,
            stimulus: stimulus.ok_or_else(|| lacks("stimulus"))?,
            clocks: clocks.ok_or_else(|| lacks("clocks"))?,
            design: made_up.map_or(Choices::Tapes(tapes), Choices::Seed),
        })
    }
}

/// A case that was kept runs for no longer than this.
const CLOCKS_MAX: u64 = 100_000;

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "top {}\nstimulus {}\nclocks {}", self.top, self.stimulus, self.clocks)?;
        let tapes = match &self.design {
            Choices::Tapes(tapes) => tapes,
            Choices::Seed(seed) => return writeln!(f, "seed {seed}"),
        };
        for (name, choices) in tapes {
            let mut text = String::new();
            for choice in choices {
                write!(text, " {choice}")?;
            }
            writeln!(f, "module {name}:{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        let tapes = Tapes::from([("random7".into(), vec![1, 0, u64::MAX]), ("random7_2".into(), vec![])]);
        Case::random(Seed(0x5eed), 7).with_tapes(tapes)
    }

    #[test]
    fn text_is_read_back() {
        assert_eq!(Case::parse(&case().to_string()), Ok(case()));
        assert_eq!(Case::parse(&Case::random(Seed(9), 1).to_string()), Ok(Case::random(Seed(9), 1)));
        assert_eq!(Case::parse(&format!("# A note.\n\n{}", case())), Ok(case()));
    }

    #[test]
    fn wrong_text_names_its_line() {
        let with = |line: &str| Case::parse(&format!("{}{line}\n", case())).unwrap_err();
        for (line, what) in [
            ("module random7 1 2", "`module NAME: CHOICES`"),
            ("module random7: 1 two", "numbers of 64 bits"),
            ("module random7: 18446744073709551616", "numbers of 64 bits"),
            ("stimulus five", "a seed is a number"),
            ("clocks 100001", "at most 100000"),
            ("top ../file", "a line begins with"),
            ("choices 1", "a line begins with"),
        ] {
            let error = with(line);
            assert!(error.starts_with("line 6: ") && error.contains(what), "{error}");
        }
        assert_eq!(Case::parse("top a\nstimulus 1\n").unwrap_err(), "there is no line `clocks`");
    }
}
