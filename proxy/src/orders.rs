//! Who may give orders.
//!
//! The **epoch in force** is the highest one that a replica has named in Hello or Takeover. Everything from a replica of an
//! older epoch is ignored, and it is told. Within the epoch there are two seats:
//!
//! - the **primary**: runs the server, opens listeners. It changes only by a takeover;
//! - the **backup**: releases output. Without one, and before one has come, nothing is released.
//!
//! A replica is *solo* after it won an epoch: by Hello when it is the primary already, by Takeover otherwise. A Hello as solo
//! from another replica frees no output, because the server connections are still those of the old primary.
//!
//! A replica that lost its control connection may come back in its seat; another replica may not take a seat while its
//! holder is connected.

use std::collections::BTreeMap;

use common::ids::{Epoch, ReplicaId};
use common::orders::Role;
use thiserror::Error;

/// One control connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ControlId(pub u64);

/// Whether output is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Nobody runs the server yet. Output is held.
    #[default]
    Alone,
    /// Output is held until the backup releases it.
    Paired,
    /// The primary has no backup by a won epoch: output is not held.
    Solo,
}

/// Why an order is not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The sender's time is over.
    #[error("its epoch is over, epoch {0} is in force")]
    Superseded(Epoch),
    /// The sender has no such right.
    #[error("it is sent by a replica that is not {expected} of the epoch")]
    NotYours {
        /// Who may.
        expected: &'static str,
    },
}

/// How a takeover is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// All connections move.
    Move,
    /// It was carried out before and its answer was lost: answer again.
    Repeat,
}

#[derive(Debug, Clone, Copy)]
struct Greeting {
    epoch: Epoch,
    replica: ReplicaId,
    role: Role,
}

#[derive(Debug, Clone, Copy)]
struct Seat {
    replica: ReplicaId,
    control: Option<ControlId>,
}

impl Seat {
    fn free_for(seat: Option<Self>, replica: ReplicaId) -> bool {
        seat.is_none_or(|seat| seat.replica == replica || seat.control.is_none())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Authority {
    epoch: Epoch,
    mode: Mode,
    primary: Option<Seat>,
    backup: Option<Seat>,
    /// Who won the epoch in force, as far as it said so.
    winner: Option<ReplicaId>,
    greetings: BTreeMap<ControlId, Greeting>,
    /// Test only: orders of any epoch are obeyed.
    ignore_epochs: bool,
}

impl Authority {
    /// Nobody has said anything. `ignore_epochs` is the test-only switch.
    #[must_use]
    pub fn new(ignore_epochs: bool) -> Self {
        Self { ignore_epochs, ..Self::default() }
    }

    /// The epoch in force.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether output is held.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether whoever runs the server is connected.
    #[must_use]
    pub fn primary_there(&self) -> bool {
        self.primary.is_some_and(|seat| seat.control.is_some())
    }

    /// The control connection of the backup, if it is there.
    #[must_use]
    pub fn backup(&self) -> Option<ControlId> {
        self.backup.and_then(|seat| seat.control)
    }

    /// Control connections that have said who they are.
    #[must_use]
    pub fn greeted(&self) -> usize {
        self.greetings.len()
    }

    /// Control connections of other replicas whose epoch is over.
    pub fn superseded(&self) -> impl Iterator<Item = ControlId> {
        let winner = self.winner;
        self.greetings
            .iter()
            .filter(move |(_, greeting)| greeting.epoch < self.epoch && Some(greeting.replica) != winner)
            .map(|(&control, _)| control)
    }

    /// A control connection is gone.
    pub fn left(&mut self, control: ControlId) {
        self.greetings.remove(&control);
        for seat in [&mut self.primary, &mut self.backup].into_iter().flatten() {
            if seat.control == Some(control) {
                seat.control = None;
            }
        }
    }

    /// A replica says who it is. May be said again, as after winning an epoch.
    ///
    /// # Errors
    /// When its epoch is over, or its part is played by another.
    pub fn hello(&mut self, control: ControlId, epoch: Epoch, replica: ReplicaId, role: Role) -> Result<(), Refusal> {
        let over = Refusal::Superseded(self.epoch);
        if epoch < self.epoch && !self.ignore_epochs {
            return Err(over);
        }
        let won = epoch > self.epoch;
        let known = self.winner == Some(replica);
        match role {
            Role::Primary if !won && !Seat::free_for(self.primary, replica) => return Err(over),
            Role::Backup if !won && !Seat::free_for(self.backup, replica) && !self.ignore_epochs => return Err(over),
            // Only a won epoch makes solo; the same epoch is only the return of the one who won it.
            Role::Solo if !won && !known && self.mode != Mode::Alone && !self.ignore_epochs => return Err(over),
            _ => {}
        }
        if won {
            self.epoch = epoch;
            self.winner = None;
            self.backup = None;
        }
        self.left(control);
        self.greetings.insert(control, Greeting { epoch, replica, role });
        let seat = Some(Seat { replica, control: Some(control) });
        match role {
            Role::Primary => {
                self.primary = seat;
                if won || self.mode == Mode::Alone {
                    self.mode = Mode::Paired;
                }
            }
            Role::Backup => {
                self.backup = seat;
                self.mode = Mode::Paired;
            }
            Role::Solo => {
                self.winner = Some(replica);
                if self.primary.is_none_or(|primary| primary.replica == replica) {
                    self.primary = seat;
                    self.mode = Mode::Solo;
                }
            }
        }
        Ok(())
    }

    /// Whether the sender may open and close listeners.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_serve(&self, control: ControlId) -> Result<(), Refusal> {
        self.may(control, "the primary", |greeting| {
            self.primary.is_some_and(|seat| seat.replica == greeting.replica) && greeting.role != Role::Backup
        })
    }

    /// Whether the sender may release output.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_release(&self, control: ControlId) -> Result<(), Refusal> {
        self.may(control, "the backup", |greeting| match greeting.role {
            Role::Primary => false,
            Role::Backup => self.ignore_epochs || self.backup() == Some(control),
            Role::Solo => self.mode == Mode::Solo,
        })
    }

    /// Whether the sender may say that the server has ended.
    ///
    /// # Errors
    /// When it may not.
    pub fn may_end(&self, control: ControlId) -> Result<(), Refusal> {
        self.may(control, "a replica", |_| true)
    }

    fn may(
        &self,
        control: ControlId,
        expected: &'static str,
        right: impl Fn(&Greeting) -> bool,
    ) -> Result<(), Refusal> {
        match self.greetings.get(&control) {
            Some(greeting) if greeting.epoch < self.epoch && !self.ignore_epochs => {
                Err(Refusal::Superseded(self.epoch))
            }
            Some(greeting) if right(greeting) => Ok(()),
            _ => Err(Refusal::NotYours { expected }),
        }
    }

    /// A replica won `epoch` and runs the server from now on.
    ///
    /// # Errors
    /// When a higher epoch is in force, or another replica won this one.
    pub fn takeover(&mut self, control: ControlId, epoch: Epoch, replica: ReplicaId) -> Result<Takeover, Refusal> {
        let runs = self.primary.is_some_and(|seat| seat.replica == replica);
        let won = epoch > self.epoch || (epoch == self.epoch && self.winner == Some(replica));
        if !won && !self.ignore_epochs {
            return Err(Refusal::Superseded(self.epoch));
        }
        let repeated = epoch == self.epoch && self.winner == Some(replica) && runs && self.mode == Mode::Solo;
        self.epoch = epoch.max(self.epoch);
        self.winner = Some(replica);
        self.mode = Mode::Solo;
        self.backup = None;
        self.primary = Some(Seat { replica, control: Some(control) });
        self.greetings.insert(control, Greeting { epoch, replica, role: Role::Solo });
        Ok(if repeated { Takeover::Repeat } else { Takeover::Move })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ReplicaId = ReplicaId(0xa);
    const B: ReplicaId = ReplicaId(0xb);
    const C: ReplicaId = ReplicaId(0xc);

    fn pair() -> Authority {
        let mut authority = Authority::new(false);
        authority.hello(ControlId(1), Epoch(1), A, Role::Primary).unwrap();
        authority.hello(ControlId(2), Epoch(1), B, Role::Backup).unwrap();
        authority
    }

    #[test]
    fn the_backup_alone_releases_and_the_primary_alone_listens() {
        let authority = pair();
        assert_eq!(authority.mode(), Mode::Paired);
        assert_eq!(authority.may_release(ControlId(2)), Ok(()));
        assert_eq!(authority.may_release(ControlId(1)), Err(Refusal::NotYours { expected: "the backup" }));
        assert_eq!(authority.may_serve(ControlId(1)), Ok(()));
        assert_eq!(authority.may_serve(ControlId(2)), Err(Refusal::NotYours { expected: "the primary" }));
        assert_eq!(authority.may_end(ControlId(9)), Err(Refusal::NotYours { expected: "a replica" }));
    }

    #[test]
    fn an_older_epoch_is_over() {
        let mut authority = pair();
        assert_eq!(authority.takeover(ControlId(2), Epoch(2), B), Ok(Takeover::Move));
        assert_eq!(authority.mode(), Mode::Solo);
        let over = Err(Refusal::Superseded(Epoch(2)));
        assert_eq!(authority.may_serve(ControlId(1)), over);
        assert_eq!(authority.may_end(ControlId(1)), over);
        assert_eq!(authority.hello(ControlId(3), Epoch(1), C, Role::Backup), over);
        assert_eq!(authority.takeover(ControlId(1), Epoch(2), A), Err(Refusal::Superseded(Epoch(2))));
        assert_eq!(authority.superseded().collect::<Vec<_>>(), [ControlId(1)]);
        assert_eq!(authority.may_serve(ControlId(2)), Ok(()));
    }

    #[test]
    fn solo_needs_a_won_epoch() {
        let mut authority = pair();
        let over = Err(Refusal::Superseded(Epoch(1)));
        assert_eq!(authority.hello(ControlId(1), Epoch(1), A, Role::Solo), over);
        assert_eq!(authority.mode(), Mode::Paired);
        authority.hello(ControlId(1), Epoch(2), A, Role::Solo).unwrap();
        assert_eq!(authority.mode(), Mode::Solo);
        assert_eq!(authority.may_release(ControlId(2)), Err(Refusal::Superseded(Epoch(2))));
    }

    #[test]
    fn a_solo_hello_of_another_replica_frees_no_output_before_its_takeover() {
        let mut authority = pair();
        authority.hello(ControlId(2), Epoch(2), B, Role::Solo).unwrap();
        assert_eq!(authority.mode(), Mode::Paired);
        assert_eq!(authority.takeover(ControlId(2), Epoch(2), B), Ok(Takeover::Move));
        assert_eq!(authority.mode(), Mode::Solo);
        assert_eq!(authority.takeover(ControlId(2), Epoch(2), B), Ok(Takeover::Repeat));
    }

    #[test]
    fn a_seat_is_kept_for_its_holder_and_not_shared() {
        let mut authority = pair();
        let over = Err(Refusal::Superseded(Epoch(1)));
        assert_eq!(authority.hello(ControlId(3), Epoch(1), C, Role::Backup), over);
        assert_eq!(authority.hello(ControlId(3), Epoch(1), C, Role::Primary), over);
        authority.left(ControlId(1));
        assert!(!authority.primary_there());
        authority.hello(ControlId(4), Epoch(1), A, Role::Primary).unwrap();
        assert!(authority.primary_there());
        // A newer connection of the same replica replaces the older one.
        authority.hello(ControlId(5), Epoch(1), B, Role::Backup).unwrap();
        assert_eq!(authority.backup(), Some(ControlId(5)));
        assert_eq!(authority.may_release(ControlId(2)), Err(Refusal::NotYours { expected: "the backup" }));
    }

    #[test]
    fn a_backup_that_joins_a_solo_primary_holds_output_again() {
        let mut authority = Authority::new(false);
        authority.hello(ControlId(1), Epoch(1), A, Role::Solo).unwrap();
        assert_eq!(authority.mode(), Mode::Solo);
        authority.hello(ControlId(2), Epoch(1), B, Role::Backup).unwrap();
        assert_eq!(authority.mode(), Mode::Paired);
    }

    #[test]
    fn with_epochs_ignored_an_old_backup_releases() {
        let mut authority = Authority::new(true);
        authority.hello(ControlId(1), Epoch(2), A, Role::Primary).unwrap();
        authority.hello(ControlId(2), Epoch(1), B, Role::Backup).unwrap();
        assert_eq!(authority.may_release(ControlId(2)), Ok(()));
    }
}
