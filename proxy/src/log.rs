//! What the proxy says: one line on standard error for each event that an operator may ask about.

use std::fmt;

/// Writes one line. A closed standard error is no reason to stop serving.
pub(crate) fn write_line(line: fmt::Arguments<'_>) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "ftrun: proxy: {line}");
}

/// Formats one line for [`write_line`].
macro_rules! say {
    ($($part:tt)*) => { $crate::log::write_line(format_args!($($part)*)) };
}
pub(crate) use say;
