//! lighttpd, which serves static files.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;

use super::files::{Dialect, FileServer, LAST_MODIFIED, Line, Wanted};
use crate::support::installed;

server_tests!(Lighttpd);

type Lighttpd = FileServer<Says>;

struct Says;

fn configuration(address: SocketAddr, dir: &Path) -> String {
    let (dir, ip, port) = (dir.display(), address.ip(), address.port());
    format!(
        "server.document-root = \"{dir}/www\"
server.bind = \"{ip}\"
server.port = {port}
server.errorlog = \"{dir}/error.log\"
server.upload-dirs = ( \"{dir}\" )
server.tag = \"\"
server.max-keep-alive-requests = 1000000
server.max-keep-alive-idle = 600
mimetype.assign = ( \"\" => \"application/octet-stream\" )
"
    )
}

impl Dialect for Says {
    fn configure(address: SocketAddr, dir: &Path) -> Result<Vec<OsString>> {
        let path = dir.join("lighttpd.conf");
        fs::write(&path, configuration(address, dir))?;
        // -D: in the foreground.
        Ok(vec![installed("lighttpd")?.into(), "-D".into(), "-f".into(), path.into()])
    }

    const MISSING: &str = "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
        <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n         \
        \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
        <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
        <head>\n  <title>404 Not Found</title>\n </head>\n <body>\n  <h1>404 Not Found</h1>\n </body>\n</html>\n";

    // Made of the file's number, among others.
    fn tag(_size: usize) -> Option<String> {
        None
    }

    fn head(wanted: Wanted) -> Vec<Line> {
        let mut lines = vec![wanted.status()];
        let modified = Line::Is(format!("Last-Modified: {LAST_MODIFIED}"));
        let content_type = Line::is("Content-Type: application/octet-stream");
        match wanted {
            Wanted::Whole(_) | Wanted::HeadersOnly(_) | Wanted::Part(..) => {
                lines.extend([content_type, Line::Tag, modified, wanted.length(), Line::is("Accept-Ranges: bytes")]);
                lines.extend(wanted.range());
            }
            Wanted::NotModified(_) => lines.extend([content_type, Line::Tag, modified]),
            Wanted::Missing => {
                let length = Line::Is(format!("Content-Length: {}", Self::MISSING.len()));
                lines.extend([Line::is("Content-Type: text/html"), length]);
            }
        }
        lines.push(Line::Date);
        lines
    }
}
