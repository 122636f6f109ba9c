//! Servers of files over HTTP and their clients: every line of every head and every body, byte for byte, over connections that
//! stay open.

use std::ffi::OsString;
use std::fs::{self, File};
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::{External, SESSIONS, Server, Session};
use crate::support::installed;
use crate::support::program::{Exit, Program};
use crate::support::rng::Rng;
use crate::support::wire::Wire;

/// When all files were changed last: 2 January 2024, 03:04:05 UTC.
pub(super) const MODIFIED: u64 = 1_704_164_645;
pub(super) const LAST_MODIFIED: &str = "Tue, 02 Jan 2024 03:04:05 GMT";

/// The sizes of the files: nothing, one byte, around a page and a buffer, more than a socket holds.
const SIZES: [usize; 7] = [0, 1, 4_095, 4_097, 32_768, 70_001, 1_600_003];

/// Requests of `ab`.
const AB_REQUESTS: u32 = 1500;

/// What the server serves.
struct Files(Vec<Vec<u8>>);

impl Files {
    /// Writes them into `dir`/www.
    fn write(dir: &Path) -> Result<Arc<Self>> {
        let root = dir.join("www");
        fs::create_dir(&root)?;
        let mut rng = Rng::new(1);
        let files: Vec<Vec<u8>> = SIZES.iter().map(|size| rng.bytes(*size)).collect();
        for (index, bytes) in files.iter().enumerate() {
            let path = root.join(format!("f{index}"));
            fs::write(&path, bytes)?;
            File::options().write(true).open(&path)?.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED))?;
        }
        Ok(Arc::new(Self(files)))
    }
}

/// The answer to one request.
#[derive(Clone, Copy)]
pub(super) enum Wanted {
    Whole(usize),
    HeadersOnly(usize),
    Part(usize, usize, usize),
    NotModified(usize),
    Missing,
}

impl Wanted {
    /// The status line.
    pub(super) fn status(self) -> Line {
        Line::Is(match self {
            Self::Whole(_) | Self::HeadersOnly(_) => "HTTP/1.1 200 OK".into(),
            Self::Part(..) => "HTTP/1.1 206 Partial Content".into(),
            Self::NotModified(_) => "HTTP/1.1 304 Not Modified".into(),
            Self::Missing => "HTTP/1.1 404 Not Found".into(),
        })
    }

    /// `Content-Length`, of a reply with (a part of) a file.
    pub(super) fn length(self) -> Line {
        let length = match self {
            Self::Whole(index) | Self::HeadersOnly(index) => SIZES[index],
            Self::Part(_, first, last) => last - first + 1,
            Self::NotModified(_) | Self::Missing => 0,
        };
        Line::Is(format!("Content-Length: {length}"))
    }

    /// `Content-Range`, of a part.
    pub(super) fn range(self) -> Option<Line> {
        let Self::Part(index, first, last) = self else { return None };
        Some(Line::Is(format!("Content-Range: bytes {first}-{last}/{}", SIZES[index])))
    }
}

/// A line of a head.
pub(super) enum Line {
    Is(String),
    /// Of `Date` only the form is known.
    Date,
    /// The file's `ETag`.
    Tag,
}

impl Line {
    pub(super) fn is(text: &str) -> Self {
        Self::Is(text.to_owned())
    }
}

/// A server of files: how it is started, what it says, and how.
pub(super) trait Dialect: Send {
    /// Writes its configuration into `dir`, where the files are in www; its command line.
    fn configure(address: SocketAddr, dir: &Path) -> Result<Vec<OsString>>;

    /// The body of the reply when there is no such file.
    const MISSING: &str;

    /// The tag of a file of `size` bytes, if it is known beforehand: else it is what the first reply says.
    fn tag(size: usize) -> Option<String>;

    /// The lines of a head.
    fn head(wanted: Wanted) -> Vec<Line>;
}

/// A server that says what `D` says.
pub(super) struct FileServer<D> {
    command: Vec<OsString>,
    files: Arc<Files>,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Server for FileServer<D> {
    const ON_SIGTERM: Exit = Exit::Code(0);
    const STEPS: u64 = 40;
    type Session = Browser<D>;
    type External = ApacheBench;

    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self> {
        let files = Files::write(dir)?;
        Ok(Self { command: D::configure(address, dir)?, files, dialect: PhantomData })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Browser<D>> {
        Browser::open(address, index, &self.files)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<ApacheBench> {
        ApacheBench::start(address, dir)
    }

    fn conclude(&self, address: SocketAddr, browsers: Vec<Browser<D>>) -> Result<()> {
        Browser::conclude(address, browsers)
    }
}

fn request(method: &str, index: usize, header: &str) -> Vec<u8> {
    format!("{method} /f{index} HTTP/1.1\r\nHost: test\r\n{header}\r\n").into_bytes()
}

/// One connection that asks for file after file.
pub(super) struct Browser<D> {
    wire: Wire,
    files: Arc<Files>,
    tags: Vec<Option<String>>,
    dialect: PhantomData<D>,
}

impl<D: Dialect> Browser<D> {
    fn open(address: SocketAddr, index: usize, files: &Arc<Files>) -> Result<Self> {
        let wire = Wire::connect(address, format!("browser {index}"))?;
        let tags = SIZES.iter().map(|size| D::tag(*size)).collect();
        Ok(Self { wire, files: Arc::clone(files), tags, dialect: PhantomData })
    }

    /// Asks for all files once more, by a new connection, and closes all.
    fn conclude(address: SocketAddr, browsers: Vec<Self>) -> Result<()> {
        ensure!(browsers.len() == SESSIONS, "a session is missing");
        let mut audit = Self::open(address, SESSIONS, &browsers[0].files)?;
        for index in 0..SIZES.len() {
            audit.wire.send(&request("GET", index, ""))?;
            audit.check(Wanted::Whole(index))?;
        }
        for browser in &browsers {
            for (index, (one, other)) in browser.tags.iter().zip(&audit.tags).enumerate() {
                ensure!(one.is_none() || one == other, "the tag of file {index} was {one:?} and is {other:?}");
            }
        }
        let mut browsers = browsers.into_iter().chain([audit]);
        browsers.try_for_each(|browser| browser.wire.end())
    }

    fn request(&self, rng: &mut Rng) -> (Vec<u8>, Wanted) {
        // The large file one time in forty: it is as long as all the others together.
        let index = match rng.below(40) {
            0 => SIZES.len() - 1,
            _ => rng.index(SIZES.len() - 1),
        };
        let size = SIZES[index];
        match (rng.below(10), &self.tags[index]) {
            (0, _) => (request("HEAD", index, ""), Wanted::HeadersOnly(index)),
            (1, _) if size > 1 => {
                let first = rng.index(size);
                let last = first + rng.index(size - first);
                let header = format!("Range: bytes={first}-{last}\r\n");
                (request("GET", index, &header), Wanted::Part(index, first, last))
            }
            (2, Some(tag)) => (request("GET", index, &format!("If-None-Match: {tag}\r\n")), Wanted::NotModified(index)),
            (3, _) => (request("GET", 1_000 + index, ""), Wanted::Missing),
            _ => (request("GET", index, ""), Wanted::Whole(index)),
        }
    }

    fn check(&mut self, wanted: Wanted) -> Result<()> {
        for line in D::head(wanted) {
            self.line(wanted, line)?;
        }
        self.wire.expect(b"\r\n")?;
        let files = Arc::clone(&self.files);
        match wanted {
            Wanted::Whole(index) => self.wire.expect(&files.0[index]),
            Wanted::Part(index, first, last) => self.wire.expect(&files.0[index][first..=last]),
            Wanted::Missing => self.wire.expect(D::MISSING.as_bytes()),
            Wanted::HeadersOnly(_) | Wanted::NotModified(_) => Ok(()),
        }
    }

    fn line(&mut self, wanted: Wanted, line: Line) -> Result<()> {
        let index = match wanted {
            Wanted::Whole(index)
            | Wanted::HeadersOnly(index)
            | Wanted::Part(index, ..)
            | Wanted::NotModified(index) => Some(index),
            Wanted::Missing => None,
        };
        match line {
            Line::Is(text) => self.wire.expect(format!("{text}\r\n").as_bytes()),
            Line::Date => {
                self.wire.expect(b"Date: ")?;
                let date = self.wire.take(LAST_MODIFIED.len())?;
                ensure!(date.ends_with(b" GMT") && date[3..5] == *b", ", "no date: {}", date.escape_ascii());
                self.wire.expect(b"\r\n")
            }
            Line::Tag => {
                let index = index.context("a reply without a file has no tag")?;
                if let Some(tag) = &self.tags[index] {
                    return self.wire.expect(format!("ETag: {tag}\r\n").as_bytes());
                }
                let line = String::from_utf8(self.wire.line()?).context("a line in ASCII")?;
                let tag = line.strip_prefix("ETag: ").and_then(|rest| rest.strip_suffix("\r\n"));
                self.tags[index] = Some(tag.with_context(|| format!("expected an ETag, found {line}"))?.to_owned());
                Ok(())
            }
        }
    }
}

impl<D: Dialect> Session for Browser<D> {
    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let count = 1 + rng.index(3);
        let requests: Vec<_> = (0..count).map(|_| self.request(rng)).collect();
        let (bytes, wanted): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        self.wire.send(&bytes.concat())?;
        wanted.into_iter().try_for_each(|wanted| self.check(wanted))
    }

    fn longest_wait(&self) -> Duration {
        self.wire.longest_wait()
    }
}

/// Apache's benchmark: it compares lengths and counts what failed.
pub(super) struct ApacheBench {
    program: Program,
}

impl ApacheBench {
    fn start(address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut command = Command::new(installed("ab")?);
        // -k: connections that stay open; -r is not given: an error ends it.
        command.args(["-k", "-c", "2", "-n", &AB_REQUESTS.to_string()]);
        command.arg(format!("http://{address}/f3"));
        let program = Program::start("ab", &mut command, dir)?;
        Ok(Self { program })
    }
}

impl External for ApacheBench {
    fn push(&mut self) -> Result<()> {
        // It goes on by itself. Without a kill it may be done by now.
        Ok(())
    }

    fn is_under_way(&mut self) -> Result<()> {
        let exit = self.program.exit()?;
        ensure!(exit.is_none(), "ab has ended before the kill: {exit:?}");
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        let exit = self.program.wait()?;
        let report = String::from_utf8(self.program.stdout()?).context("the report of ab")?;
        let says = |name: &str, value: &str| {
            let mut fields = report.lines().filter_map(|line| line.split_once(':'));
            fields.any(|(key, found)| key == name && found.split_whitespace().next() == Some(value))
        };
        let all = AB_REQUESTS.to_string();
        let good = exit == Exit::Code(0)
            && says("Complete requests", &all)
            && says("Failed requests", "0")
            && says("Keep-Alive requests", &all);
        ensure!(good, "ab ended with {exit:?}:\n{report}");
        Ok(())
    }
}
