//! nginx as one process that serves static files.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::Server;
use super::files::{ApacheBench, Browser, Dialect, Files, LAST_MODIFIED, Line, MODIFIED, Wanted};
use crate::support::installed;
use crate::support::program::Exit;

server_tests!(Nginx);

pub(super) struct Nginx {
    command: Vec<OsString>,
    files: Arc<Files>,
}

impl Server for Nginx {
    const ON_SIGTERM: Exit = Exit::Code(0);
    const STEPS: u64 = 40;
    type Session = Browser<Self>;
    type External = ApacheBench;

    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self> {
        let files = Files::write(dir)?;
        let configuration = dir.join("nginx.conf");
        fs::write(&configuration, configure(address, dir))?;
        let mut command = vec![installed("nginx")?.into(), "-c".into()];
        command.extend([configuration.into(), "-e".into(), "stderr".into()]);
        Ok(Self { command, files })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Browser<Self>> {
        Browser::open(address, index, &self.files)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<ApacheBench> {
        ApacheBench::start(address, dir)
    }

    fn conclude(&self, address: SocketAddr, browsers: Vec<Browser<Self>>) -> Result<()> {
        Browser::conclude(address, browsers)
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

impl Dialect for Nginx {
    const MISSING: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
        <center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx</center>\r\n\
        </body>\r\n</html>\r\n";

    fn tag(size: usize) -> Option<String> {
        Some(format!("\"{MODIFIED:x}-{size:x}\""))
    }

    fn head(wanted: Wanted) -> Vec<Line> {
        let mut lines = vec![wanted.status(), Line::is("Server: nginx"), Line::Date];
        let modified = Line::Is(format!("Last-Modified: {LAST_MODIFIED}"));
        let keep = Line::is("Connection: keep-alive");
        match wanted {
            Wanted::Whole(_) | Wanted::HeadersOnly(_) | Wanted::Part(..) => {
                lines.extend([Line::is("Content-Type: application/octet-stream"), wanted.length(), modified, keep]);
                lines.push(Line::Tag);
                lines.push(wanted.range().unwrap_or_else(|| Line::is("Accept-Ranges: bytes")));
            }
            Wanted::NotModified(_) => lines.extend([modified, keep, Line::Tag]),
            Wanted::Missing => {
                let length = Line::Is(format!("Content-Length: {}", Self::MISSING.len()));
                lines.extend([Line::is("Content-Type: text/html"), length, keep]);
            }
        }
        lines
    }
}
