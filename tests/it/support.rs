//! What the tests stand on: programs that never outlive their test, a running group, byte-exact
//! connections, and one way to wait.

pub(crate) mod group;
pub(crate) mod line;
pub(crate) mod log;
pub(crate) mod netcat;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod relay;
pub(crate) mod rng;
pub(crate) mod status;
pub(crate) mod trio;
pub(crate) mod wire;

use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A program of `tests/launchers`, compiled into `directory`.
pub(crate) fn launcher(name: &str, directory: &Path, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/launchers").join(name).with_extension("c");
    let program = directory.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&program).arg(source).args(flags);
    crate::child::run(&mut compiler).expect(crate::child::Outcome::Exit(0));
    program
}

/// How long anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How often something that only costs a read of `/proc` or of a file is looked at.
pub(crate) const OFTEN: Duration = Duration::from_millis(5);

/// Waits until `look` returns a value: the only place in the tests that sleeps.
///
/// An error of `look` ends the wait at once; `Ok(None)` means 'not yet'. After [`DEADLINE`] the
/// error says what was waited for.
pub(crate) fn poll<T>(what: &str, interval: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().with_context(|| format!("while waiting for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {DEADLINE:?} for {what}");
        }
        thread::sleep(interval);
    }
}

/// Fails the test with the whole chain of an error.
pub(crate) fn verdict(outcome: Result<()>) {
    if let Err(error) = outcome {
        let chain: Vec<_> = error.chain().map(ToString::to_string).collect();
        panic!("{}", chain.join("\n- because: "));
    }
}

/// Says that a test cannot run here, and why; `tests/run` counts and shows these.
pub(crate) fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED: {test}: {reason}");
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped");
    let mut file = File::options().create(true).append(true).open(&list).expect("the list of skipped tests");
    writeln!(file, "{test}: {reason}").expect("the list of skipped tests can be written");
}

/// An address on the loopback interface that nothing listens on.
///
/// The ports lie below the range from which the kernel takes the ports of outgoing connections: a
/// port that was free a moment ago must not be taken by a client of a neighbouring test before the
/// server binds it.
pub(crate) fn free_address() -> Result<SocketAddr> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static TRIED: AtomicU16 = AtomicU16::new(0);
    // Concurrent test processes have neighbouring pids: they start far apart.
    let start = (u64::from(std::process::id()) * 7_919) % u64::from(COUNT);
    for _ in 0..COUNT {
        let step = u64::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + step) % u64::from(COUNT)).context("a port")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port from {FIRST} on, {COUNT} tried")
}

/// Whether a socket listens on `address`, without connecting to it: a connection would be seen by
/// the server. In the network namespace of this thread.
pub(crate) fn listening(address: SocketAddr) -> Result<bool> {
    const TCP_LISTEN: &str = "0A";
    // Both families are shown as words of four bytes in this machine's order.
    let (table, ip) = match address {
        SocketAddr::V4(v4) => ("tcp", v4.ip().octets().to_vec()),
        SocketAddr::V6(v6) => ("tcp6", v6.ip().octets().to_vec()),
    };
    let words = ip.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    let ip: String = words.map(|word| format!("{word:08X}")).collect();
    let local = format!("{ip}:{:04X}", address.port());
    let path = format!("/proc/thread-self/net/{table}");
    let sockets = std::fs::read_to_string(&path).context(path)?;
    Ok(sockets.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(&local) && fields.nth(1) == Some(TCP_LISTEN)
    }))
}

/// The path of a program: from `PATH`, or where distributions keep servers.
pub(crate) fn installed(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{program} is not installed: tests/run installs it"))
}

/// The distribution's Python: a version switcher's `python3` on the PATH is a script that execs.
pub(crate) fn python() -> Result<PathBuf> {
    let system = Path::new("/usr/bin/python3");
    if system.is_file() { Ok(system.to_owned()) } else { installed("python3") }
}

/// Where the servers are that the tests bring along.
pub(crate) fn server_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}
