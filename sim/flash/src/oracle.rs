//! What a host may find after a power cut.

/// The content of a unit: `None` if it was never written, or trimmed.
type Value = Option<u64>;

/// What was acknowledged for a unit.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// What was flushed last.
    flushed: Value,
    /// What was acknowledged since, with the number of the operation.
    since: Vec<(u64, Value)>,
}

/// All units of a device: what was flushed, and what was acknowledged since.
#[derive(Clone, Debug)]
pub struct Oracle {
    units: Vec<Unit>,
    operations: u64,
    /// Units that have something that is not flushed.
    open: Vec<u32>,
}

impl Oracle {
    /// A device of so many units, all empty.
    pub fn new(units: u32) -> Self {
        Self { units: vec![Unit::default(); units as usize], operations: 0, open: Vec::new() }
    }

    /// Units of the device.
    pub fn units(&self) -> u32 {
        self.units.len() as u32
    }

    /// The data of the next write of a unit: it names the unit, and no other write has it.
    pub fn next_data(&self, lpn: u32) -> u64 {
        u64::from(lpn) << 32 | (self.operations + 1) & u64::from(u32::MAX)
    }

    /// A write or a trim was acknowledged.
    pub fn acknowledge(&mut self, lpn: u32, value: Value) {
        self.operations += 1;
        let unit = &mut self.units[lpn as usize];
        if unit.since.is_empty() {
            self.open.push(lpn);
        }
        unit.since.push((self.operations, value));
    }

    /// A write with force unit access was acknowledged: it is durable already.
    pub fn acknowledge_durable(&mut self, lpn: u32, value: Value) {
        self.operations += 1;
        let unit = &mut self.units[lpn as usize];
        unit.flushed = value;
        unit.since.clear();
    }

    /// The number of the last operation: a flush that starts now makes all until then durable.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// A flush has ended that started after so many operations.
    pub fn flushed(&mut self, operations: u64) {
        let units = &mut self.units;
        self.open.retain(|&lpn| {
            let unit = &mut units[lpn as usize];
            let done = unit.since.partition_point(|&(number, _)| number <= operations);
            if done > 0 {
                unit.flushed = unit.since[done - 1].1;
                unit.since.drain(..done);
            }
            !unit.since.is_empty()
        });
    }

    /// What a read must return while there is power.
    pub fn now(&self, lpn: u32) -> Value {
        let unit = &self.units[lpn as usize];
        unit.since.last().map_or(unit.flushed, |&(_, value)| value)
    }

    /// A unit was read after a power cut. From now on it must stay as it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn found(&mut self, lpn: u32, value: Value) -> Result<(), String> {
        let unit = &mut self.units[lpn as usize];
        if value != unit.flushed && unit.since.iter().all(|&(_, possible)| possible != value) {
            return Err(format!("unit {lpn} has {value:x?} after the cut; it may have {unit:x?}"));
        }
        *unit = Unit { flushed: value, since: Vec::new() };
        Ok(())
    }

    /// All units were found after a power cut.
    pub fn all_found(&mut self) {
        self.open.clear();
    }
}
