//! docs/syscalls.md is made from the table. `FTRUN_UPDATE_DOCS=1 cargo test -p ftrun-common --test syscalls` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::syscall::operations::{self, Operation, Operations, SocketOption};
use common::syscall::{Class, Direction, Length, Pointer, Shape, names, nr, rules, table};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/syscalls.md");

const BEGINNING: &str = "\
# System calls

Made from the table in `common/src/syscall` by a test (`common/tests/syscalls/document.rs`), which fails when this file is
stale; `FTRUN_UPDATE_DOCS=1 cargo test -p ftrun-common --test syscalls` writes it.

Every call of the server stops at the recorder. Its class says what happens then:

- **emulated**: the primary executes it; a replica takes result and memory from the record.
- **executed**: both execute it, and the results are compared: memory, signal dispositions, registers, the end.
- **answered**: ftrun answers on the primary as well, with its model of the kernel's state or the errno given.

On a replica number and arguments of every call are compared, as is what it reads. Arguments that a replica recomputes and
nothing else asks for are not logged, only digested (the last column). Memory that a call reads is logged
(*in*), or only its digest (*digest*); the server's output (*output*) is digested, and logged where it goes into a pipe,
socket pair or eventfd that a replica must be able to make anew. Memory that a call writes (*out*) is logged; *in/out*: both,
also when it fails; *out always*: also when it fails. After EFAULT everything is logged that may have been written.

A call, operation, option or flag that is not listed here is refused, as is what is listed so: it is not executed, the server gets the errno, and standard error
says once `ftrun: refused ...` with its name.
";

const BY_STATE: &str = "
## Refused because of what the process is doing

| what | errno |
|---|---|
| clone that starts a second thread | the recording ends, exit status 122 |
| execve, execveat of a program that is set-uid or set-gid | EPERM |
| execve, execveat of a program for 32 bits | ENOEXEC |
| mmap with MAP_SHARED and PROT_WRITE of a file, mprotect with PROT_WRITE of one mapped so, while another process has it open for writing or has mapped it with MAP_SHARED, or the server with MAP_PRIVATE | EACCES |
| mmap with MAP_PRIVATE of a file that is mapped with MAP_SHARED and PROT_WRITE; mmap with MAP_SHARED and PROT_WRITE of a device | EACCES |
| sendmsg, sendmmsg with descriptors (SCM_RIGHTS) | EINVAL |
| recvmsg, recvmmsg that bring descriptors from another process | the recording ends, exit status 125 |
| mmap (fixed), munmap, mprotect, mremap, madvise of ftrun's own area | EINVAL |
| mremap that moves code in which the fast layer has patched calls | EINVAL |
";

#[test]
fn the_document_says_what_the_table_says() {
    let made = document();
    if std::env::var_os("FTRUN_UPDATE_DOCS").is_some() {
        fs::write(Path::new(PATH), &made).unwrap();
    }
    let found = fs::read_to_string(PATH).unwrap_or_default();
    let differs = made.lines().zip(found.lines()).position(|(a, b)| a != b);
    assert!(made == found, "docs/syscalls.md is stale, first at line {differs:?}; see {}", file!());
}

fn document() -> String {
    let mut out = BEGINNING.to_owned();
    let _ = write!(out, "\n## Known: {} calls\n\n", table::all().count() + operations::all().count());
    out += "| number | call | class | arguments that point to memory | not logged |\n|---|---|---|---|---|\n";
    let multiplexed = operations::all().map(|operations| {
        let (number, name) = (operations.number(), operations.name());
        (number, format!("| {number} | {name} | by its operation: [below](#{name}) | | |\n"))
    });
    let mut rows: BTreeMap<u16, String> = multiplexed.collect();
    for shape in table::all() {
        let recomputed = (0..6).filter(|index| shape.recomputed >> index & 1 == 1).map(|index: u8| index.to_string());
        let recomputed = recomputed.collect::<Vec<_>>().join(", ");
        let (number, name, class, pointers) = (shape.number, shape.name, class(shape), pointers(shape));
        rows.insert(number, format!("| {number} | {name} | {class} | {pointers} | {recomputed} |\n"));
    }
    out.extend(rows.into_values());
    for operations in operations::all().filter(|operations| operations.number() != nr::GETSOCKOPT) {
        out += &match operations.number() {
            nr::SETSOCKOPT => socket_options(),
            _ => multiplexed_call(operations),
        };
    }
    out += "\n## Refused flags of known calls\n\n| call | what | errno |\n|---|---|---|\n";
    for rule in rules::all() {
        let name = table::find(rule.call.into())
            .map(|shape| shape.name)
            .or_else(|| operations::of(rule.call.into()).map(Operations::name));
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            name.expect("a rule is about a known call"),
            rule.text,
            errno(rule.errno)
        );
    }
    out += BY_STATE;
    out += "\n## Refused calls\n\nAll give ENOSYS, as a kernel without them does.\n\n";
    let refused: Vec<String> = names::all().map(|(_, name)| format!("`{name}`")).collect();
    for line in refused.chunks(8) {
        out += &line.join(" ");
        out.push('\n');
    }
    out
}

/// The table of one multiplexed call.
fn multiplexed_call(operations: &Operations) -> String {
    let (name, error) = (operations.name(), errno(operations.errno()));
    let mut out = format!(
        "\n## {name}\n\nAn operation that is not here is refused as well: {error}.\n\n\
         | value | operation | class | arguments that point to memory |\n|---|---|---|---|\n"
    );
    for Operation { value, name, shape } in operations.all() {
        let (class, pointers) = match shape {
            Some(shape) => (class(shape), pointers(shape)),
            None => (format!("refused {error}"), String::new()),
        };
        let _ = writeln!(out, "| {value:#x} | {name} | {class} | {pointers} |");
    }
    out
}

/// One table for setsockopt and getsockopt.
fn socket_options() -> String {
    let mut out = String::from(
        "\n<a id=\"getsockopt\"></a>\n\n## setsockopt\n\nand getsockopt. The value that is set is logged; of one that is read, \
         value and length. An option that is not here, or is used in the other direction, is refused: ENOPROTOOPT.\n\n\
         | level | option | name | value, length in bytes | setsockopt | getsockopt |\n|---|---|---|---|---|---|\n",
    );
    let class = |carried| if carried { "emulated" } else { "refused" };
    for SocketOption { level, number, name, value, set, get } in operations::SOCKET_OPTIONS {
        let _ = writeln!(out, "| {level} | {number} | {name} | {value} | {} | {} |", class(*set), class(*get));
    }
    out
}

fn pointers(shape: &Shape) -> String {
    shape.pointers.iter().map(pointer).collect::<Vec<String>>().join("; ")
}

fn class(shape: &Shape) -> String {
    match shape.class {
        Class::Emulate => "emulated".into(),
        Class::Execute => "executed".into(),
        Class::Answer(0) => "answered".into(),
        Class::Answer(error) => format!("answered {}", errno(error)),
    }
}

fn pointer(pointer: &Pointer) -> String {
    let direction = match pointer.direction {
        Direction::In => "in",
        Direction::Digest => "digest",
        Direction::Bulk => "output",
        Direction::Out => "out",
        Direction::OutAlways => "out always",
        Direction::InOut => "in/out",
    };
    let times = |count: u32| if count == 1 { String::new() } else { format!(" × {count}") };
    let length = match pointer.length {
        Length::Fixed(bytes) => format!("{bytes} bytes"),
        Length::Result(scale) => format!("result{}", times(scale)),
        Length::Arg(arg, scale) => format!("argument {arg}{}", times(scale)),
        Length::Pages(arg) => format!("a byte for each page of argument {arg}"),
        Length::CString => "string".into(),
        Length::ValueResult(arg) => format!("length at argument {arg}"),
        Length::Iovec(arg) => format!("argument {arg} iovecs"),
        Length::Msghdr => "msghdr".into(),
        Length::Mmsghdr => "mmsghdrs".into(),
        Length::FdSet => "fd_set".into(),
        Length::SigsetPair => "sigset and size".into(),
    };
    format!("{}: {direction}, {length}", pointer.arg)
}

fn errno(errno: i32) -> &'static str {
    match errno {
        libc::ENOSYS => "ENOSYS",
        libc::EINVAL => "EINVAL",
        libc::ENOTTY => "ENOTTY",
        libc::EACCES => "EACCES",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EAFNOSUPPORT => "EAFNOSUPPORT",
        libc::ENOPROTOOPT => "ENOPROTOOPT",
        other => panic!("errno {other} needs a name here"),
    }
}
