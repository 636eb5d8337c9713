//! The SoC around the tile of its package.

use flash_hw::flash_path;
use nvme_hw::Config;
use rtl_hdl::{elaborate, emit, licences};
use sim_toolchain::Toolchain;
use soc_tile::{RocketTile, Texts, Tile};
use soc_top::Soc;

/// The tile; nothing, with a line that says so, where it cannot be had.
fn tile() -> Option<Tile> {
    let rocket = match Toolchain::from_env().rocket() {
        Ok(rocket) => rocket,
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: the SoC around the tile. {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    let sim_toolchain::Rocket { modules, memories, licence } = &rocket;
    let tile = RocketTile::read(Texts { modules, memories, licence });
    Some(Tile::new(tile.unwrap_or_else(|error| panic!("{error}"))))
}

#[test]
fn it_elaborates_lints_and_carries_the_licences_of_its_tiles() {
    let Some(tile) = tile() else { return };
    let design = elaborate(&Soc::new(Config::SMALL, flash_path::Config::SMALL, 2, tile))
        .unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<String> = licences(&design).into_iter().map(|file| file.name).collect();
    assert_eq!(names, ["LICENSE.rocket", "NOTICE.rocket"]);
    let verilog: String = emit(&design).into_iter().map(|file| file.text).collect();
    assert_eq!(verilog.matches("module rocket_RocketTile(").count(), 1, "one tile, instantiated twice");
    match sim_verilator::lint(&verilog, &design.top().name) {
        Err(error) if error.is_unavailable() => eprintln!("skipped: lint of the SoC. {error}"),
        lint => lint.unwrap_or_else(|error| panic!("{error}")),
    }
}
