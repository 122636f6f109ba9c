//! Programs that start others: recorded they do what they do natively, and the log alone repeats what they did themselves.

use std::fs;
use std::path::Path;

use crate::child::{Ended, Outcome, run};
use crate::conformance::identical_records;
use crate::guest::{FTRUN, command};

struct Recorded {
    native: Option<Ended>,
    recorded: Ended,
    replayed: Ended,
}

fn record(program: &[&str], files: &[(&str, &str)], natively: bool) -> Recorded {
    let scratch = tempfile::tempdir().expect("a scratch directory can be made");
    let directory = |name: &str| {
        let path = scratch.path().join(name);
        fs::create_dir(&path).expect("a scratch directory can be made");
        for (name, text) in files {
            fs::write(path.join(name), text).expect("a file can be written");
        }
        path
    };
    let native = natively.then(|| run(command(Path::new(program[0]), &directory("native"), None).args(&program[1..])));
    let log = scratch.path().join("log");
    let mut recording = command(Path::new(FTRUN), &directory("recorded"), None);
    let recorded = run(recording.args(["record", "-o"]).arg(&log).arg("--").args(program));
    let replayed = run(command(Path::new(FTRUN), &directory("replayed"), None).arg("replay").arg(&log));
    Recorded { native, recorded, replayed }
}

/// What it writes natively, it writes recorded; the replay is identical.
fn same(program: &[&str], files: &[(&str, &str)]) -> Recorded {
    let runs = record(program, files, true);
    let native = runs.native.as_ref().expect("it ran natively");
    runs.recorded.expect(native.outcome);
    if runs.recorded.stdout != native.stdout {
        let (expected, found) = (native.stdout.escape_ascii(), runs.recorded.stdout.escape_ascii());
        runs.recorded.fail(&format!("expected output {expected}, found {found}"));
    }
    is_identical(&runs.replayed);
    runs
}

fn is_identical(replayed: &Ended) {
    replayed.expect(Outcome::Exit(0));
    assert!(identical_records(replayed).is_some_and(|count| count > 0), "{:?}", replayed.stderr_lines());
}

#[test]
fn a_shell_runs_pipelines() {
    let script = "echo hello | tr a-z A-Z; echo $(echo inner; pwd | wc -l); (exit 3); echo $?; sleep 100 & kill $!; wait $!; \
                  echo $?; for i in 1 2 3; do echo $i | cat; done; trap 'echo trapped' USR1; sh -c 'kill -USR1 $PPID'; echo end";
    let runs = same(&["/bin/sh", "-c", script], &[]);
    assert!(runs.recorded.stdout.ends_with(b"trapped\nend\n"), "{}", runs.recorded.stdout.escape_ascii());
}

#[test]
fn python_runs_processes() {
    let script = r#"
import os, subprocess
print(subprocess.run(["sh", "-c", "echo out; echo err >&2; exit 3"], capture_output=True))
cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(len(cat.communicate("hello\n" * 20000)[0]))
try:
    subprocess.run(["/nonexistent"])
except FileNotFoundError as error:
    print(error)
try:
    subprocess.run(["sleep", "100"], timeout=0.05)
except subprocess.TimeoutExpired:
    print("killed")
print(os.system("exit 5"), os.popen("echo popen").read())
child = os.fork()
if child == 0:
    os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;
    same(&["/usr/bin/python3", "-c", script], &[]);
}

#[test]
fn a_compiler_runs_its_stages() {
    let source = "#include <stdio.h>\nint main(void) { return puts(\"compiled\") < 0; }\n";
    let script = "cc -c one.c && cc -o one one.o && ./one";
    let runs = same(&["/bin/sh", "-c", script], &[("one.c", source)]);
    assert_eq!(runs.recorded.stdout, b"compiled\n");
    // The driver itself: a process per stage.
    same(&["/usr/bin/cc", "-c", "one.c"], &[("one.c", source)]);
}

#[test]
fn make_runs_recipes() {
    let makefile =
        "all: two\n\t@echo all\none:\n\t@echo made one > one; cat one\ntwo: one\n\t@sed s/one/two/ one | tee two\n";
    let runs = same(&["/usr/bin/make", "-j1"], &[("Makefile", makefile)]);
    assert_eq!(runs.recorded.stdout, b"made one\nmade two\nall\n");
}

#[test]
fn what_lives_at_the_end_is_ended_and_said() {
    for (script, said) in [
        ("sleep 100 & exit 3", "the server has ended, and 1 process that it had started is ended with it"),
        (
            "sleep 100 & sleep 100 & exit 3",
            "the server has ended, and 2 processes that it had started are ended with it",
        ),
    ] {
        let runs = record(&["/bin/sh", "-c", script], &[], false);
        runs.recorded.expect(Outcome::Exit(3));
        let line = format!("ftrun: {said}");
        if runs.recorded.stderr_lines().iter().filter(|found| **found == line).count() != 1 {
            runs.recorded.fail(&format!("no line on stderr is `{line}`"));
        }
        is_identical(&runs.replayed);
    }
}

#[test]
fn children_have_no_connections_of_clients() {
    let script = r#"
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
accepted = listener.accept()[0]
child = os.fork()
if child == 0:
    gone = 0
    for one in (listener, accepted):
        try:
            os.fstat(one.fileno())
        except OSError:
            gone += 1
    os.fstat(client.fileno())
    os._exit(10 + gone)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
accepted.sendall(b"still here")
print(client.recv(100))
"#;
    let runs = record(&["/usr/bin/python3", "-c", script], &[], false);
    runs.recorded.expect(Outcome::Exit(0));
    assert_eq!(runs.recorded.stdout.escape_ascii().to_string(), "12\\nb\\'still here\\'\\n");
    is_identical(&runs.replayed);
}

#[test]
fn memory_shared_with_a_child_is_said_not_to_be() {
    let script = r#"
import mmap, os
shared = mmap.mmap(-1, 4096)
shared[:6] = b"parent"
child = os.fork()
if child == 0:
    seen = bytes(shared[:6])
    shared[:6] = b"child!"
    os._exit(seen == b"parent")
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), bytes(shared[:6]))
"#;
    let runs = record(&["/usr/bin/python3", "-c", script], &[], false);
    runs.recorded.expect(Outcome::Exit(0));
    assert_eq!(runs.recorded.stdout.escape_ascii().to_string(), "1 b\\'parent\\'\\n");
    let line = "ftrun: the server has started a process: what one writes into shared anonymous memory";
    if !runs.recorded.stderr_lines().iter().any(|found| found.starts_with(line)) {
        runs.recorded.fail("nothing is said of shared memory");
    }
    is_identical(&runs.replayed);
}

/// Only the server changes a file that it has mapped: a replica would not see what others do.
#[test]
fn files_that_the_server_has_mapped_are_for_children_to_read() {
    const SCRIPT: &str = r#"
import ctypes, mmap, os, subprocess, sys
def child(does):
    pid = os.fork()
    if pid == 0:
        status = 100
        try:
            status = does() or 0
        except OSError as error:
            status = error.errno
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
with open("file", "wb") as file:
    file.write(b"." * 8192)
file = open("file", "r+b", buffering=0)
shared = mmap.mmap(file.fileno(), 8192)
other = open("other", "w+b", buffering=0)
libc = ctypes.CDLL(None, use_errno=True)
def by_memory():
    shared[:5] = b"child"
def by_unprotecting():
    address = ctypes.addressof(ctypes.c_char.from_buffer(shared))
    return ctypes.get_errno() if libc.mprotect(ctypes.c_void_p(address), 4096, 3) else 0
def by_mapping():
    mmap.mmap(os.open("file", os.O_RDWR), 4096)[:5] = b"child"
changes = [by_memory, by_unprotecting, by_mapping, lambda: os.pwrite(file.fileno(), b"child", 0), lambda: os.truncate("file", 0),
           lambda: open("file", "r+b").truncate(100), lambda: os.open("file", os.O_WRONLY | os.O_TRUNC),
           lambda: os.sendfile(file.fileno(), os.open("/etc/passwd", os.O_RDONLY), 0, 5),
           lambda: os.copy_file_range(other.fileno(), file.fileno(), 5, 0, 0)]
other.write(b"child")
shared[5:9] = b"seen"
print([child(change) for change in changes])
print(child(lambda: bytes(shared[5:9]) == b"seen" and os.pread(file.fileno(), 4, 5) == b"seen" and 50))
print(child(lambda: open("other", "w").write("x" * 20)), os.path.getsize("other"))
print(subprocess.run(["sh", "-c", "echo appended >> file"], stderr=subprocess.DEVNULL).returncode != 0, bytes(shared[:10]))
shared.close()
print(child(lambda: os.pwrite(file.fileno(), b"child", 0)), os.pread(file.fileno(), 10, 0))
"#;
    let runs = record(&["/usr/bin/python3", "-c", SCRIPT], &[], false);
    runs.recorded.expect(Outcome::Exit(0));
    let expected = "[-11, 13, 13, 13, 13, 13, 13, 13, 13]\n50\n20 20\nTrue b'.....seen.'\n5 b'childseen.'\n";
    if runs.recorded.stdout != expected.as_bytes() {
        runs.recorded.fail(&format!("expected output {expected}"));
    }
    let said = runs.recorded.stderr_lines();
    for how in ["it wrote there by memory, and gets SIGSEGV", "mprotect gets errno 13", "pwrite64 gets errno 13"] {
        let line = |line: &&String| {
            line.contains("python3, which the server has started, must not change ")
                && line.ends_with(&format!("/file, which the server has mapped with MAP_SHARED: {how}"))
        };
        if said.iter().filter(line).count() != 1 {
            runs.recorded.fail(&format!("not one line tells of a child: {how}"));
        }
    }
    is_identical(&runs.replayed);
}
