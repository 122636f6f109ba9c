//! Files on the recording side: where what was opened really is.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::record::SegmentRole;

use super::{InCall, Recorder, meta};

impl Recorder<'_> {
    /// The absolute path behind a link of /proc: going live opens it again.
    pub(super) fn path_of(&self, pid: i32, link: &str, flow: &mut InCall) {
        if let Ok(path) = std::fs::read_link(format!("/proc/{pid}/{link}")) {
            flow.extra.push(meta(SegmentRole::Path, path.as_os_str().as_bytes().to_vec()));
        }
    }

    /// The absolute path of what inotify watches.
    pub(super) fn watched_path(&self, flow: &mut InCall) {
        let given = flow.gathered.inputs.first().map(|s| s.bytes.clone()).unwrap_or_default();
        let full = self.kernel().identity().cwd.as_path().join(Path::new(OsStr::from_bytes(&given)));
        flow.extra.push(meta(SegmentRole::Path, full.as_os_str().as_bytes().to_vec()));
    }
}
