//! An arbiter in a directory that both replicas share.
//!
//! An epoch that was won is a file `epoch-<16 hexadecimal digits>`. It appears by link(2) of a file that was written and
//! flushed before: the link is the test-and-set, since it fails with EEXIST when the name is taken, on network file systems
//! too. A reply that was lost shows as EEXIST as well, so the file is read back and compared with the claim. Files are never
//! removed or changed. Their text:
//!
//! ```text
//! ftrun epoch 1
//! epoch 7
//! replica 00000000000000a1
//! nonce 5d1f3c0000000002
//! check 9e83b0f1
//! ```
//!
//! The first number is the version of this form, `check` the CRC-32 of the lines before it. Names that begin with a dot are
//! claims that were prepared; one that is left by a crash says nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Arbiter, ArbiterError, Claim, Verdict};
use crate::ids::{Epoch, ReplicaId};

/// An arbiter in a directory.
#[derive(Debug)]
pub struct FileArbiter {
    dir: PathBuf,
    test_and_set: bool,
}

impl FileArbiter {
    /// In `dir`, which must exist: a directory that was made here because its storage is not mounted would let both
    /// replicas win.
    ///
    /// # Errors
    /// When there is no such directory or it cannot be read.
    pub fn new(dir: impl Into<PathBuf>) -> Result<Self, ArbiterError> {
        let dir = dir.into();
        match fs::metadata(&dir) {
            Ok(found) if found.is_dir() => Ok(Self { dir, test_and_set: true }),
            Ok(_) => Err(at(&dir)(ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(ArbiterError::NoDirectory { path: dir }),
            Err(error) => Err(at(&dir)(error)),
        }
    }

    /// In `dir`, which is made if it does not exist: for replicas on one machine.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, ArbiterError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        Self::new(dir)
    }

    /// Breaks the rule: a claim overwrites the one before. For the test that shows two winners.
    #[doc(hidden)]
    pub fn without_test_and_set(dir: impl Into<PathBuf>) -> Result<Self, ArbiterError> {
        Ok(Self { test_and_set: false, ..Self::new(dir)? })
    }

    fn path(&self, epoch: Epoch) -> PathBuf {
        self.dir.join(format!("epoch-{:016x}", epoch.0))
    }

    /// Tries to give the prepared file the epoch's name; false when the name is taken.
    fn test_and_set(&self, prepared: &Path, path: &Path) -> Result<bool, ArbiterError> {
        let outcome = if self.test_and_set { fs::hard_link(prepared, path) } else { fs::rename(prepared, path) };
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(at(path)(error)),
        }
    }

    fn prepare(&self, epoch: Epoch, claim: &Claim) -> Result<PathBuf, ArbiterError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let Claim { replica, nonce } = claim;
        let name = format!(".claim-{:016x}-{replica}-{nonce:016x}-{}-{number}", epoch.0, std::process::id());
        let path = self.dir.join(name);
        File::create(&path)
            .and_then(|mut file| file.write_all(form(epoch, claim).as_bytes()).and_then(|()| file.sync_all()))
            .inspect_err(|_| {
                // On a full disk claims are repeated until there is room: what is left of each would fill it further.
                let _ = fs::remove_file(&path);
            })
            .map_err(at(&self.dir))?;
        Ok(path)
    }

    fn read(&self, epoch: Epoch) -> Result<Option<Claim>, ArbiterError> {
        let path = self.path(epoch);
        match fs::read_to_string(&path) {
            Ok(text) => parse(epoch, &text).map(Some).map_err(|what| ArbiterError::Damaged { path, what }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(ArbiterError::Damaged { path, what: "text" }),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// What is to be answered may have been seen by others only if it lasts.
    fn sync(&self) -> Result<(), ArbiterError> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(at(&self.dir))
    }
}

impl Arbiter for FileArbiter {
    fn claim(&mut self, epoch: Epoch, claim: &Claim) -> Result<Verdict, ArbiterError> {
        // Files are never removed, so that this check cannot be overtaken.
        if epoch.0 != 1 && (epoch.0 == 0 || !self.path(Epoch(epoch.0 - 1)).try_exists().map_err(at(&self.dir))?) {
            let highest = self.highest()?.map_or(Epoch(0), |(highest, _)| highest);
            return Err(ArbiterError::Gap { path: self.dir.clone(), epoch, highest });
        }
        let prepared = self.prepare(epoch, claim)?;
        let path = self.path(epoch);
        let first = self.test_and_set(&prepared, &path);
        // The claim itself has its own name now, or is lost; a prepared file that stays is harmless.
        let _ = fs::remove_file(&prepared);
        if !first? {
            let missing = || at(&path)(ErrorKind::NotFound.into());
            let holder = self.read(epoch)?.ok_or_else(missing)?;
            if holder != *claim {
                self.sync()?;
                return Ok(Verdict::Lost(holder));
            }
        }
        self.sync()?;
        match self.highest()? {
            Some((highest, holder)) if highest > epoch => Ok(Verdict::Lost(holder)),
            _ => Ok(Verdict::Won),
        }
    }

    fn highest(&mut self) -> Result<Option<(Epoch, Claim)>, ArbiterError> {
        let mut highest = None;
        for entry in fs::read_dir(&self.dir).map_err(at(&self.dir))? {
            let entry = entry.map_err(at(&self.dir))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(digits) = name.strip_prefix("epoch-") {
                let what = "name";
                let damaged = || ArbiterError::Damaged { path: entry.path(), what };
                let epoch = u64::from_str_radix(digits, 16).map(Epoch).map_err(|_| damaged())?;
                if self.path(epoch) != entry.path() {
                    return Err(damaged());
                }
                highest = highest.max(Some(epoch));
            }
        }
        let Some(epoch) = highest else {
            return Ok(None);
        };
        let missing = || at(&self.path(epoch))(ErrorKind::NotFound.into());
        Ok(Some((epoch, self.read(epoch)?.ok_or_else(missing)?)))
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ArbiterError + '_ {
    |source| ArbiterError::Io { path: path.to_owned(), source }
}

fn form(epoch: Epoch, claim: &Claim) -> String {
    let Claim { replica, nonce } = claim;
    let lines = format!("ftrun epoch 1\nepoch {epoch}\nreplica {replica}\nnonce {nonce:016x}\n");
    let check = crc32fast::hash(lines.as_bytes());
    format!("{lines}check {check:08x}\n")
}

/// Reads the text of an epoch's file, or names the line that is wrong.
fn parse(epoch: Epoch, text: &str) -> Result<Claim, &'static str> {
    let mut lines = text.lines();
    let mut field = |name: &'static str| -> Result<&str, &'static str> {
        lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' ')).ok_or(name)
    };
    if field("ftrun epoch")? != "1" {
        return Err("version");
    }
    if field("epoch")? != epoch.to_string() {
        return Err("epoch");
    }
    let mut number = |name| u64::from_str_radix(field(name)?, 16).map_err(|_| name);
    let claim = Claim { replica: ReplicaId(number("replica")?), nonce: number("nonce")? };
    if form(epoch, &claim) == text { Ok(claim) } else { Err("check") }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::super::next_epoch;
    use super::*;

    fn claim(number: u64) -> Claim {
        Claim { replica: ReplicaId(number), nonce: number << 32 | 7 }
    }

    fn race(dir: &Path, open: fn(PathBuf) -> Result<FileArbiter, ArbiterError>, epoch: Epoch) -> Vec<Verdict> {
        const CLAIMANTS: u32 = 16;
        let barrier = Barrier::new(CLAIMANTS as usize);
        thread::scope(|scope| {
            let claimants: Vec<_> = (0..CLAIMANTS)
                .map(|number| {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let mut arbiter = open(dir.to_owned()).unwrap();
                        barrier.wait();
                        arbiter.claim(epoch, &claim(number.into())).unwrap()
                    })
                })
                .collect();
            claimants.into_iter().map(|claimant| claimant.join().unwrap()).collect()
        })
    }

    fn winners(verdicts: &[Verdict]) -> usize {
        verdicts.iter().filter(|verdict| **verdict == Verdict::Won).count()
    }

    #[test]
    fn exactly_one_of_many_wins_each_epoch() {
        let dir = tempfile::tempdir().unwrap();
        for epoch in (1..=20).map(Epoch) {
            let verdicts = race(dir.path(), FileArbiter::new, epoch);
            assert_eq!(winners(&verdicts), 1, "epoch {epoch}: {verdicts:?}");
            let won = verdicts.iter().position(|verdict| *verdict == Verdict::Won).unwrap() as u64;
            let others = verdicts.iter().filter(|verdict| **verdict != Verdict::Won);
            assert!(others.into_iter().all(|verdict| *verdict == Verdict::Lost(claim(won))), "all see one winner");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 20, "no prepared claim is left");
    }

    #[test]
    fn without_test_and_set_two_win() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = FileArbiter::without_test_and_set(dir.path()).unwrap();
        let mut other = FileArbiter::without_test_and_set(dir.path()).unwrap();
        let verdicts = [one.claim(Epoch(1), &claim(1)).unwrap(), other.claim(Epoch(1), &claim(2)).unwrap()];
        assert_eq!(winners(&verdicts), 2, "the rule is switched off: {verdicts:?}");
        let mut one = FileArbiter::new(dir.path()).unwrap();
        let mut other = FileArbiter::new(dir.path()).unwrap();
        let verdicts = [one.claim(Epoch(2), &claim(1)).unwrap(), other.claim(Epoch(2), &claim(2)).unwrap()];
        assert_eq!(winners(&verdicts), 1, "and on: {verdicts:?}");
    }

    #[test]
    fn a_reply_that_was_lost_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut arbiter = FileArbiter::new(dir.path()).unwrap();
        assert_eq!(arbiter.claim(Epoch(1), &claim(1)).unwrap(), Verdict::Won);
        assert_eq!(arbiter.claim(Epoch(1), &claim(1)).unwrap(), Verdict::Won, "as after a lost reply");
        let again = Claim { nonce: 0, ..claim(1) };
        assert_eq!(arbiter.claim(Epoch(1), &again).unwrap(), Verdict::Lost(claim(1)), "another run of the replica");
        assert_eq!(arbiter.claim(Epoch(2), &claim(2)).unwrap(), Verdict::Won);
        assert_eq!(arbiter.claim(Epoch(1), &claim(1)).unwrap(), Verdict::Lost(claim(2)), "superseded since");
        assert_eq!(arbiter.highest().unwrap(), Some((Epoch(2), claim(2))));
    }

    #[test]
    fn epochs_are_won_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut arbiter = FileArbiter::new(dir.path()).unwrap();
        assert_eq!(arbiter.highest().unwrap(), None);
        for epoch in [0, 2, 9].map(Epoch) {
            assert!(matches!(arbiter.claim(epoch, &claim(1)), Err(ArbiterError::Gap { .. })), "epoch {epoch}");
        }
        assert_eq!(next_epoch(&mut arbiter, &claim(1)).unwrap(), Epoch(1));
        assert_eq!(next_epoch(&mut arbiter, &claim(1)).unwrap(), Epoch(2));
    }

    #[test]
    fn claims_left_by_a_crash_are_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let mut arbiter = FileArbiter::new(dir.path()).unwrap();
        let prepared = arbiter.prepare(Epoch(1), &claim(1)).unwrap();
        assert_eq!(arbiter.highest().unwrap(), None);
        assert_eq!(arbiter.claim(Epoch(1), &claim(2)).unwrap(), Verdict::Won);
        assert_eq!(arbiter.highest().unwrap(), Some((Epoch(1), claim(2))));
        assert!(prepared.exists());
    }

    #[test]
    fn a_damaged_epoch_is_neither_won_nor_lost() {
        let dir = tempfile::tempdir().unwrap();
        let mut arbiter = FileArbiter::new(dir.path()).unwrap();
        arbiter.claim(Epoch(1), &claim(1)).unwrap();
        let path = arbiter.path(Epoch(1));
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            let error = arbiter.claim(Epoch(1), &claim(1)).unwrap_err();
            assert!(matches!(error, ArbiterError::Damaged { .. }), "byte {at}: {error}");
            assert!(error.to_string().contains("epoch-0000000000000001"), "{error}");
            fs::write(&path, &sound[..at]).unwrap();
            assert!(arbiter.highest().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("not/mounted");
        let error = FileArbiter::new(&path).unwrap_err().to_string();
        assert!(error.contains("not/mounted") && error.contains("does not exist"), "{error}");
        let mut arbiter = FileArbiter::create(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        let error = arbiter.claim(Epoch(1), &claim(1)).unwrap_err().to_string();
        assert!(error.contains("not/mounted"), "{error}");
    }
}
