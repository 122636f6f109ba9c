//! What `ftrun status --json` says.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use super::group::ftrun;
use super::program::{Exit, Program};

/// The status of one group.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) epoch: u64,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) replicas: Vec<Replica>,
}

/// The front proxy.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Proxy {
    pub(crate) pid: i32,
    pub(crate) listen: Vec<String>,
    pub(crate) connections: u64,
}

/// One replica.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replica {
    pub(crate) role: Role,
    pub(crate) ftrun_pid: i32,
    pub(crate) server_pid: Option<i32>,
    pub(crate) lsn: Option<u64>,
    pub(crate) acked_lsn: Option<u64>,
    pub(crate) replayed_lsn: Option<u64>,
    pub(crate) fast_calls: Option<u64>,
    pub(crate) ring_waits: Option<u64>,
    pub(crate) sent_bytes: Option<u64>,
    pub(crate) stored_bytes: Option<u64>,
    pub(crate) unprotected: Vec<String>,
}

/// What a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Primary,
    Backup,
    Solo,
}

/// Asks `ftrun status`; `None` when it says that nothing runs. `scratch` takes its output.
pub(crate) fn ask(state: &Path, scratch: &Path) -> Result<Option<Status>> {
    let mut command = ftrun();
    command.args(["status", "--json", "--state-dir"]).arg(state);
    let mut asked = Program::start("status", &mut command, scratch)?;
    match asked.wait()? {
        Exit::Code(0) => {}
        Exit::Code(_) => return Ok(None),
        signal => bail!(asked.explain(anyhow!("ftrun status: {signal:?}"))),
    }
    let text = asked.stdout()?;
    let status: Status = serde_json::from_slice(&text)
        .with_context(|| format!("ftrun status --json printed \"{}\"", text.escape_ascii()))?;
    status.check()?;
    Ok(Some(status))
}

impl Status {
    /// The replica with this role, if there is exactly one.
    pub(crate) fn only(&self, role: Role) -> Option<&Replica> {
        let mut found = self.replicas.iter().filter(|replica| replica.role == role);
        found.next().filter(|_| found.next().is_none())
    }

    /// Every pid that it names.
    pub(crate) fn pids(&self) -> impl Iterator<Item = i32> {
        let proxy = self.proxy.iter().map(|proxy| proxy.pid);
        let replicas = self.replicas.iter();
        proxy.chain(replicas.flat_map(|it| Some(it.ftrun_pid).into_iter().chain(it.server_pid)))
    }

    /// Fails on what can never be: two replicas that act alone, an acknowledgement of a log that does not exist, a replica ahead
    /// of what it has received. A primary beside one that acts alone has been superseded and does not know it yet: nothing of its
    /// output is let out.
    pub(crate) fn check(&self) -> Result<()> {
        for role in [Role::Solo, Role::Primary] {
            let count = self.replicas.iter().filter(|it| it.role == role).count();
            ensure!(count <= 1, "{count} replicas are {role:?}: {self:?}");
        }
        for replica in &self.replicas {
            if let (Role::Primary, Some(lsn), Some(acked)) = (replica.role, replica.lsn, replica.acked_lsn) {
                ensure!(acked <= lsn, "acknowledged beyond the log: {replica:?}");
            }
            if let (Role::Backup, Some(received), Some(replayed)) = (replica.role, replica.lsn, replica.replayed_lsn) {
                ensure!(replayed <= received, "replayed ahead of the log: {replica:?}");
            }
        }
        Ok(())
    }
}
