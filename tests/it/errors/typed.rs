//! What makes no sense when it is typed: exit status 2, before anything is started or made.

use anyhow::ensure;

use super::case::{Case, verdict};
use crate::support::group::ftrun;
use crate::support::program::Exit;

const WRONG: [(&[&str], &str); 26] = [
    (&[], "no server is named: ftrun [OPTIONS] -- COMMAND"),
    (&["--"], "no server is named"),
    (&["--no-such-option"], "unexpected argument '--no-such-option'"),
    (&["server"], "unexpected argument 'server'"),
    (&["--backup"], "--backup needs --listen ADDR"),
    (&["--backup", "--listen", "here"], "invalid value 'here' for '--listen <ADDR>'"),
    (&["--backup", "--listen", "unix:"], "unix:: expected a name behind the colon"),
    (&["--proxy", "--control", "127.0.0.1:1", "--listen", "unix:/a"], "--listen unix:/a: clients connect by TCP"),
    (&["--listen", "unix:@a", "--", "true"], "--listen unix:@a: clients connect by TCP; expected IP:PORT"),
    (&["--backup", "--listen", "127.0.0.1:1", "--", "true"], "cannot be used with"),
    (&["--backup", "--proxy"], "cannot be used with"),
    (&["--proxy"], "--proxy needs --control ADDR"),
    (&["--proxy", "--control", "127.0.0.1:1", "--arbiter", "file:/tmp"], "the proxy asks none"),
    (&["--peer", "127.0.0.1:1", "--", "true"], "belong together"),
    (&["--control", "127.0.0.1:1", "--", "true"], "belong together"),
    (
        &["--peer", "127.0.0.1:1", "--control", "127.0.0.1:2", "--", "true"],
        "the arbiter must be named: --arbiter file:DIR",
    ),
    (
        &["--peer", "[::1]:1", "--control", "[::1]:2", "--arbiter", "file:/tmp", "--listen", "[::1]:3", "--", "true"],
        "give --listen to ftrun --proxy",
    ),
    (&["--arbiter", "etcd:http://localhost", "--", "true"], "no such arbiter `etcd:http://localhost`: expected file:"),
    (&["--arbiter", "file:epochs", "--", "true"], "`epochs` is no absolute path"),
    (&["--heartbeat", "0", "--", "true"], "expected at least 1 ms"),
    (&["--timeout", "60", "--", "true"], "a timeout of two heartbeats or more"),
    (&["--test-without", "sleep", "--", "true"], "invalid value 'sleep' for '--test-without <RULE>'"),
    (&["--cpu", "999", "--", "true"], "--cpu 999: this process may use the processors 0"),
    (&["record", "-o", "log", "--cpu", "99999", "--", "true"], "--cpu 99999: this process may use the processors"),
    (&["record", "--", "true"], "--output <DIR>"),
    (&["replay"], "<DIRECTORY>"),
];

#[test]
fn is_said_and_nothing_is_done() {
    let case = Case::new();
    for (arguments, says) in WRONG {
        let mut command = ftrun();
        command.env("FTRUN_STATE_DIR", case.path("state")).args(arguments);
        let outcome = case.start("typed", &mut command).and_then(|mut program| {
            case.ended(&mut program, Exit::Code(2), &[])?;
            let text = String::from_utf8_lossy(&program.stderr()?).into_owned();
            ensure!(text.contains(says), "{arguments:?} does not say {says:?}:\n{text}");
            ensure!(text.contains("--help"), "{arguments:?} does not name --help:\n{text}");
            ensure!(program.stdout()?.is_empty(), "{arguments:?} writes to standard output");
            ensure!(!case.path("state").exists(), "{arguments:?} makes a state directory");
            Ok(())
        });
        verdict(outcome);
    }
}

#[test]
fn help_names_every_status() {
    let case = Case::new();
    for option in ["-h", "--help"] {
        let mut command = ftrun();
        let outcome = case.start("help", command.arg(option)).and_then(|mut program| {
            case.ended(&mut program, Exit::Code(0), &[])?;
            let text = String::from_utf8_lossy(&program.stdout()?).into_owned();
            for status in ["2 ", "121 ", "122 ", "123 ", "124 ", "125 ", "126 ", "127 ", "docs/errors.md"] {
                ensure!(
                    text.contains(&format!("  {status}")) || text.contains(status),
                    "{option} does not name {status}"
                );
            }
            Ok(())
        });
        verdict(outcome);
    }
}
