//! The one-purpose programs of `tests/guests`: compiled when a test asks for them, described by their first lines.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::child::{Outcome, run};

/// The command under test.
pub(crate) const FTRUN: &str = env!("CARGO_BIN_EXE_ftrun");

/// A compiled guest and what it announces.
pub(crate) struct Guest {
    pub(crate) program: PathBuf,
    pub(crate) outcome: Outcome,
    /// Standard input: one line.
    pub(crate) stdin: Option<String>,
    /// It prints the same in every run.
    pub(crate) fixed_output: bool,
    /// What ftrun refuses it, by the name that the refusal gives.
    pub(crate) refused: Option<String>,
    /// How many of its calls the fast layer makes at least, recording.
    pub(crate) fast: usize,
}

/// Where the sources are.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests")
}

impl Guest {
    /// Compiles a guest, unless exactly this one has been compiled before.
    pub(crate) fn built(name: &str) -> Self {
        let source = sources().join(name).with_extension("c");
        let text = read(&source);
        let flags = announced(&text, "cflags").unwrap_or_default();
        let outcome = match (announced(&text, "exit"), announced(&text, "signal")) {
            (None, None) => Outcome::Exit(0),
            (Some(status), None) => Outcome::Exit(number(status)),
            (None, Some(signal)) => Outcome::Signal(number(signal)),
            (Some(_), Some(_)) => panic!("{name}.c announces both an exit status and a signal"),
        };
        Self {
            program: compiled(&source, &text, flags),
            outcome,
            stdin: announced(&text, "stdin").map(str::to_owned),
            fixed_output: announced(&text, "output") == Some("fixed"),
            refused: announced(&text, "refused").map(str::to_owned),
            fast: announced(&text, "fast").map_or(0, |count| number(count).unsigned_abs() as usize),
        }
    }
}

/// Compiles a program of `tests/guests/servers`, unless exactly this one has been compiled before.
pub(crate) fn server(name: &str) -> PathBuf {
    let source = sources().join("servers").join(name).with_extension("c");
    compiled(&source, &read(&source), "")
}

/// Compiles the library of `tests/guests/inside/library`, unless exactly this one has been compiled before.
pub(crate) fn library() -> PathBuf {
    let source = sources().join("inside/library/library.c");
    compiled(&source, &read(&source), "-shared -fPIC")
}

/// Compiles the module of `tests/guests/placed/lua`, unless exactly this one has been compiled before.
pub(crate) fn lua_module() -> PathBuf {
    let source = sources().join("placed/lua/storm.c");
    compiled(&source, &read(&source), "-shared -fPIC")
}

/// A command that sees a small environment, this directory and this standard input; `FTRUN_LAYER` is passed on.
pub(crate) fn command(program: &Path, directory: &Path, stdin: Option<&str>) -> Command {
    let stdin = match stdin {
        None => Stdio::null(),
        Some(line) => {
            let path = directory.with_extension("stdin");
            fs::write(&path, format!("{line}\n")).expect("the standard input can be written");
            fs::File::open(&path).expect("the standard input can be opened").into()
        }
    };
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory).env("LANG", "C");
    // Natively too: the environments are the same.
    if let Some(layer) = std::env::var_os("FTRUN_LAYER") {
        command.env("FTRUN_LAYER", layer);
    }
    command.current_dir(directory).stdin(stdin);
    command
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or_else(|_| panic!("a guest announces {text:?}, expected a number"))
}

/// The value of a line `// key: value` among the comments at the top.
fn announced<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let comments = text.lines().map_while(|line| line.strip_prefix("// "));
    comments.filter_map(|line| line.split_once(": ")).find(|(found, _)| *found == key).map(|(_, value)| value.trim())
}

/// The program, under a name that says what it was made of: made elsewhere and renamed, so that tests in other
/// processes may do the same at the same time.
pub(crate) fn compiled(source: &Path, text: &str, flags: &str) -> PathBuf {
    let mut made_of = DefaultHasher::new();
    let headers = ["guest.h", "loopback.h", "servers/server.h", "inside/site.h", "inside/sites.h"];
    let headers = headers.map(|header| read(&sources().join(header)));
    (text, headers).hash(&mut made_of);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("guest-{:016x}", made_of.finish()));
    let program = directory.join(source.file_stem().expect("a guest has a name"));
    if program.exists() {
        return program;
    }
    fs::create_dir_all(&directory).expect("the directory for guests can be made");
    let workshop = tempfile::tempdir_in(&directory).expect("a directory can be made");
    let fresh = workshop.path().join("fresh");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&fresh).arg("-I").arg(sources()).arg(source);
    compiler.args(flags.split_whitespace()).stdin(Stdio::null());
    run(&mut compiler).expect(Outcome::Exit(0));
    fs::rename(&fresh, &program).expect("a compiled guest can be moved to its place");
    program
}
