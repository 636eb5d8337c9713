//! What firmware is told at its start: the identity and the size of the device, in [`soc_map::firmware::PARAMETERS`].

use core::fmt;
use flash_fw::{ConfigError, Policy};
use flash_spec::record::MAP_PAGES_MAX;
use flash_spec::Geometry;
use nvme_fw::{Config, NamespaceConfig};
use nvme_spec::limits::NAMESPACES_MAX;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const MAGIC: u64 = u64::from_le_bytes(*b"FDPARAM1");

/// The parameters, as they lie in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Parameters {
    magic: U64,
    /// [`soc_map::VERSION`] of who wrote them.
    map: U64,
    namespaces: [Namespace; NAMESPACES_MAX as usize],
    unallocated_units: U64,
    flash: FlashWords,
    serial_number: [u8; 20],
    uuid: [u8; 16],
}

const _: () = assert!(size_of::<Parameters>() as u64 <= soc_map::firmware::PARAMETERS.bytes);

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct Namespace {
    blocks: U64,
    attached: u8,
    /// 0 or 1.
    is_shared: u8,
}

/// The flash in which the namespaces lie, as the parameters have it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
struct FlashWords {
    channels: U32,
    dies_per_channel: U32,
    planes_per_die: U32,
    blocks_per_plane: U32,
    pages_per_block: U32,
    units: U32,
    log_records: U32,
    map_pages: U32,
    moved_percent: u8,
    /// 0 or 1, like those behind it.
    weighs_age: u8,
    levels_wear: u8,
    is_new: u8,
    is_there: u8,
}

/// The flash in which the namespaces lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashParameters {
    /// What its firmware is told.
    pub config: flash_fw::Config,
    /// Pages of the map that the hardware has room for: not less than the configuration needs.
    pub map_pages: u32,
    /// It is to be formatted, and else to be mounted.
    pub is_new: bool,
}

/// Why parameters are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParametersError {
    /// There are none.
    None,
    /// They were written for another map, of this version.
    OtherMap(u64),
    /// The flash cannot be like that.
    Flash(ConfigError),
    /// The hardware has room for so many pages of the map of the flash, and it needs so many.
    MapPages(u32, u32),
}

impl fmt::Display for ParametersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("there are no parameters"),
            Self::OtherMap(map) => {
                write!(f, "the parameters are for map {map:#018x}, this is {:#018x}", soc_map::VERSION)
            }
            Self::Flash(error) => write!(f, "the parameters of the flash: {}", error.message()),
            Self::MapPages(room, needed) => {
                write!(f, "the flash's map needs {needed} pages, and the hardware has room for {room}")
            }
        }
    }
}

impl Parameters {
    /// Those of a device.
    pub fn new(config: &Config) -> Self {
        Self {
            magic: MAGIC.into(),
            map: soc_map::VERSION.into(),
            namespaces: config.namespaces.map(|namespace| Namespace {
                blocks: namespace.blocks.into(),
                attached: namespace.attached,
                is_shared: namespace.is_shared.into(),
            }),
            unallocated_units: config.unallocated_units.into(),
            flash: FlashWords::default(),
            serial_number: config.serial_number,
            uuid: config.uuid,
        }
    }

    /// The same with flash.
    #[must_use]
    pub fn with_flash(self, flash: &FlashParameters) -> Self {
        let FlashParameters { config, map_pages, is_new } = *flash;
        let Geometry { channels, dies_per_channel, planes_per_die, blocks_per_plane, pages_per_block } =
            config.geometry;
        let flash = FlashWords {
            channels: channels.into(),
            dies_per_channel: dies_per_channel.into(),
            planes_per_die: planes_per_die.into(),
            blocks_per_plane: blocks_per_plane.into(),
            pages_per_block: pages_per_block.into(),
            units: config.units.into(),
            log_records: config.log_records.into(),
            map_pages: map_pages.into(),
            moved_percent: config.moved_percent,
            weighs_age: (config.policy == Policy::CostBenefit).into(),
            levels_wear: config.levels_wear.into(),
            is_new: is_new.into(),
            is_there: 1,
        };
        Self { flash, ..self }
    }

    fn check(&self) -> Result<(), ParametersError> {
        if self.magic.get() != MAGIC {
            return Err(ParametersError::None);
        }
        if self.map.get() != soc_map::VERSION {
            return Err(ParametersError::OtherMap(self.map.get()));
        }
        Ok(())
    }

    /// The flash, if the device has some.
    ///
    /// # Errors
    /// If these are no parameters, those of another map, or of a flash that is not possible.
    pub fn flash(&self) -> Result<Option<FlashParameters>, ParametersError> {
        self.check()?;
        let flash = &self.flash;
        if flash.is_there == 0 {
            return Ok(None);
        }
        let config = flash_fw::Config {
            geometry: Geometry {
                channels: flash.channels.get(),
                dies_per_channel: flash.dies_per_channel.get(),
                planes_per_die: flash.planes_per_die.get(),
                blocks_per_plane: flash.blocks_per_plane.get(),
                pages_per_block: flash.pages_per_block.get(),
            },
            units: flash.units.get(),
            policy: if flash.weighs_age == 0 { Policy::Greedy } else { Policy::CostBenefit },
            moved_percent: flash.moved_percent,
            log_records: flash.log_records.get(),
            levels_wear: flash.levels_wear != 0,
        };
        config.check().map_err(ParametersError::Flash)?;
        let (room, needed) = (flash.map_pages.get(), config.map_pages());
        if needed > room || room > MAP_PAGES_MAX {
            return Err(ParametersError::MapPages(room, needed));
        }
        Ok(Some(FlashParameters { config, map_pages: room, is_new: flash.is_new != 0 }))
    }

    /// The device.
    ///
    /// # Errors
    /// If these are no parameters, or those of another map.
    pub fn config(&self) -> Result<Config, ParametersError> {
        self.check()?;
        Ok(Config {
            namespaces: self.namespaces.map(|namespace| NamespaceConfig {
                blocks: namespace.blocks.get(),
                is_shared: namespace.is_shared != 0,
                attached: namespace.attached,
            }),
            unallocated_units: self.unallocated_units.get(),
            serial_number: self.serial_number,
            uuid: self.uuid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_device_is_told_as_it_is() {
        let config = Config { unallocated_units: 7, ..Config::with_two_functions(1 << 40, 5, "SERIAL-1") };
        assert_eq!(Parameters::new(&config).config(), Ok(config));
    }

    #[test]
    fn a_flash_is_told_as_it_is() {
        let parameters = Parameters::new(&Config::new(5, "SERIAL-1"));
        assert_eq!(parameters.flash(), Ok(None));
        let config = flash_fw::Config::new(Geometry::SMALL, 60);
        let flash = FlashParameters { config, map_pages: config.map_pages() + 1, is_new: true };
        assert_eq!(parameters.with_flash(&flash).flash(), Ok(Some(flash)));
        let config = flash_fw::Config { policy: Policy::CostBenefit, levels_wear: false, ..config };
        let flash = FlashParameters { config, is_new: false, ..flash };
        assert_eq!(parameters.with_flash(&flash).flash(), Ok(Some(flash)));
        assert_eq!(parameters.with_flash(&flash).config(), parameters.config());
    }

    #[test]
    fn a_flash_that_is_not_possible_is_refused() {
        let parameters = Parameters::new(&Config::new(5, "SERIAL-1"));
        let config = flash_fw::Config::new(Geometry::SMALL, 60);
        let with =
            |config, map_pages| parameters.with_flash(&FlashParameters { config, map_pages, is_new: true }).flash();
        let none = flash_fw::Config { units: 0, ..config };
        assert_eq!(with(none, 1), Err(ParametersError::Flash(ConfigError::Units)));
        assert_eq!(with(config, 0), Err(ParametersError::MapPages(0, config.map_pages())));
        let room = MAP_PAGES_MAX + 1;
        assert_eq!(with(config, room), Err(ParametersError::MapPages(room, config.map_pages())));
    }

    #[test]
    fn what_is_not_for_this_map_is_refused() {
        let good = Parameters::new(&Config::new(5, "SERIAL-1"));
        assert_eq!(Parameters { magic: 0.into(), ..good }.config(), Err(ParametersError::None));
        let other = Parameters { map: 3.into(), ..good };
        assert_eq!(other.config(), Err(ParametersError::OtherMap(3)));
    }

    proptest! {
        /// Whatever lies in memory is taken or refused, and what is taken is told again in the same bytes.
        #[test]
        fn any_bytes_are_taken_or_refused(bytes: [u8; size_of::<Parameters>()], is_good: bool) {
            let mut parameters = Parameters::read_from_bytes(&bytes).unwrap();
            if is_good {
                (parameters.magic, parameters.map) = (MAGIC.into(), soc_map::VERSION.into());
            }
            prop_assert_eq!(parameters.config().is_ok(), is_good);
            if let Ok(config) = parameters.config() {
                prop_assert_eq!(Parameters::new(&config).config(), Ok(config));
            }
            if let Ok(Some(flash)) = parameters.flash() {
                prop_assert_eq!(parameters.with_flash(&flash).flash(), Ok(Some(flash)));
            }
        }
    }
}
