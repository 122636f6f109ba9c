//! `ftrun`: parse the command line, run, end with the right status.

#![expect(unreachable_pub, reason = "nothing outside of a program uses its modules")]

mod args;
mod commands;
mod exit;
mod state;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    match commands::run(arguments) {
        Ok(exit) => exit.leave(),
        Err(error) => {
            tracer::say!("{error:#}");
            exit::Exit::of(&error).leave()
        }
    }
}
