//! What ftrun says while it works: whole lines on standard error, each beginning with `ftrun: `.

use std::fmt;
use std::io::Write;

/// Writes one line in one piece. A standard error that is closed or full is no reason to end a server.
pub fn write_line(line: fmt::Arguments<'_>) {
    let _ = std::io::stderr().lock().write_all(format!("ftrun: {line}\n").as_bytes());
}

/// Says a line, formatted like `println!`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => { $crate::say::write_line(format_args!($($part)*)) };
}
