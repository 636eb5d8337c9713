//! Pictures of what is in each block of a flash, die by die.

use crate::output::{self, Paint};
use flash_spec::limits::UNITS_PER_PAGE;
use flash_spec::Geometry;
use serde::Serialize;
use sim_flash::{BlockUse, Use};
use std::fmt::Write as _;
use std::ops::AddAssign;

/// Most letters of a die.
const LETTERS_MAX: u32 = 64;

/// Units by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Units {
    /// The map refers to them.
    pub valid: u64,
    /// Programmed, and nothing refers to them.
    pub invalid: u64,
    /// Not programmed.
    pub free: u64,
    /// In blocks that are the device's own.
    pub own: u64,
    /// In bad blocks, without those that are valid nevertheless.
    pub bad: u64,
}

impl Units {
    fn of(block: &BlockUse, geometry: &Geometry) -> Self {
        let all = u64::from(geometry.pages_per_block * UNITS_PER_PAGE);
        let (valid, invalid) = (u64::from(block.valid_units), u64::from(block.invalid_units()));
        match block.purpose {
            Use::Bad => Self { valid, bad: all - valid, ..Self::default() },
            Use::Own => Self { own: all, ..Self::default() },
            Use::Erased => Self { free: all, ..Self::default() },
            Use::Open | Use::Full => Self { valid, invalid, free: all - valid - invalid, ..Self::default() },
        }
    }

    /// All of them.
    pub const fn all(&self) -> u64 {
        self.valid + self.invalid + self.free + self.own + self.bad
    }
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.free += other.free;
        self.own += other.own;
        self.bad += other.bad;
    }
}

/// A die.
#[derive(Debug, Serialize)]
pub struct Die {
    /// The bus.
    pub channel: u32,
    /// The die on it.
    pub die: u32,
    /// All of its units.
    pub units: Units,
    /// How many of its blocks are bad.
    pub bad_blocks: u32,
    /// Plane by plane, its blocks.
    #[serde(skip)]
    planes: Vec<Vec<BlockUse>>,
}

/// The dies, channel by channel, of blocks in the order of [`Geometry::block_index`].
pub fn dies(geometry: &Geometry, blocks: &[BlockUse]) -> Vec<Die> {
    let die = |channel: u32, die: u32| {
        let plane = |plane: u32| {
            let first = (plane * geometry.dies_per_channel + die) * geometry.channels + channel;
            blocks.iter().skip(first as usize).step_by(geometry.planes() as usize).copied().collect()
        };
        let planes: Vec<Vec<BlockUse>> = (0..geometry.planes_per_die).map(plane).collect();
        let mut units = Units::default();
        planes.iter().flatten().for_each(|block| units += Units::of(block, geometry));
        let bad_blocks = planes.iter().flatten().filter(|block| block.purpose == Use::Bad).count() as u32;
        Die { channel, die, units, bad_blocks, planes }
    };
    (0..geometry.channels).flat_map(|channel| (0..geometry.dies_per_channel).map(move |at| die(channel, at))).collect()
}

/// All units.
pub fn sum(dies: &[Die]) -> Units {
    let mut all = Units::default();
    dies.iter().for_each(|die| all += die.units);
    all
}

/// The dies as lines of letters, each of which stands for the blocks of a number, or of a few numbers, in all planes of the die.
pub fn text(geometry: &Geometry, dies: &[Die], paint: Paint) -> String {
    let per_letter = geometry.blocks_per_plane.div_ceil(LETTERS_MAX) as usize;
    let letters = (geometry.blocks_per_plane as usize).div_ceil(per_letter);
    let mut text = format!("  {:14}{:letters$}   valid invalid    free  bad\n", "channel, die", "blocks");
    for die in dies {
        let _ = write!(text, "  {:>7}, {:>3}  ", die.channel, die.die);
        for first in (0..geometry.blocks_per_plane as usize).step_by(per_letter) {
            let blocks: Vec<&BlockUse> =
                die.planes.iter().flat_map(|plane| plane.iter().skip(first).take(per_letter)).collect();
            let (letter, colour) = letter(&blocks, geometry);
            text += &paint.coloured(colour, letter);
        }
        let Units { valid, invalid, free, .. } = die.units;
        let percent = |units| format!("{:.1}%", share(units, die.units.all()));
        let _ = writeln!(
            text,
            "  {:>6}  {:>6}  {:>6}  {:>3}",
            percent(valid),
            percent(invalid),
            percent(free),
            die.bad_blocks
        );
    }
    let all = sum(dies);
    let percent = |units| format!("{:.1} %", share(units, all.all()));
    let _ = writeln!(
        text,
        "\n  of {}: {} valid, {} invalid, {} free, {} the device's own, {} bad",
        output::count_text(all.all(), "unit"),
        percent(all.valid),
        percent(all.invalid),
        percent(all.free),
        percent(all.own),
        percent(all.bad)
    );
    let _ = writeln!(
        text,
        "  {} tenths that are valid, {} all valid, {} being written, {} erased, {} map, log and anchors, {} bad{}",
        paint.coloured(FULL, "0..9"),
        paint.coloured(VALID, "#"),
        paint.coloured(OPEN, "o"),
        paint.coloured(ERASED, "."),
        paint.coloured(OWN, "d"),
        paint.coloured(BAD, "X"),
        if per_letter > 1 || geometry.planes_per_die > 1 { ", x some of them bad" } else { "" }
    );
    text
}

fn share(units: u64, all: u64) -> f64 {
    100.0 * units as f64 / all.max(1) as f64
}

const VALID: &str = "32";
const FULL: &str = "33";
const OPEN: &str = "36";
const ERASED: &str = "90";
const OWN: &str = "34";
const BAD: &str = "1;31";

/// The letter of some blocks, and its colour: what people look for first comes first.
fn letter(blocks: &[&BlockUse], geometry: &Geometry) -> (char, &'static str) {
    let count = |purpose| blocks.iter().filter(|block| block.purpose == purpose).count();
    let mut units = Units::default();
    blocks.iter().for_each(|block| units += Units::of(block, geometry));
    match (count(Use::Bad), count(Use::Open), count(Use::Own), count(Use::Full)) {
        (bad, ..) if bad == blocks.len() => ('X', BAD),
        (1.., ..) => ('x', BAD),
        (_, 1.., ..) => ('o', OPEN),
        (_, _, 0, 0) => ('.', ERASED),
        (_, _, 1.., 0) => ('d', OWN),
        _ if units.valid == units.all() => ('#', VALID),
        _ => {
            let tenths = (10 * units.valid / units.all()).min(9) as u8;
            (char::from(b'0' + tenths), if tenths >= 5 { VALID } else { FULL })
        }
    }
}

/// The dies as an SVG: a column for each block, filled from below by what is valid, then what is invalid.
pub fn svg(geometry: &Geometry, dies: &[Die]) -> String {
    const DIE_WIDTH: f64 = 384.0;
    const PLANE_HEIGHT: f64 = 24.0;
    const GAP: f64 = 16.0;
    const LEGEND: [(&str, &str); 6] = [
        ("valid", "#2e8b57"),
        ("invalid", "#e0a030"),
        ("free", "#e8e8e8"),
        ("being written", "#30a0c0"),
        ("map, log, anchors", "#4060b0"),
        ("bad", "#b02020"),
    ];
    let [valid, invalid, free, open, own, bad] = LEGEND.map(|(_, colour)| colour);
    let column = DIE_WIDTH / f64::from(geometry.blocks_per_plane);
    let die_height = f64::from(geometry.planes_per_die) * (PLANE_HEIGHT + 2.0) + GAP;
    let width = f64::from(geometry.dies_per_channel) * (DIE_WIDTH + GAP) + GAP;
    let height = f64::from(geometry.channels) * die_height + 3.0 * GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (index, (name, colour)) in LEGEND.into_iter().enumerate() {
        let x = GAP + 128.0 * index as f64;
        let _ = writeln!(svg, "<rect x=\"{x}\" y=\"8\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"18\">{name}</text>", x + 16.0);
    }
    for die in dies {
        let x = GAP + f64::from(die.die) * (DIE_WIDTH + GAP);
        let top = 2.0 * GAP + f64::from(die.channel) * die_height;
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\">channel {}, die {}: {:.1} % valid</text>",
            top + 11.0,
            die.channel,
            die.die,
            share(die.units.valid, die.units.all())
        );
        for (plane, blocks) in die.planes.iter().enumerate() {
            let y = top + GAP + plane as f64 * (PLANE_HEIGHT + 2.0);
            for (number, block) in blocks.iter().enumerate() {
                let units = Units::of(block, geometry);
                let part = |units: u64| PLANE_HEIGHT * units as f64 / u64_of(geometry);
                let x = x + column * number as f64;
                let mut rect = |from_below: f64, height: f64, colour: &str, title: &str| {
                    if height > 0.0 {
                        let y = y + PLANE_HEIGHT - from_below - height;
                        let end =
                            if title.is_empty() { "/>".to_owned() } else { format!("><title>{title}</title></rect>") };
                        let _ = writeln!(svg, "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{column:.2}\" height=\"{height:.2}\" fill=\"{colour}\"{end}");
                    }
                };
                let title = format!(
                    "block {number}, plane {plane}: {} valid, {} invalid, {} free, {} erases",
                    units.valid, units.invalid, units.free, block.erases
                );
                let ground = match block.purpose {
                    Use::Erased | Use::Full => free,
                    Use::Open => open,
                    Use::Own => own,
                    Use::Bad => bad,
                };
                rect(0.0, PLANE_HEIGHT, ground, &title);
                rect(0.0, part(units.valid), valid, "");
                rect(part(units.valid), part(units.invalid), invalid, "");
            }
        }
    }
    svg + "</svg>\n"
}

/// Units of a block.
fn u64_of(geometry: &Geometry) -> f64 {
    f64::from(geometry.pages_per_block * UNITS_PER_PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two dies of two planes of three blocks of 16 units.
    const GEOMETRY: Geometry =
        Geometry { channels: 2, dies_per_channel: 1, planes_per_die: 2, blocks_per_plane: 6, pages_per_block: 4 };

    fn blocks() -> Vec<BlockUse> {
        let block = |purpose, valid_units, written_pages| BlockUse { purpose, valid_units, written_pages, erases: 1 };
        let super_blocks = [
            block(Use::Own, 0, 2),
            block(Use::Full, 16, 4),
            block(Use::Full, 5, 4),
            block(Use::Open, 3, 1),
            block(Use::Erased, 0, 0),
            block(Use::Full, 0, 4),
        ];
        let planes = GEOMETRY.planes() as usize;
        let mut blocks: Vec<BlockUse> = super_blocks.iter().flat_map(|block| vec![*block; planes]).collect();
        // Channel 1, plane 0 of super-block 4; both planes of channel 0 in super-block 5.
        for index in [4 * planes + 1, 5 * planes, 5 * planes + 2] {
            blocks[index].purpose = Use::Bad;
        }
        blocks
    }

    #[test]
    fn each_die_has_a_line_with_its_blocks() {
        let dies = dies(&GEOMETRY, &blocks());
        let plain = text(&GEOMETRY, &dies, Paint::stdout());
        let lines: Vec<&str> = plain.lines().collect();
        assert!(lines[1].starts_with("        0,   0  d#3o.X") && lines[1].ends_with("  2"), "{plain}");
        assert!(lines[2].starts_with("        1,   0  d#3ox0") && lines[2].ends_with("  1"), "{plain}");
        assert_eq!(sum(&dies).all(), u64::from(GEOMETRY.blocks() * GEOMETRY.pages_per_block * UNITS_PER_PAGE));
        let valid: u32 = blocks().iter().map(|block| block.valid_units).sum();
        assert_eq!(sum(&dies).valid, u64::from(valid));
        // Colours change no letter.
        let coloured = text(&GEOMETRY, &dies, Paint::always());
        assert!(coloured.contains("\x1b[1;31mX\x1b[0m"), "{coloured}");
        let mut stripped = String::new();
        let mut parts = coloured.split("\x1b[");
        stripped += parts.next().expect("the first");
        parts.for_each(|part| stripped += part.split_once('m').expect("an end").1);
        assert_eq!(stripped, plain);
    }

    #[test]
    fn the_picture_has_each_block() {
        let svg = svg(&GEOMETRY, &dies(&GEOMETRY, &blocks()));
        assert_eq!(svg.matches("<title>").count(), GEOMETRY.blocks() as usize);
        assert!(
            svg.contains("block 2, plane 1: 5 valid, 11 invalid, 0 free, 1 erases") && svg.ends_with("</svg>\n"),
            "{svg}"
        );
    }

    #[test]
    fn many_blocks_share_letters() {
        let geometry = Geometry { blocks_per_plane: 1000, ..GEOMETRY };
        let block = BlockUse { purpose: Use::Erased, valid_units: 0, written_pages: 0, erases: 0 };
        let dies = dies(&geometry, &vec![block; geometry.blocks() as usize]);
        let plain = text(&geometry, &dies, Paint::stdout());
        let dots = plain.lines().nth(1).expect("a die").matches("..").count();
        assert!((25..=32).contains(&dots), "{plain}");
    }
}
