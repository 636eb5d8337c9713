//! The conversation with GDB, between the turns of the harts.

use std::collections::BTreeSet;
use std::io;
use std::mem::swap;
use std::net::TcpStream;

use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt as _;
use gdbstub::stub::state_machine::GdbStubStateMachine;
use gdbstub::stub::{DisconnectReason, GdbStub, GdbStubError, MultiThreadStopReason};
use sim_iss::{Bus, Hart};

use crate::target::{thread, Action, Harts};

type State<B> = GdbStubStateMachine<'static, Harts<B>, TcpStream>;
type StateError = GdbStubError<&'static str, io::Error>;

/// Turns between looks at whether GDB says something.
const TURNS_PER_LOOK: u32 = 1024;

/// How a conversation has ended. The harts go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// GDB has detached.
    Detached,
    /// GDB wants the harts to end.
    Killed,
    /// The connection is gone, or said something that cannot be answered.
    Lost(String),
}

/// GDB on one connection.
pub struct Debugger<B: Bus> {
    /// None when it has ended.
    state: Option<State<B>>,
    /// Harts and bus are in it while GDB looks at them.
    target: Harts<B>,
    /// Steps of each hart when GDB let them go.
    began: Vec<u64>,
    turns_to_look: u32,
    ended: Option<Ended>,
}

impl<B: Bus + Default> Debugger<B> {
    /// A conversation with who has connected. The harts stand still from the next turn on, until GDB lets them go.
    ///
    /// # Errors
    /// The connection is gone already.
    pub fn new(connection: TcpStream) -> io::Result<Self> {
        let mut target = Harts {
            harts: Vec::new(),
            bus: B::default(),
            breakpoints: BTreeSet::new(),
            actions: Vec::new(),
            others_stay: false,
        };
        let stub = GdbStub::new(connection);
        let state = stub.run_state_machine(&mut target).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self { state: Some(state), target, began: Vec::new(), turns_to_look: 0, ended: None })
    }

    /// How the conversation has ended, if it has.
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Whether a hart may make its turn.
    pub fn may_run(&self, hart: usize) -> bool {
        self.state.is_none()
            || !self.target.others_stay
            || self.target.actions.get(hart).is_some_and(|action| action.is_some())
    }

    /// Before each turn of all harts: stays here as long as GDB has them stand still. Its number of harts must not change.
    pub fn turn(&mut self, harts: &mut Vec<Hart>, bus: &mut B) {
        let Some(state) = self.state.take() else { return };
        let stop = match state {
            GdbStubStateMachine::Running(_) => self.stop(harts),
            _ => None,
        };
        self.turns_to_look = self.turns_to_look.saturating_sub(1);
        if stop.is_none() && self.turns_to_look > 0 && matches!(state, GdbStubStateMachine::Running(_)) {
            self.state = Some(state);
            return;
        }
        self.turns_to_look = TURNS_PER_LOOK;
        swap(&mut self.target.harts, harts);
        swap(&mut self.target.bus, bus);
        match self.converse(state, stop) {
            Ok(state) => self.state = state,
            Err(error) => self.ended = Some(Ended::Lost(error.to_string())),
        }
        swap(&mut self.target.harts, harts);
        swap(&mut self.target.bus, bus);
    }

    /// Why the harts are to stop before this turn, if they are.
    fn stop(&self, harts: &[Hart]) -> Option<MultiThreadStopReason<u64>> {
        let Harts { breakpoints, actions, .. } = &self.target;
        let has_moved = |hart: usize| self.began.get(hart).is_none_or(|began| harts[hart].steps() != *began);
        if let Some(hart) = (0..harts.len()).find(|&hart| breakpoints.contains(&harts[hart].pc()) && has_moved(hart)) {
            return Some(MultiThreadStopReason::SwBreak(thread(hart)));
        }
        // A turn has been made since, so that a hart that was to step has done so, or waits.
        let stepped = actions.iter().position(|action| *action == Some(Action::Step))?;
        Some(MultiThreadStopReason::SignalWithThread { tid: thread(stepped), signal: Signal::SIGTRAP })
    }

    /// Answers until GDB lets the harts go, or has left.
    fn converse(
        &mut self,
        mut state: State<B>,
        mut stop: Option<MultiThreadStopReason<u64>>,
    ) -> Result<Option<State<B>>, StateError> {
        loop {
            state = match state {
                GdbStubStateMachine::Running(mut running) => {
                    if let Some(reason) = stop.take() {
                        running.report_stop(&mut self.target, reason)?
                    } else {
                        let says_something = running.borrow_conn().peek();
                        // What is written must not come back undone.
                        let blocks = running.borrow_conn().set_nonblocking(false);
                        match (says_something, blocks) {
                            (Ok(None), Ok(())) => return Ok(Some(running.into())),
                            _ => match running.borrow_conn().read() {
                                Ok(byte) => running.incoming_data(&mut self.target, byte)?,
                                Err(error) => return Ok(self.lost(&error)),
                            },
                        }
                    }
                }
                GdbStubStateMachine::Idle(mut idle) => match idle.borrow_conn().read() {
                    Ok(byte) => {
                        let state = idle.incoming_data(&mut self.target, byte)?;
                        if matches!(state, GdbStubStateMachine::Running(_)) {
                            self.began = self.target.harts.iter().map(Hart::steps).collect();
                            return Ok(Some(state));
                        }
                        state
                    }
                    Err(error) => return Ok(self.lost(&error)),
                },
                GdbStubStateMachine::CtrlCInterrupt(interrupt) => {
                    let reason = MultiThreadStopReason::Signal(Signal::SIGINT);
                    interrupt.interrupt_handled(&mut self.target, Some(reason))?
                }
                GdbStubStateMachine::Disconnected(disconnected) => {
                    self.ended = Some(match disconnected.get_reason() {
                        DisconnectReason::Kill => Ended::Killed,
                        _ => Ended::Detached,
                    });
                    return Ok(None);
                }
            };
        }
    }

    fn lost(&mut self, error: &io::Error) -> Option<State<B>> {
        self.ended = Some(Ended::Lost(error.to_string()));
        None
    }
}
