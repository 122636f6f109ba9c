//! The values in the tables of operations are those of the kernel's headers, and no operation that these define is missing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::syscall::{nr, operations};

const HEADERS: &[&str] = &[
    "asm/ioctls.h",
    "asm/mman.h",
    "asm/prctl.h",
    "asm/socket.h",
    "linux/fcntl.h",
    "linux/fiemap.h",
    "linux/fs.h",
    "linux/futex.h",
    "linux/icmpv6.h",
    "linux/if_tun.h",
    "linux/in.h",
    "linux/in6.h",
    "linux/netfilter_ipv4.h",
    "linux/netfilter_ipv4/ip_tables.h",
    "linux/netfilter_ipv6/ip6_tables.h",
    "linux/netlink.h",
    "linux/prctl.h",
    "linux/sockios.h",
    "linux/tcp.h",
    "linux/udp.h",
    "linux/userfaultfd.h",
];

/// The name within the brackets: `F_SETFL` of `fcntl(F_SETFL)`.
fn constant(name: &str) -> &str {
    name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).expect("an operation is named call(CONSTANT)")
}

/// What the compiler says that these constants are; those that its headers do not have are left out.
fn values(names: &[&str]) -> BTreeMap<String, u64> {
    let mut source = String::new();
    for header in HEADERS {
        let _ = writeln!(source, "#include <{header}>");
    }
    source += "#include <stdio.h>\nint main(void) {\n";
    for name in names {
        let _ = writeln!(source, "#ifdef {name}\nprintf(\"{name} %llu\\n\", (unsigned long long)({name}));\n#endif");
    }
    source += "}\n";
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (file, program) = (directory.join("operations.c"), directory.join("operations"));
    fs::write(&file, source).expect("the directory for tests can be written");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(compiler).arg(&file).arg("-o").arg(&program).status().expect("the C compiler runs");
    assert!(status.success(), "the constants of the kernel's headers cannot be compiled");
    let output = Command::new(&program).output().expect("a program that was just compiled runs");
    let text = String::from_utf8(output.stdout).expect("names and numbers");
    let value =
        |line: &str| line.split_once(' ').map(|(name, value)| (name.to_owned(), value.parse().expect("a number")));
    text.lines().filter_map(value).collect()
}

#[test]
fn every_value_is_the_kernels() {
    let names: Vec<&str> = operations::all().flat_map(|all| all.all().iter().map(|one| constant(one.name))).collect();
    let values = values(&names);
    let mut compared = 0;
    for operations in operations::all() {
        for operation in operations.all() {
            // Of a socket option the level is in the upper half.
            let is_option = matches!(operations.number(), nr::SETSOCKOPT | nr::GETSOCKOPT);
            let own = if is_option { operation.value & 0xffff_ffff } else { operation.value };
            if let Some(&value) = values.get(constant(operation.name)) {
                assert_eq!(own, value, "{}", operation.name);
                compared += 1;
            }
        }
    }
    // Headers of Linux 6.1 have more.
    assert!(compared > 600, "only {compared} constants were found in the kernel's headers");
}

/// Those three have few operations, and each header says which: later ones than this table knows are found here.
#[test]
fn no_operation_of_the_headers_is_missing() {
    let include = Path::new("/usr/include");
    let generic = |name: &str| include.join("asm-generic").join(name);
    for (number, files, prefix, other) in [
        (nr::PRCTL, vec![include.join("linux/prctl.h")], "PR_", &[][..]),
        (nr::MADVISE, vec![generic("mman-common.h")], "MADV_", &[]),
        (
            nr::FCNTL,
            vec![generic("fcntl.h"), include.join("linux/fcntl.h")],
            "F_",
            &["F_OWNER_", "F_RDLCK", "F_WRLCK", "F_UNLCK", "F_EXLCK", "F_SHLCK", "F_LINUX_", "F_SEAL_"],
        ),
    ] {
        let operations = operations::of(number.into()).expect("it is a multiplexed call");
        let known: Vec<&str> = operations.all().iter().map(|operation| constant(operation.name)).collect();
        let mut found = 0;
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            // What belongs to an operation is indented: `# define PR_TSC_ENABLE`.
            for name in text.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next()) {
                if name.starts_with(prefix) && !other.iter().any(|other| name.starts_with(other)) {
                    assert!(
                        known.contains(&name),
                        "{name} of {} is not in the table of {}",
                        file.display(),
                        operations.name()
                    );
                    found += 1;
                }
            }
        }
        assert!(found > 20, "only {found} operations of {} were found in the headers", operations.name());
    }
}
