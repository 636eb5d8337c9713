//! The thread of the device, and the handle that front ends have of it.

use crate::recording::Recorder;
use crate::{ConfigSpace, Effect, Endpoint, Host, Identity};
use rustix::time::{clock_gettime, ClockId};
use sim_device::{Access, Device, Fault, Message, Outside, Sideband};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clocks that the device steps between two looks at its inputs: the most that an input waits.
pub const STEP_CLOCKS: u32 = 128;

/// Inputs that are taken between two steps, so that a host which never stops does not stop the clock.
const INPUTS_PER_STEP: u32 = 32;

/// Posted writes that may wait for the device. Software that waits for the answer to each access never has more than one for each of its threads.
const POSTED_MAX: usize = 1 << 16;

/// Why no device runs.
#[derive(Debug, thiserror::Error)]
#[error("the device ended while it was made: {0}")]
pub struct StartError(String);

enum Input {
    Read(Access, Box<dyn FnOnce(u64) + Send>),
    Write(Access, u64),
    Sideband(u8, Sideband),
    FunctionLevelReset(u8),
    Stop,
}

#[derive(Default)]
struct Shared {
    /// Nanoseconds in the device: its back end, firmware and buses.
    device_time: AtomicU64,
    /// Nanoseconds in the memory and the interrupts of the host.
    host_time: AtomicU64,
    /// Writes that wait for the device.
    posted: AtomicUsize,
    clock: AtomicU64,
    activity: Mutex<Activity>,
    activity_changed: Condvar,
}

/// What a device is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// It waits for an input.
    pub is_idle: bool,
    /// Interrupts that it has sent and reads that it has answered: grows while it makes headway.
    pub answers: u64,
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Activity)) {
        change(&mut self.activity.lock().unwrap_or_else(PoisonError::into_inner));
        self.activity_changed.notify_all();
    }
}

/// A device behind PCI functions: an [`Endpoint`].
pub struct Bridge {
    identity: Identity,
    spaces: Mutex<Vec<ConfigSpace>>,
    inputs: Sender<Input>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Bridge {
    /// Starts a device in a thread of its own. `make` is called there.
    ///
    /// # Errors
    /// If `make` fails, or panics.
    pub fn start<D, E>(
        identity: Identity,
        make: impl FnOnce() -> Result<D, E> + Send + 'static,
        host: Box<dyn Host>,
        recorder: Option<Recorder>,
    ) -> Result<Self, E>
    where
        D: Device,
        E: From<StartError> + Send + 'static,
    {
        let (inputs, receiver) = mpsc::channel();
        let (made, is_made) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let run = move || {
            let device = match make() {
                Ok(device) => device,
                Err(error) => {
                    drop(made.send(Err(error)));
                    return Ok(());
                }
            };
            drop(made.send(Ok(())));
            Engine::new(device, host, recorder, of_thread).run(&receiver)
        };
        let thread = std::thread::Builder::new().name("device".to_owned()).spawn(run);
        let thread = thread.map_err(|error| StartError(error.to_string()))?;
        is_made.recv().map_err(|_| StartError("its thread panicked".to_owned()))??;
        let spaces = (0..identity.functions).map(|_| ConfigSpace::new(identity)).collect::<Vec<_>>();
        let bridge = Self { identity, spaces: Mutex::new(spaces), inputs, shared, thread: Some(thread) };
        for (function, space) in (0..).zip(bridge.spaces().iter()) {
            bridge.put(Input::Sideband(function, space.sideband()));
        }
        Ok(bridge)
    }

    /// Stops the device and completes its recording.
    ///
    /// # Errors
    /// If the recording could not be written.
    ///
    /// # Panics
    /// If the device did.
    pub fn stop(mut self) -> std::io::Result<()> {
        self.put(Input::Stop);
        match self.thread.take().expect("a bridge is stopped once").join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Whether the device still runs: it ends by itself only with a defect.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What the device has taken of a processor so far: its back end, firmware and buses, without the memory and the interrupts of the host.
    pub fn device_time(&self) -> Duration {
        Duration::from_nanos(self.shared.device_time.load(Ordering::Relaxed))
    }

    /// The device's clock, as of its last step.
    pub fn clock(&self) -> u64 {
        self.shared.clock.load(Ordering::Relaxed)
    }

    /// What the device is doing.
    pub fn activity(&self) -> Activity {
        *self.shared.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`activity`](Self::activity), when it is no longer `before`, or after `time`.
    pub fn activity_after(&self, before: Activity, time: Duration) -> Activity {
        let Shared { activity, activity_changed, .. } = &*self.shared;
        let now = activity.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = activity_changed.wait_timeout_while(now, time, |now| *now == before);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn put(&self, input: Input) {
        // A device that has ended takes nothing; who reads gets all ones.
        let _ = self.inputs.send(input);
    }

    fn spaces(&self) -> MutexGuard<'_, Vec<ConfigSpace>> {
        // Nobody leaves a space half changed.
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_awake(&self, function: u8) -> bool {
        self.spaces().get(usize::from(function)).is_some_and(ConfigSpace::is_awake)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.put(Input::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Endpoint for Bridge {
    fn functions(&self) -> u8 {
        self.identity.functions
    }

    fn vectors(&self) -> u16 {
        self.identity.vectors
    }

    fn read_config(&self, function: u8, offset: u32, bytes: u8) -> u32 {
        let spaces = self.spaces();
        spaces.get(usize::from(function)).map_or(u32::MAX, |space| space.read(offset, bytes))
    }

    fn write_config(&self, function: u8, offset: u32, bytes: u8, value: u32) {
        // The lock is held until the effect is in line, so that effects come in the order of the writes.
        let mut spaces = self.spaces();
        let Some(space) = spaces.get_mut(usize::from(function)) else { return };
        match space.write(offset, bytes, value) {
            Effect::None => {}
            Effect::Sideband(sideband) => self.put(Input::Sideband(function, sideband)),
            Effect::FunctionLevelReset => {
                self.put(Input::FunctionLevelReset(function));
                self.put(Input::Sideband(function, space.sideband()));
            }
        }
    }

    fn read_bar(&self, access: Access, then: Box<dyn FnOnce(u64) + Send>) {
        if self.is_awake(access.function) {
            if let Err(mpsc::SendError(Input::Read(_, then))) = self.inputs.send(Input::Read(access, then)) {
                then(u64::MAX);
            }
        } else {
            then(u64::MAX);
        }
    }

    fn write_bar(&self, access: Access, value: u64) {
        if self.is_awake(access.function) && self.shared.posted.load(Ordering::Relaxed) < POSTED_MAX {
            self.shared.posted.fetch_add(1, Ordering::Relaxed);
            self.put(Input::Write(access, value));
        }
    }

    fn reset(&self, function: u8) {
        let mut spaces = self.spaces();
        let Some(space) = spaces.get_mut(usize::from(function)) else { return };
        *space = ConfigSpace::new(self.identity);
        self.put(Input::FunctionLevelReset(function));
        self.put(Input::Sideband(function, space.sideband()));
    }
}

/// What the device's accesses and its inputs share, in its thread.
struct Surroundings {
    host: Box<dyn Host>,
    recorder: Option<Recorder>,
    shared: Arc<Shared>,
    /// Accesses to the host's memory.
    accesses: u64,
}

/// Of so many accesses the time of one is taken, because a look at the clock takes as long as an access.
const TIMED_PART: u64 = 16;

impl Surroundings {
    /// Lets the host be accessed, and adds the time of it.
    fn access<T>(&mut self, access: impl FnOnce(&mut dyn Host, Option<&mut Recorder>) -> T) -> T {
        let Self { host, recorder, shared, accesses } = self;
        *accesses += 1;
        let since = (*accesses % TIMED_PART == 0).then(Instant::now);
        let result = access(&mut **host, recorder.as_mut());
        if let Some(since) = since {
            let nanos = TIMED_PART * since.elapsed().as_nanos() as u64;
            shared.host_time.fetch_add(nanos, Ordering::Relaxed);
        }
        result
    }
}

/// The device's way out.
struct WayOut(Rc<RefCell<Surroundings>>);

impl Outside for WayOut {
    fn read(&mut self, function: u8, address: u64, data: &mut [u8]) -> Result<(), Fault> {
        self.0.borrow_mut().access(|host, recorder| {
            let result = host.read(function, address, data);
            if let Some(recorder) = recorder {
                recorder.dma_read(result.map(|()| &*data));
            }
            result
        })
    }

    fn write(&mut self, function: u8, address: u64, data: &[u8]) -> Result<(), Fault> {
        self.0.borrow_mut().access(|host, recorder| {
            let result = host.write(function, address, data);
            if let Some(recorder) = recorder {
                recorder.dma_write(function, address, data, result);
            }
            result
        })
    }
}

/// What this thread has taken of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

struct Engine<D> {
    device: D,
    surroundings: Rc<RefCell<Surroundings>>,
    shared: Arc<Shared>,
}

impl<D: Device> Engine<D> {
    fn new(mut device: D, host: Box<dyn Host>, recorder: Option<Recorder>, shared: Arc<Shared>) -> Self {
        let surroundings = Surroundings { host, recorder, shared: shared.clone(), accesses: 0 };
        let surroundings = Rc::new(RefCell::new(surroundings));
        device.host().set_outside(Some(Box::new(WayOut(surroundings.clone()))));
        Self { device, surroundings, shared }
    }

    fn run(mut self, inputs: &Receiver<Input>) -> std::io::Result<()> {
        loop {
            for _ in 0..INPUTS_PER_STEP {
                match self.next_input(inputs) {
                    Ok(Input::Stop) | Err(TryRecvError::Disconnected) => return self.finish(),
                    Ok(input) => self.take(input),
                    Err(TryRecvError::Empty) => break,
                }
            }
            self.advance(|device| device.step(STEP_CLOCKS));
            self.interrupt();
        }
    }

    /// The next input; waits for it if nothing happens without one.
    fn next_input(&mut self, inputs: &Receiver<Input>) -> Result<Input, TryRecvError> {
        let now = inputs.try_recv();
        if !matches!(now, Err(TryRecvError::Empty)) || !self.device.is_idle() {
            return now;
        }
        if let Some(recorder) = &mut self.surroundings.borrow_mut().recorder {
            recorder.flush();
        }
        self.shared.change(|activity| activity.is_idle = true);
        let input = inputs.recv();
        self.shared.change(|activity| activity.is_idle = false);
        input.map_err(|_| TryRecvError::Disconnected)
    }

    /// Lets time pass for the device. What its thread takes of a processor for it is the device's, but for what the host takes.
    fn advance<T>(&mut self, work: impl FnOnce(&mut D) -> T) -> T {
        let host_before = self.shared.host_time.load(Ordering::Relaxed);
        let since = processor_time();
        let result = work(&mut self.device);
        let all = (processor_time() - since).as_nanos() as u64;
        let host = self.shared.host_time.load(Ordering::Relaxed) - host_before;
        self.shared.device_time.fetch_add(all.saturating_sub(host), Ordering::Relaxed);
        self.shared.clock.store(self.device.clock(), Ordering::Relaxed);
        result
    }

    fn take(&mut self, input: Input) {
        let at = self.surroundings.borrow().recorder.as_ref().map(|recorder| recorder.at(self.device.clock()));
        let record = |engine: &mut Self, put: &mut dyn FnMut(&mut Recorder, crate::recording::At)| {
            if let (Some(recorder), Some(at)) = (&mut engine.surroundings.borrow_mut().recorder, at) {
                put(recorder, at);
            }
        };
        match input {
            Input::Read(access, then) => {
                let value = self.advance(|device| device.read(access));
                record(self, &mut |recorder, at| recorder.read(at, access, value));
                self.shared.change(|activity| activity.answers += 1);
                then(value);
                self.interrupt();
            }
            Input::Write(access, value) => {
                self.device.write(access, value);
                self.shared.posted.fetch_sub(1, Ordering::Relaxed);
                record(self, &mut |recorder, at| recorder.write(at, access, value));
            }
            Input::Sideband(function, sideband) => {
                self.device.set_sideband(function, sideband);
                record(self, &mut |recorder, at| recorder.sideband(at, function, sideband));
            }
            Input::FunctionLevelReset(function) => {
                self.advance(|device| device.function_level_reset(function));
                record(self, &mut |recorder, at| recorder.function_level_reset(at, function));
                self.interrupt();
            }
            Input::Stop => {}
        }
    }

    /// Sends the interrupts that came up.
    fn interrupt(&mut self) {
        let messages: Vec<Message> = self.device.take_interrupts();
        if messages.is_empty() {
            return;
        }
        let Surroundings { host, recorder, shared, .. } = &mut *self.surroundings.borrow_mut();
        let since = Instant::now();
        if let Some(recorder) = recorder {
            messages.iter().for_each(|message| recorder.interrupt(message));
        }
        host.interrupt(&messages);
        shared.change(|activity| activity.answers += messages.len() as u64);
        shared.host_time.fetch_add(since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    fn finish(self) -> std::io::Result<()> {
        let recorder = self.surroundings.borrow_mut().recorder.take();
        recorder.map_or(Ok(()), |recorder| recorder.finish(self.device.clock()))
    }
}
