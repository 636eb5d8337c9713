//! A built library and the models in it. The only place with foreign calls.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{c_char, c_void, CStr, CString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rtl_hdl::sim::{PortId, Simulator};

use crate::coverage::Sink;
use crate::shim::{offsets, ENTRY_SYMBOL};
use crate::{Direction, Error, ModelSet, PortSpec};

/// What a library says about one of its models. The twin of `FlashdockModel` in `shim.h`.
#[repr(C)]
struct Entry {
    name: *const c_char,
    create: unsafe extern "C" fn(reset_mode: i32, seed: i32) -> *mut c_void,
    destroy: unsafe extern "C" fn(instance: *mut c_void),
    settle: unsafe extern "C" fn(instance: *mut c_void, words: *mut u64) -> bool,
    step: unsafe extern "C" fn(instance: *mut c_void, words: *mut u64, clocks: u64, count: u64) -> bool,
    trace_open: unsafe extern "C" fn(instance: *mut c_void, path: *const c_char) -> bool,
    trace_close: unsafe extern "C" fn(instance: *mut c_void),
    message: unsafe extern "C" fn(instance: *const c_void) -> *const c_char,
    coverage_write: unsafe extern "C" fn(instance: *mut c_void, path: *const c_char) -> bool,
}

// SAFETY: an entry is never written after the library has made it; its name is a string constant.
unsafe impl Sync for Entry {}

/// The models of one [`ModelSet`], ready to be instantiated any number of times, from any thread.
#[derive(Clone)]
pub struct Library {
    models: Arc<Vec<Class>>,
}

/// Where a model was built.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The shared object.
    pub path: PathBuf,
    /// Its number there.
    pub index: usize,
}

/// One model of a library.
#[derive(Clone)]
struct Class {
    entry: &'static Entry,
    layout: Arc<Layout>,
    coverage: Option<&'static Sink>,
}

/// The ports of a model and where they are in the array of words.
struct Layout {
    name: String,
    ports: Vec<PortSpec>,
    offsets: Vec<usize>,
    by_name: HashMap<String, PortId>,
    words: usize,
    /// One bit for each clock.
    clocks: u64,
}

/// What registers without a reset, and memories without initial contents, hold when a model is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reset {
    /// Zeros.
    #[default]
    Zeros,
    /// Ones.
    Ones,
    /// What this seed makes of them. The same seed gives the same contents to the same model.
    Seed(u32),
}

impl Library {
    /// Loads the models of this set from where each was built.
    pub(crate) fn open(set: &ModelSet, places: &[Place]) -> Result<Self, Error> {
        let class = |(model, place): (&crate::ModelSpec, &Place)| {
            let Place { path, index } = place;
            let library = loaded(path)?;
            let load_error = |detail: String| Error::Load { path: path.to_owned(), detail };
            type List = unsafe extern "C" fn(index: u64) -> *const Entry;
            // SAFETY: the symbol is the function that `shim::library_source` wrote, of this type.
            let list = unsafe { library.get::<List>(ENTRY_SYMBOL.as_bytes()) };
            let list = list.map_err(|error| load_error(error.to_string()))?;
            // SAFETY: the function only reads a constant table. What it returns is null or lives as long as the library, which is
            // never unloaded.
            let entry = unsafe { list(*index as u64).as_ref() };
            let entry = entry.ok_or_else(|| load_error(format!("it has no model `{}`", model.name)))?;
            // SAFETY: `name` points to a string constant of the library.
            let name = unsafe { CStr::from_ptr(entry.name) };
            if name.to_bytes() != model.name.as_bytes() {
                return Err(load_error(format!("it has {name:?} in place of model `{}`", model.name)));
            }
            let coverage = set.coverage.as_ref().map(|folder| Sink::of(folder, model)).transpose()?;
            Ok(Class { entry, layout: Arc::new(Layout::new(&model.name, &model.ports)), coverage })
        };
        let models = set.models.iter().zip(places).map(class).collect::<Result<_, _>>()?;
        Ok(Self { models: Arc::new(models) })
    }

    /// A new instance of the model of this name, with zeros in its state.
    ///
    /// # Panics
    /// If the set has no such model.
    pub fn model(&self, name: &str) -> Model {
        self.model_with(name, Reset::Zeros)
    }

    /// A new instance of the model of this name.
    ///
    /// # Panics
    /// If the set has no such model.
    pub fn model_with(&self, name: &str, reset: Reset) -> Model {
        let class = self.models.iter().find(|class| class.layout.name == name);
        let class = class.unwrap_or_else(|| panic!("the library has no model `{name}`, only {:?}", self.names()));
        Model::new(class, reset)
    }

    /// The names of the models.
    pub fn names(&self) -> Vec<&str> {
        self.models.iter().map(|class| class.layout.name.as_str()).collect()
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Library").field(&self.names()).finish()
    }
}

/// Loads a shared object, once per process.
///
/// A library is never unloaded: models of it may live in any thread, and C++ static objects do not like to go early.
fn loaded(path: &Path) -> Result<&'static libloading::Library, Error> {
    static LOADED: OnceLock<Mutex<HashMap<PathBuf, &'static libloading::Library>>> = OnceLock::new();
    let mut loaded = LOADED.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(library) = loaded.get(path) {
        return Ok(library);
    }
    // SAFETY: the library was built by `build.rs`, the cache has checked its hash, and its initializers only set up C++ statics.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|error| Error::Load { path: path.to_owned(), detail: error.to_string() })?;
    let library: &'static _ = Box::leak(Box::new(library));
    loaded.insert(path.to_owned(), library);
    Ok(library)
}

impl Layout {
    fn new(name: &str, ports: &[PortSpec]) -> Self {
        let by_name = ports.iter().enumerate().map(|(index, port)| (port.name.clone(), PortId(index))).collect();
        let is_clock = |port: &&PortSpec| port.direction == Direction::Clock;
        let words = ports.iter().filter(|port| !is_clock(port)).map(PortSpec::words).sum();
        let clocks = (1 << ports.iter().filter(is_clock).count()) - 1;
        Self { name: name.to_owned(), ports: ports.to_vec(), offsets: offsets(ports), by_name, words, clocks }
    }
}

/// A running instance of a Verilated module, used through [`Simulator`].
///
/// Inputs reach the hardware at the next step or settle; outputs are those after the last of these. A step takes the inputs that
/// were set before it, as a flip-flop does; an output that follows an input within the clock needs a `settle` to be seen before the
/// edge. The clocks of [`Simulator::step_clocks`] are counted in the order of the ports.
///
/// A model that stops (`$stop`, `$fatal`, a failed assertion) panics with the place in the Verilog.
pub struct Model {
    entry: &'static Entry,
    instance: NonNull<c_void>,
    words: Box<[u64]>,
    layout: Arc<Layout>,
    /// Where it writes what it has counted, if it counts.
    coverage: Option<&'static Sink>,
    /// Time in foreign calls, if it is being measured.
    eval_time: Option<EvalTime>,
}

/// A measurement of the time in foreign calls. One call in [`EVALS_PER_SAMPLE`] is timed, because looking at the clock takes a noticeable
/// part of the time that is measured.
#[derive(Clone, Copy, Default)]
struct EvalTime {
    calls: u64,
    sampled: Duration,
}

/// See [`EvalTime`]. An odd number, so that a pattern of the caller does not hide between the samples.
const EVALS_PER_SAMPLE: u32 = 7;

// SAFETY: an instance has its own Verilator context and is reached only through this handle; Verilator allows one thread at a time
// per context, not one thread for ever.
unsafe impl Send for Model {}

impl Model {
    fn new(class: &Class, reset: Reset) -> Self {
        let (mode, seed) = match reset {
            Reset::Zeros => (0, 1),
            Reset::Ones => (1, 1),
            // Verilator's seeds are positive; 0 asks it to pick one.
            Reset::Seed(seed) => (2, (seed % i32::MAX as u32) as i32 + 1),
        };
        // SAFETY: the function takes any values and returns a new instance.
        let instance = unsafe { (class.entry.create)(mode, seed) };
        let instance = NonNull::new(instance).expect("`create` returns a new object");
        let words = vec![0; class.layout.words].into_boxed_slice();
        let (entry, layout, coverage) = (class.entry, class.layout.clone(), class.coverage);
        let mut model = Self { entry, instance, words, layout, coverage, eval_time: None };
        // The clocks must have been seen low before the first edge.
        model.settle();
        model
    }

    /// The model's name in its set.
    pub fn name(&self) -> &str {
        &self.layout.name
    }

    /// The ports.
    pub fn ports(&self) -> &[PortSpec] {
        &self.layout.ports
    }

    /// The port of this name, if there is one.
    pub fn find_port(&self, name: &str) -> Option<PortId> {
        self.layout.by_name.get(name).copied()
    }

    /// The value of an output, or what an input was last set to, least significant word first. What [`Simulator::peek`] copies.
    ///
    /// # Panics
    /// If the port is a clock.
    #[inline]
    pub fn words(&self, port: PortId) -> &[u64] {
        let spec = &self.layout.ports[port.0];
        assert!(spec.direction != Direction::Clock, "clock `{}` has no value", spec.name);
        let offset = self.layout.offsets[port.0];
        &self.words[offset..offset + spec.words()]
    }

    /// This many cycles of these clocks, with the inputs unchanged: [`Simulator::step_clocks`] in one foreign call.
    ///
    /// # Panics
    /// If there is no such clock.
    pub fn run_clocks(&mut self, clocks: u64, cycles: u64) {
        assert!(clocks & !self.layout.clocks == 0, "model `{}` has no clocks {clocks:#b}", self.name());
        let step = self.entry.step;
        // SAFETY: as in `settle`.
        self.evaluate(|instance, words| unsafe { step(instance, words, clocks, cycles) });
    }

    /// Starts measuring the time that the model itself takes, for telling it from the time of what drives it, by samples.
    pub fn measure_eval_time(&mut self) {
        self.eval_time = Some(EvalTime::default());
    }

    /// The time spent inside the model since [`measure_eval_time`](Self::measure_eval_time); zero if that was not called.
    pub fn eval_time(&self) -> Duration {
        self.eval_time.map_or(Duration::ZERO, |time| time.sampled * EVALS_PER_SAMPLE)
    }

    /// Makes one foreign call that evaluates the model.
    #[track_caller]
    fn evaluate(&mut self, call: impl FnOnce(*mut c_void, *mut u64) -> bool) {
        let sample = self.eval_time.as_mut().is_some_and(|time| {
            time.calls += 1;
            time.calls % u64::from(EVALS_PER_SAMPLE) == 0
        });
        let start = sample.then(Instant::now);
        let running = call(self.instance.as_ptr(), self.words.as_mut_ptr());
        if let (Some(time), Some(start)) = (&mut self.eval_time, start) {
            time.sampled += start.elapsed();
        }
        if !running {
            // SAFETY: `instance` is alive, and its message is a string that lives as long as it does.
            let message = unsafe { CStr::from_ptr((self.entry.message)(self.instance.as_ptr())) };
            panic!("model `{}` stopped: {}", self.name(), message.to_string_lossy());
        }
    }

    /// Writes a waveform (VCD) from here on. A waveform that is being written already is closed first.
    ///
    /// # Errors
    /// If the file cannot be created, or the library was built without waveforms.
    pub fn trace_open(&mut self, path: &Path) -> std::io::Result<()> {
        // Verilator does not say why it cannot open a file, so the file is created here first.
        std::fs::File::create(path)?;
        let name = CString::new(path.as_os_str().as_encoded_bytes())?;
        // SAFETY: `instance` is alive; `name` is a string that outlives the call.
        let open = unsafe { (self.entry.trace_open)(self.instance.as_ptr(), name.as_ptr()) };
        if !open {
            let text = format!("model `{}` was built without waveforms: build its set with `trace(true)`", self.name());
            return Err(std::io::Error::other(text));
        }
        Ok(())
    }

    /// Writes what has been counted, if it counts. A drop cannot fail, and a lost count must not look like a line that never ran.
    fn write_coverage(&self) {
        let Some(sink) = self.coverage else { return };
        let written = sink.add(|path| {
            let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return false };
            // SAFETY: `instance` is alive; `path` is a string that outlives the call.
            unsafe { (self.entry.coverage_write)(self.instance.as_ptr(), path.as_ptr()) }
        });
        if let Err(detail) = written {
            eprintln!("the coverage of a model `{}` is lost: {detail}", self.name());
        }
    }

    /// Completes the waveform, if one is being written.
    pub fn trace_close(&mut self) {
        // SAFETY: `instance` is alive.
        unsafe { (self.entry.trace_close)(self.instance.as_ptr()) }
    }
}

impl Simulator for Model {
    fn port(&self, name: &str) -> PortId {
        self.find_port(name).unwrap_or_else(|| {
            let names: Vec<_> = self.ports().iter().map(|port| &port.name).collect();
            panic!("model `{}` has no port `{name}`, only {names:?}", self.name())
        })
    }

    /// Words past the end of `value` are zero.
    ///
    /// # Panics
    /// If the port is not an input, or the value has bits outside of it.
    #[inline]
    fn poke(&mut self, port: PortId, value: &[u64]) {
        let spec = &self.layout.ports[port.0];
        assert!(spec.direction == Direction::Input, "port `{}` is not an input", spec.name);
        let offset = self.layout.offsets[port.0];
        let words = &mut self.words[offset..offset + spec.words()];
        let unused_bits = (u64::BITS - spec.width % u64::BITS) % u64::BITS;
        let top = value.get(words.len() - 1).copied().unwrap_or(0);
        let fits = value.len() <= words.len() && top <= u64::MAX >> unused_bits;
        assert!(fits, "{value:x?} does not fit into port `{}` of {} bits", spec.name, spec.width);
        let (set, rest) = words.split_at_mut(value.len());
        set.copy_from_slice(value);
        rest.fill(0);
    }

    fn peek(&self, port: PortId, words: &mut [u64]) {
        words.copy_from_slice(self.words(port));
    }

    fn settle(&mut self) {
        let settle = self.entry.settle;
        // SAFETY: the instance is alive until `drop`, and the words are the array that the shim of this model was generated for.
        self.evaluate(|instance, words| unsafe { settle(instance, words) });
    }

    fn step_clocks(&mut self, clocks: u64) {
        self.run_clocks(clocks, 1);
    }

    #[inline]
    fn peek_u64(&self, port: PortId) -> u64 {
        self.words(port)[0]
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.write_coverage();
        // SAFETY: the instance is alive and nothing uses it after this.
        unsafe { (self.entry.destroy)(self.instance.as_ptr()) }
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).finish_non_exhaustive()
    }
}
