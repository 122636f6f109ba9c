//! The state directory: where the processes of one service on one machine meet.
//!
//! Each process answers on a UNIX socket of its own in it (`primary-PID.sock` and so on) with one JSON object and the end of
//! the stream. A socket that nobody answers on is left over from a process that was killed and is removed by who finds it.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;

use crate::ending;

/// A state directory.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// The directory itself: socket paths go through it, since they are limited to 107 bytes.
    handle: File,
    lock: Option<Flock<File>>,
}

fn default_path() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || std::env::temp_dir().join(format!("ftrun-{}", nix::unistd::getuid())),
        |dir| PathBuf::from(dir).join("ftrun"),
    )
}

impl StateDir {
    /// Opens the directory asked for, or the default one, and makes it if it does not exist.
    pub fn open(asked: Option<&Path>) -> Result<Self> {
        let path = asked.map_or_else(default_path, Path::to_owned);
        DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(|| {
            format!("the state directory {} cannot be made; name another with --state-dir", path.display())
        })?;
        let state = Self::at(path)?;
        let owner = state.handle.metadata()?.uid();
        if asked.is_none() && owner != nix::unistd::getuid().as_raw() {
            bail!(
                "the state directory {} belongs to user {owner}, not to the one who runs ftrun; name another with --state-dir",
                state.path.display()
            );
        }
        state.check_writable()?;
        Ok(state)
    }

    /// What cannot be written is to be known before anything runs.
    fn check_writable(&self) -> Result<()> {
        let probe = self.join(&format!(".probe-{}", std::process::id()));
        File::create(&probe).and_then(|_| fs::remove_file(&probe)).with_context(|| self.unwritable())
    }

    fn unwritable(&self) -> String {
        let path = self.path.display();
        format!("the state directory {path} cannot be written: free it up, or name another with --state-dir")
    }

    /// Opens a directory that must be there.
    pub fn existing(asked: Option<&Path>) -> Result<Self> {
        let path = asked.map_or_else(default_path, Path::to_owned);
        if fs::metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            bail!("nothing runs in {}: there is no such state directory", path.display());
        }
        Self::at(path)
    }

    fn at(path: PathBuf) -> Result<Self> {
        let handle =
            File::open(&path).with_context(|| format!("the state directory {} cannot be opened", path.display()))?;
        Ok(Self { path, handle, lock: None })
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps others from starting a service in this directory, for as long as a process of this one lives.
    pub fn lock(&mut self) -> Result<()> {
        let path = self.join("lock");
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).with_context(|| self.unwritable())?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => self.lock = Some(lock),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
                "the state directory {} belongs to a service that runs (ftrun status --state-dir {0}); name another with --state-dir",
                self.path.display()
            ),
            Err((_, errno)) => bail!("{} cannot be locked: {errno}", path.display()),
        }
        Ok(())
    }

    /// The lock's descriptor, for children that are to hold it too.
    pub fn lock_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        use std::os::fd::AsFd;
        self.lock.as_ref().map(|lock| lock.as_fd())
    }

    fn socket_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.handle.as_raw_fd()))
    }

    /// The name of the socket that a process answers on.
    pub fn socket_name(name: &str, pid: i32) -> String {
        format!("{name}-{pid}.sock")
    }

    /// Answers everyone who asks with what `status` says.
    pub fn serve(&self, name: &str, status: impl Fn() -> Value + Send + 'static) -> Result<()> {
        let file = Self::socket_name(name, std::process::id().cast_signed());
        let (path, unready) = (self.join(&file), format!("{file}.new"));
        // A process of the same id was killed here.
        let _ = fs::remove_file(self.join(&unready));
        // It gets its name when it listens: one that does not would be taken for left over, and removed.
        let listener = UnixListener::bind(self.socket_path(&unready))
            .and_then(|listener| ending::with_file(&path, || fs::rename(self.join(&unready), &path)).map(|()| listener))
            .with_context(|| self.unwritable())?;
        std::thread::Builder::new().name("status".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who does not wait for the answer does not get it.
                let mut stream = stream;
                let _ = stream.write_all(status().to_string().as_bytes());
            }
        })?;
        Ok(())
    }

    /// What all processes say that answer.
    pub fn ask_all(&self) -> Result<Vec<Value>> {
        let mut answers = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| name.ends_with(".sock")) else { continue };
            match UnixStream::connect(self.socket_path(name)) {
                Ok(mut stream) => {
                    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
                    let mut text = String::new();
                    // A process that ends at this moment says nothing.
                    if stream.read_to_string(&mut text).is_ok()
                        && let Ok(value) = serde_json::from_str(&text)
                    {
                        answers.push(value);
                    }
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    let _ = fs::remove_file(self.join(name));
                }
                Err(_) => {}
            }
        }
        Ok(answers)
    }
}
