//! nginx as one process that serves static files: every header and every body, byte for byte, over
//! connections that stay open.

use std::ffi::OsString;
use std::fs::{self, File};
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

server_tests!(Nginx);

/// When all files were changed last: 2 January 2024, 03:04:05 UTC.
const MODIFIED: u64 = 1_704_164_645;
const LAST_MODIFIED: &str = "Tue, 02 Jan 2024 03:04:05 GMT";

/// The sizes of the files: nothing, one byte, around a page and a buffer, more than a socket holds.
const SIZES: [usize; 7] = [0, 1, 4_095, 4_097, 32_768, 70_001, 1_600_003];

/// Requests of `ab`.
const AB_REQUESTS: u32 = 1500;

pub(super) struct Nginx {
    command: Vec<OsString>,
    files: Arc<Vec<Vec<u8>>>,
}

impl Server for Nginx {
    const ON_SIGTERM: Exit = Exit::Code(0);
    const STEPS: u64 = 40;
    type Session = Browser;
    type External = ApacheBench;

    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self> {
        let root = dir.join("www");
        fs::create_dir(&root)?;
        let mut rng = Rng::new(1);
        let files: Vec<Vec<u8>> = SIZES.iter().map(|size| rng.bytes(*size)).collect();
        for (index, bytes) in files.iter().enumerate() {
            let path = root.join(format!("f{index}"));
            fs::write(&path, bytes)?;
            File::options().write(true).open(&path)?.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED))?;
        }
        let configuration = dir.join("nginx.conf");
        fs::write(&configuration, configure(address, dir))?;
        let mut command = vec![installed("nginx")?.into(), "-c".into()];
        command.extend([configuration.into(), "-e".into(), "stderr".into()]);
        Ok(Self { command, files: Arc::new(files) })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Browser> {
        Ok(Browser { wire: Wire::connect(address, format!("browser {index}"))?, files: Arc::clone(&self.files) })
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<ApacheBench> {
        let mut command = Command::new(installed("ab")?);
        // -k: connections that stay open; -r is not given: an error ends it.
        command.args(["-k", "-c", "2", "-n", &AB_REQUESTS.to_string()]);
        command.arg(format!("http://{address}/f3"));
        let program = Program::start("ab", &mut command, dir)?;
        Ok(ApacheBench { program })
    }

    fn conclude(&self, address: SocketAddr, browsers: Vec<Browser>) -> Result<()> {
        ensure!(browsers.len() == SESSIONS, "a session is missing");
        let mut audit = self.open(address, SESSIONS)?;
        for index in 0..SIZES.len() {
            audit.wire.send(&request("GET", index, ""))?;
            audit.check(Wanted::Whole(index))?;
        }
        let mut browsers = browsers.into_iter().chain([audit]);
        browsers.try_for_each(|browser| browser.wire.end())
    }
}

fn configure(address: SocketAddr, dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log {dir}/access.log;
    log_not_found off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    sendfile on;
    server_tokens off;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    default_type application/octet-stream;
    server {{
        listen {address};
        root {dir}/www;
    }}
}}
"
    )
}

/// One connection that asks for file after file.
pub(super) struct Browser {
    wire: Wire,
    files: Arc<Vec<Vec<u8>>>,
}

/// The answer to one request.
enum Wanted {
    Whole(usize),
    HeadersOnly(usize),
    Part(usize, usize, usize),
    NotModified(usize),
    Missing,
}

fn request(method: &str, index: usize, header: &str) -> Vec<u8> {
    format!("{method} /f{index} HTTP/1.1\r\nHost: test\r\n{header}\r\n").into_bytes()
}

fn etag(size: usize) -> String {
    format!("\"{MODIFIED:x}-{size:x}\"")
}

impl Browser {
    fn request(&self, rng: &mut Rng) -> (Vec<u8>, Wanted) {
        // The large file one time in forty: it is as long as all the others together.
        let index = match rng.below(40) {
            0 => SIZES.len() - 1,
            _ => rng.index(SIZES.len() - 1),
        };
        let size = SIZES[index];
        match rng.below(10) {
            0 => (request("HEAD", index, ""), Wanted::HeadersOnly(index)),
            1 if size > 1 => {
                let first = rng.index(size);
                let last = first + rng.index(size - first);
                let header = format!("Range: bytes={first}-{last}\r\n");
                let wanted = Wanted::Part(index, first, last);
                (request("GET", index, &header), wanted)
            }
            2 => {
                let header = format!("If-None-Match: {}\r\n", etag(size));
                (request("GET", index, &header), Wanted::NotModified(index))
            }
            3 => (request("GET", 1_000 + index, ""), Wanted::Missing),
            _ => (request("GET", index, ""), Wanted::Whole(index)),
        }
    }

    fn check(&mut self, wanted: Wanted) -> Result<()> {
        let files = Arc::clone(&self.files);
        match wanted {
            Wanted::Whole(index) => {
                self.headers("200 OK", &content(SIZES[index], "Accept-Ranges: bytes"))?;
                self.wire.expect(&files[index])
            }
            Wanted::HeadersOnly(index) => self.headers("200 OK", &content(SIZES[index], "Accept-Ranges: bytes")),
            Wanted::Part(index, first, last) => {
                let size = SIZES[index];
                let range = format!("Content-Range: bytes {first}-{last}/{size}");
                let rest = content(size, &range).replace(
                    &format!("Content-Length: {size}\r\n"),
                    &format!("Content-Length: {}\r\n", last - first + 1),
                );
                self.headers("206 Partial Content", &rest)?;
                self.wire.expect(&files[index][first..=last])
            }
            Wanted::NotModified(index) => {
                let tag = etag(SIZES[index]);
                let rest = format!("Last-Modified: {LAST_MODIFIED}\r\nConnection: keep-alive\r\nETag: {tag}\r\n\r\n");
                self.headers("304 Not Modified", &rest)
            }
            Wanted::Missing => {
                let body = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
                    <center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx</center>\r\n\
                    </body>\r\n</html>\r\n";
                let rest = format!(
                    "Content-Type: text/html\r\nContent-Length: {}\r\n\
                     Connection: keep-alive\r\n\r\n{body}",
                    body.len()
                );
                self.headers("404 Not Found", &rest)
            }
        }
    }

    /// The head of a reply; of its `Date` only the form is known.
    fn headers(&mut self, status: &str, rest: &str) -> Result<()> {
        self.wire.expect(format!("HTTP/1.1 {status}\r\nServer: nginx\r\nDate: ").as_bytes())?;
        let date = self.wire.take(LAST_MODIFIED.len())?;
        ensure!(date.ends_with(b" GMT") && date[3..5] == *b", ", "no date: {}", date.escape_ascii());
        self.wire.expect(format!("\r\n{rest}").as_bytes())
    }
}

/// The rest of the head of a reply with a file of `size` bytes.
fn content(size: usize, last_line: &str) -> String {
    format!(
        "Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\
         Last-Modified: {LAST_MODIFIED}\r\nConnection: keep-alive\r\nETag: {}\r\n\
         {last_line}\r\n\r\n",
        etag(size)
    )
}

impl Session for Browser {
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
