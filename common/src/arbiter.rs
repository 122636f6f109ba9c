//! The arbiter: where a replica wins the right to act for the service.
//!
//! **One primary.** A replica goes live, and a primary goes on alone, only after it won a new epoch by an atomic
//! test-and-set. An epoch that was won is never given again; there is no lease and no clock. Epochs are won in order, without
//! gaps: whoever wins epoch N + 1 knows that N is over.
//!
//! **Unknown.** A claim whose answer did not come may have been won. Claiming the same epoch again with the same [`Claim`] is
//! a reading: it answers [`Verdict::Won`] when the claim was won then, unless a higher epoch was won since.
//!
//! **Who it is that claims.** [`Claim`] names a replica and, by a random number, one run of it, so that a claim found at the
//! arbiter is never taken for one's own by mistake.

mod file;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::file::FileArbiter;
use crate::ids::{Epoch, ReplicaId};

/// Who claims an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Claim {
    /// The replica.
    pub replica: ReplicaId,
    /// Chosen at random when the replica starts, and kept while it lives.
    pub nonce: u64,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replica {} ({:016x})", self.replica, self.nonce)
    }
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The epoch is the claimant's.
    Won,
    /// This or a higher epoch is another's: the claimant ends.
    Lost(Claim),
}

/// Why the arbiter did not answer. After an error of [`Arbiter::claim`] the outcome is unknown: claim the same epoch again.
#[derive(Debug, Error)]
pub enum ArbiterError {
    /// The storage failed.
    #[error("the arbiter at {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory does not exist.
    #[error(
        "the arbiter's directory {} does not exist: make it on storage that both replicas share, and mount that", path.display()
    )]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// An epoch's file is malformed.
    #[error("the arbiter's file {} is damaged at {what}: restore it, or begin with an empty directory and no replica running", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which line.
        what: &'static str,
    },
    /// Epochs are won in order.
    #[error("epoch {epoch} was claimed at {}, but the highest one won is {highest}: the replicas do not share this arbiter", path.display())]
    Gap {
        /// The directory.
        path: PathBuf,
        /// The claim.
        epoch: Epoch,
        /// What the arbiter knows.
        highest: Epoch,
    },
    /// The primary's epoch is not known here.
    #[error("epoch {epoch} of primary {replica} is not known to the arbiter {arbiter}: the replicas do not share it")]
    NotShared {
        /// The arbiter.
        arbiter: String,
        /// The primary's epoch.
        epoch: Epoch,
        /// The primary.
        replica: ReplicaId,
    },
}

/// Gives out epochs, each once.
pub trait Arbiter {
    /// Claims `epoch`, which must be the highest one won plus one (1 at first). Claiming again with the same claim is safe.
    ///
    /// # Errors
    /// When the arbiter cannot be reached or its answer is lost: whether the claim was won is then unknown.
    fn claim(&mut self, epoch: Epoch, claim: &Claim) -> Result<Verdict, ArbiterError>;

    /// The highest epoch won, and by whom.
    ///
    /// # Errors
    /// When the arbiter cannot be reached.
    fn highest(&mut self) -> Result<Option<(Epoch, Claim)>, ArbiterError>;
}

/// Wins the epoch after the highest one, for a primary that starts.
///
/// # Errors
/// When the arbiter cannot be reached.
pub fn next_epoch(arbiter: &mut (impl Arbiter + ?Sized), claim: &Claim) -> Result<Epoch, ArbiterError> {
    loop {
        let next = Epoch(arbiter.highest()?.map_or(1, |(highest, _)| highest.0 + 1));
        if arbiter.claim(next, claim)? == Verdict::Won {
            return Ok(next);
        }
    }
}

/// For a backup that is greeted: checks that the primary's epoch is the highest one here and is the primary's. Otherwise the
/// two do not share their arbiter, and both could win.
///
/// # Errors
/// [`ArbiterError::NotShared`] when it is not; or when the arbiter cannot be reached.
pub fn confirm(
    arbiter: &mut (impl Arbiter + ?Sized),
    spec: &ArbiterSpec,
    epoch: Epoch,
    replica: ReplicaId,
) -> Result<(), ArbiterError> {
    match arbiter.highest()? {
        Some((highest, claim)) if highest == epoch && claim.replica == replica => Ok(()),
        _ => Err(ArbiterError::NotShared { arbiter: spec.to_string(), epoch, replica }),
    }
}

/// Which arbiter a user asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ArbiterSpec {
    /// `file:/path`: a directory on storage that both replicas share.
    File(PathBuf),
}

/// Why a text names no arbiter.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArbiterSpecError {
    /// Of a kind that is not known.
    #[error("no such arbiter `{found}`: expected file:/absolute/directory")]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// A path that means another place on the other machine.
    #[error("the arbiter's directory `{found}` is no absolute path: expected file:/absolute/directory")]
    Relative {
        /// The path.
        found: String,
    },
}

impl FromStr for ArbiterSpec {
    type Err = ArbiterSpecError;

    fn from_str(text: &str) -> Result<Self, ArbiterSpecError> {
        let path = text.strip_prefix("file:").ok_or_else(|| ArbiterSpecError::Unknown { found: text.to_owned() })?;
        if !path.starts_with('/') {
            return Err(ArbiterSpecError::Relative { found: path.to_owned() });
        }
        Ok(Self::File(path.into()))
    }
}

impl fmt::Display for ArbiterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl ArbiterSpec {
    /// Opens the arbiter.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn open(&self) -> Result<Box<dyn Arbiter + Send>, ArbiterError> {
        match self {
            Self::File(path) => Ok(Box::new(FileArbiter::new(path)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_survives_the_round_trip_and_others_are_told_what_is_known() {
        let spec: ArbiterSpec = "file:/srv/epochs".parse().unwrap();
        assert_eq!((spec.to_string().as_str(), &spec), ("file:/srv/epochs", &ArbiterSpec::File("/srv/epochs".into())));
        for text in ["etcd:http://a", "/srv/epochs", ""] {
            let error = text.parse::<ArbiterSpec>().unwrap_err();
            assert!(error.to_string().contains("expected file:/absolute/directory"), "{error}");
        }
        assert!(matches!("file:epochs".parse::<ArbiterSpec>(), Err(ArbiterSpecError::Relative { .. })));
    }

    #[test]
    fn a_backup_finds_out_that_the_arbiter_is_not_shared() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let spec = ArbiterSpec::File(here.path().into());
        let primary = Claim { replica: ReplicaId(1), nonce: 1 };
        let epoch = next_epoch(&mut FileArbiter::new(there.path()).unwrap(), &primary).unwrap();
        let mut arbiter = spec.open().unwrap();
        let refused = |arbiter: &mut Box<dyn Arbiter + Send>| {
            matches!(confirm(&mut **arbiter, &spec, epoch, primary.replica), Err(ArbiterError::NotShared { .. }))
        };
        assert!(refused(&mut arbiter), "an empty directory");
        next_epoch(&mut *arbiter, &Claim { replica: ReplicaId(2), nonce: 2 }).unwrap();
        assert!(refused(&mut arbiter), "the same epoch, won by another");
        let shared = next_epoch(&mut *arbiter, &primary).unwrap();
        confirm(&mut *arbiter, &spec, shared, primary.replica).unwrap();
        next_epoch(&mut *arbiter, &Claim { replica: ReplicaId(2), nonce: 2 }).unwrap();
        assert!(refused(&mut arbiter), "an epoch that is over");
    }
}
