//! `ftrun`: parse the command line, run, end with the right status.

#![expect(unreachable_pub, reason = "nothing outside of a program uses its modules")]

mod args;
mod commands;
mod ending;
mod exit;
mod state;

use std::process::ExitCode;

use exit::Exit;

fn main() -> ExitCode {
    let arguments = match args::Arguments::typed() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output and is no error. Nobody reads it where it cannot be written.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage } else { Exit::Success }.code());
        }
    };
    match commands::run(arguments) {
        Ok(exit) => ending::in_order(exit),
        Err(error) => ending::now(Exit::of(&error), exit::explain(&error)),
    }
}
