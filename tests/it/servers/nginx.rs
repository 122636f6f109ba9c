//! nginx as one process that serves static files.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::files::{Dialect, FileServer, LAST_MODIFIED, Line, MODIFIED, Wanted};
use crate::support::installed;

server_tests!(Nginx);

pub(super) type Nginx = FileServer<Says>;

pub(super) struct Says;

fn configuration(address: SocketAddr, dir: &Path) -> String {
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

impl Dialect for Says {
    fn configure(address: SocketAddr, dir: &Path) -> Result<Vec<OsString>> {
        let path = dir.join("nginx.conf");
        fs::write(&path, configuration(address, dir))?;
        Ok(vec![installed("nginx")?.into(), "-c".into(), path.into(), "-e".into(), "stderr".into()])
    }

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
