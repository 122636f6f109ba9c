//! How this process ends: once, for one stated reason, and with nobody left behind.
//!
//! Any thread may find that the process cannot go on: the proxy is gone, another replica acts, a signal came. Whoever finds it
//! first ends the process: it claims the ending, says why, kills and reaps the processes that belong to this one, and
//! exits. The main thread claims it too before it leaves, so that message and exit status are those of the cause and
//! never of its consequences (a server that dies because ftrun ends it is no failure of the machine).

use std::fmt::Display;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use anyhow::{Context, Result};
use tracer::say;
use tracer::sys::pidfd::ChildProcess;

use crate::exit::Exit;

/// Who ends this process.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// Children that end with this process.
static FAMILY: Mutex<Vec<Member>> = Mutex::new(Vec::new());
/// Files that are removed when this process ends; `None` once they are.
static FILES: Mutex<Option<Vec<PathBuf>>> = Mutex::new(Some(Vec::new()));

/// How a child belongs to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// It is traced: without this process it cannot live.
    Traced,
    /// It is part of the service: it goes on when another replica acts for that.
    Service,
}

#[derive(Debug)]
struct Member {
    pid: i32,
    process: ChildProcess,
    bond: Bond,
    /// Its socket in the state directory.
    socket: Option<PathBuf>,
}

fn lock<T>(mutex: &'static Mutex<T>) -> MutexGuard<'static, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on the child `pid` ends with this process, and with it its socket.
pub fn with_us(pid: i32, bond: Bond, socket: Option<PathBuf>) -> Result<()> {
    let process = ChildProcess::open(pid).with_context(|| format!("process {pid} cannot be watched"))?;
    lock(&FAMILY).push(Member { pid, process, bond, socket });
    Ok(())
}

/// The child `pid` has ended and is reaped.
pub fn has_ended(pid: i32) {
    lock(&FAMILY).retain(|member| member.pid != pid);
}

/// Makes a file, or a directory, that is removed when this process ends. Not while it ends: nobody would remove it.
pub fn with_file(path: &Path, make: impl FnOnce() -> std::io::Result<()>) -> std::io::Result<()> {
    let mut files = lock(&FILES);
    let files = files.as_mut().ok_or_else(|| std::io::Error::other("this process ends"))?;
    make()?;
    files.push(path.to_owned());
    Ok(())
}

/// Such a file, or directory, stays.
pub fn keep_file(path: &Path) {
    if let Some(files) = lock(&FILES).as_mut() {
        files.retain(|file| file != path);
    }
}

/// From the return of this call on only this thread ends the process. Never returns when another one does already.
pub fn claim() {
    let this = thread::current().id();
    loop {
        let mut owner = lock(&OWNER);
        match *owner {
            None => *owner = Some(this),
            Some(owner) if owner == this => {}
            Some(_) => {
                drop(owner);
                thread::park();
                continue;
            }
        }
        return;
    }
}

/// Ends this process, from any thread.
pub fn now(exit: Exit, why: impl Display) -> ! {
    claim();
    say!("{why}");
    clear(exit);
    std::process::exit(exit.leave_now().into())
}

/// Ends the main thread, and with it this process.
pub fn in_order(exit: Exit) -> ExitCode {
    claim();
    clear(exit);
    ExitCode::from(exit.leave_now())
}

/// Kills and reaps the children, removes the files.
fn clear(exit: Exit) {
    let mut family = std::mem::take(&mut *lock(&FAMILY));
    family.retain(|member| exit != Exit::Superseded || member.bond == Bond::Traced);
    // All are killed before any is waited for, so that none acts on the death of another.
    family.iter().for_each(|member| member.process.kill());
    family.iter().for_each(|member| member.process.reap());
    let sockets = family.into_iter().filter_map(|member| member.socket);
    for path in lock(&FILES).take().into_iter().flatten().chain(sockets) {
        // What is left over is removed by the next who looks.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

/// Ends this process when its parent ends while `needs_parent` holds. The parent keeps the other end of the pipe `fd` open.
pub fn with_parent(fd: i32, what: &'static str, needs_parent: impl Fn() -> bool + Send + 'static) -> Result<()> {
    let mut pipe = fs::File::from(tracer::sys::inherited(fd)?);
    thread::Builder::new().name("parent".into()).spawn(move || {
        // Nothing is ever written to it.
        let _ = pipe.read(&mut [0]);
        if needs_parent() {
            now(Exit::Failed, format_args!("{what} ends: the ftrun that started it is gone and nobody needs it yet"));
        }
    })?;
    Ok(())
}
