//! What a recording of a program must do.

use crate::child::{Ended, Outcome};

/// What a recording of a program must do. Its replay is identical in each case, up to where the recording ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// It ends like the native run, with status 0.
    Identical,
    /// It fails, because ftrun does not do something yet.
    Fails(Failure),
}

/// How a recording fails, and why.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    /// Its exit status.
    pub(super) status: i32,
    /// What is in a line of ftrun's on standard error.
    pub(super) says: &'static str,
    /// For docs/conformance.md.
    pub(super) reason: &'static str,
}

/// What to do when a program does something else than the table says, and rightly so.
const UPDATE: &str =
    "update its entry in tests/it/programs, then docs/conformance.md: FTRUN_UPDATE_DOCS=1 tests/run programs::document";

/// It starts a second thread.
pub(super) const THREAD: Expected = Expected::Fails(Failure {
    status: 122,
    says: "called clone to start a second thread",
    reason: "it starts a second thread: the recording ends there, exit status 122",
});

/// It opens a pseudo-terminal.
pub(super) const TERMINAL: Expected =
    refused(1, "refused ioctl(TIOCGPTN)", "it opens a pseudo-terminal: ioctl(TIOCGPTN) is refused, ENOTTY");

/// It sets a clock, and knows what a kernel answers.
pub(super) const CLOCK: Expected =
    refused(1, "refused clock_settime", "it expects EPERM when it sets a clock: refused, ENOSYS");

/// It asks for what is refused by name.
pub(super) const fn refused(status: i32, says: &'static str, reason: &'static str) -> Expected {
    Expected::Fails(Failure { status, says, reason })
}

impl Expected {
    /// Panics unless this is what a recording did.
    #[track_caller]
    pub(super) fn check(self, name: &str, recorded: &Ended) {
        let Self::Fails(Failure { status, says, .. }) = self else {
            return recorded.expect(Outcome::Exit(0));
        };
        if recorded.outcome == Outcome::Exit(0) {
            recorded.fail(&format!(
                "{name} unexpectedly passes: move it to those recorded (Identical instead of a failure that says `{says}`): {UPDATE}"
            ));
        }
        let lines = recorded.stderr_lines();
        let own: Vec<&String> = lines.iter().filter(|line| line.starts_with("ftrun: ")).collect();
        if recorded.outcome != Outcome::Exit(status) || !own.iter().any(|line| line.contains(says)) {
            recorded.fail(&format!(
                "{name} fails in another way than expected ({:?} and a line of ftrun's with `{says}`): its lines are {own:#?}. If \
                 that is right, {UPDATE}",
                Outcome::Exit(status)
            ));
        }
    }
}
