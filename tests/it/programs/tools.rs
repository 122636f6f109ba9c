//! Interpreters, databases and tools, and what must happen to each.

use super::expected::{Expected, THREAD};
use super::{Program, When};
use Expected::Identical;
use When::{All, Always, OneLayer};

macro_rules! tools {
    ($($name:ident $when:ident $expected:expr, $steps:expr;)*) => {
        const TOOLS: &[(&str, When, Expected, &[&str])] = &[$((stringify!($name), $when, $expected, &$steps)),*];

        mod tool {
            $(#[test] fn $name() { super::tool(stringify!($name)); })*
        }
    };
}

// A word of a command has no space in it.
tools! {
    lua_text Always Identical, ["lua5.4 {programs}/text.lua input"];
    lua_closures Always Identical, ["lua5.4 {programs}/closures.lua"];
    lua_numbers OneLayer Identical, ["lua5.4 {programs}/numbers.lua"];
    lua_files OneLayer Identical, ["lua5.4 {programs}/files.lua input"];
    lua_json OneLayer Identical, ["lua5.4 {programs}/json.lua"];
    lua_sockets Always Identical, ["lua5.4 {programs}/sockets.lua"];
    lua_popen OneLayer Identical, ["lua5.4 {programs}/popen.lua"];
    tcl_text Always Identical, ["tclsh {programs}/text.tcl input"];
    tcl_numbers OneLayer Identical, ["tclsh {programs}/numbers.tcl"];
    tcl_files OneLayer Identical, ["tclsh {programs}/files.tcl input"];
    tcl_objects OneLayer Identical, ["tclsh {programs}/objects.tcl"];
    tcl_exec OneLayer Identical, ["tclsh {programs}/exec.tcl"];
    tcl_event_loop OneLayer THREAD, ["tclsh {programs}/loop.tcl"];
    perl_text Always Identical, ["perl {programs}/text.pl input"];
    perl_closures Always Identical, ["perl {programs}/closures.pl"];
    perl_files OneLayer Identical, ["perl {programs}/files.pl input"];
    perl_modules OneLayer Identical, ["perl {programs}/modules.pl"];
    perl_sockets Always Identical, ["perl {programs}/sockets.pl"];
    perl_system OneLayer Identical, ["perl {programs}/system.pl"];
    sqlite_file Always Identical, [
        "sqlite3 -bail -init {programs}/shop.sql shop.db .quit",
        "sqlite3 -bail shop.db .dump",
        "sqlite3 -bail shop.db .schema",
    ];
    sqlite_triggers OneLayer Identical, [
        "sqlite3 -bail -init {programs}/triggers.sql accounts.db .quit",
        "sqlite3 -json -readonly accounts.db .tables",
    ];
    sqlite_search OneLayer Identical, ["sqlite3 -bail -init {programs}/search.sql search.db .quit"];
    sqlite_journals OneLayer Identical, ["sqlite3 -bail -init {programs}/journals.sql events.db .quit"];
    sqlite_shell Always Identical, [
        "mawk -f {programs}/table.awk input",
        "sqlite3 -bail -init {programs}/shell.sql shell.db .quit",
        "cat out.csv",
        "cmp saved.db again.db",
    ];
    sqlite_archive OneLayer Identical, [
        "sqlite3 archive.db -Acv input",
        "sqlite3 archive.db -Atv",
        "sqlite3 archive.db -Ax --directory out",
        "sqlite3 archive.db .dump",
    ];
    sqlite_memory OneLayer Identical, ["sqlite3 -bail -init {programs}/shop.sql :memory: .quit"];
    sqlite_wal OneLayer Identical, ["sqlite3 -bail -init {programs}/wal.sql wal.db .quit"];
    sqlite_wal_exclusive OneLayer Identical, ["sqlite3 -bail -init {programs}/wal_exclusive.sql wal.db .quit"];
    gzip Always Identical, ["gzip -9 -k input", "gzip -tv input.gz", "gzip -dc input.gz", "gzip -d -f input.gz"];
    gzip_levels OneLayer Identical, [
        "gzip -1 -k -S .fast input",
        "gzip -l -v -S .fast input.fast",
        "gzip -c -n --rsyncable input",
        "cp -r {programs} copies",
        "gzip -r -N copies",
        "gzip -d -r copies",
        "diff -r copies {programs}",
    ];
    xz OneLayer Identical, ["xz -T1 -k input", "xz -lv input.xz", "xz -T1 -dc input.xz"];
    xz_formats OneLayer Identical, [
        "xz -T1 -0 -k --check=sha256 --block-size=32KiB input",
        "xz -lvv input.xz",
        "xz -T1 -tv input.xz",
        "xz -T1 -k --format=lzma input",
        "xz -T1 -dc input.lzma",
        "xz -T1 -c -6e --delta=dist=2 --lzma2=dict=1MiB input",
    ];
    xz_threads OneLayer THREAD, ["xz -T2 --block-size=64KiB -k input"];
    bzip2 OneLayer Identical, ["bzip2 -k input", "bzip2 -tv input.bz2", "bzip2 -dc input.bz2"];
    bzip2_levels OneLayer Identical, ["bzip2 -1 -k -v input", "bzip2 -d -s -c input.bz2", "bzip2 -9 -c input", "bzip2 -d -f input.bz2"];
    tar Always Identical, [
        "tar -cvf input.tar input",
        "tar -tvf input.tar",
        "tar -xf input.tar --transform=s/input/again/",
        "cmp input again",
    ];
    tar_through_gzip OneLayer Identical, ["tar -czf input.tar.gz input"];
    sort Always Identical, ["sort -u -k2,2 -k1r -S 100K -T . -o sorted input", "sort -c -k2,2 -k1r sorted", "sort -R input"];
    awk Always Identical, ["mawk -f {programs}/count.awk input"];
    sed OneLayer Identical, [
        "sed -n -E -e /q.*z/{s/(\\w+).(\\w+)/\\2+\\1/gp;=} -e $!N;P;D input",
        "sed -i.old -e s/a/A/2;y/bz/BZ/;10,20d input",
        "sed -n l;$= input",
    ];
    grep OneLayer Identical, [
        "grep -c -E ^(\\w+).*\\1$ input",
        "grep -n -o -w -E [a-z]*zen[a-z]* input",
        "grep -r -l -i Torzen .",
    ];
    sums OneLayer Identical, ["sha256sum input", "sha512sum input", "b2sum input", "md5sum input", "cksum input"];
    openssl_dgst Always Identical, ["openssl dgst -sha3-256 -hmac key input"];
    openssl_enc OneLayer Identical, [
        "openssl enc -aes-256-cbc -pbkdf2 -pass pass:word -in input -out secret",
        "openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:word -in secret",
    ];
    openssl_keys OneLayer Identical, [
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem",
        "openssl req -x509 -new -key key.pem -subj /CN=test -days 1 -out certificate.pem",
        "openssl x509 -in certificate.pem -noout -text",
        "openssl rand -hex 64",
    ];
    files OneLayer Identical, [
        "mkdir -p a/b/c",
        "cp -p input a/b/copy",
        "ln -s b/copy a/link",
        "ln a/b/copy a/hard",
        "split -l 500 input a/b/c/part.",
        "find a -type f -size +1k -printf %p.%s.%y.%m\\n",
        "ls -laR --time-style=+%s a",
        "stat a a/link a/b/copy",
        "du -ab a",
        "dd if=input of=a/hole bs=512 skip=3 seek=100 count=20 conv=fsync",
        "truncate -s 4000 a/hole",
        "mv a/hole moved",
        "cp -r a again",
        "diff -r a again",
        "rm -r a again moved",
        "df .",
    ];
    filters OneLayer Identical, [
        "uniq -c input",
        "tac input",
        "shuf -n 20 input",
        "od -A x -t x1z -N 500 input",
        "base64 -w 100 input",
        "join -o 1.2,2.3 input input",
        "pr -3 -l 40 input",
        "fold -s -w 40 input",
        "wc input",
        "factor 1234567890123 600851475143",
        "seq -f %.3f 0 .125 20",
        "date",
    ];
    python_sqlite Always Identical, ["/usr/bin/python3 {programs}/orders.py"];
    python_mmap OneLayer Identical, [
        "/usr/bin/python3 {programs}/module.py test_mmap LargeMmapTests.",
    ];
    python_decimal All THREAD, ["/usr/bin/python3 -m test.test_decimal"];
    python_xml OneLayer Identical, ["/usr/bin/python3 -m test.test_xml_etree"];
    dash Always Identical, ["dash {programs}/builtins.sh input"];
    bash OneLayer Identical, ["bash {programs}/builtins.sh input"];
    dash_pipe OneLayer Identical, ["dash {programs}/pipe.sh input"];
    gcc All Identical, ["gcc -O2 -c {programs}/primes.c"];
    cc1 OneLayer Identical, ["{cc1} -quiet -O2 -imultiarch x86_64-linux-gnu {programs}/primes.c -o primes.s", "as -o primes.o primes.s", "objdump -dr primes.o"];
    ld OneLayer Identical, ["{cc1} -quiet -O1 {programs}/alone.c -o alone.s", "as -o alone.o alone.s", "ld -o alone alone.o", "./alone"];
    env_exec OneLayer Identical, ["env -i true"];
}

/// The programs of the table.
pub(super) fn programs() -> impl Iterator<Item = Program> {
    TOOLS.iter().map(|&(name, when, expected, steps)| Program {
        name: format!("{}: `{}`", name.replace('_', " "), steps.join("`, `")),
        steps: steps.iter().map(|step| step.split_whitespace().map(str::to_owned).collect()).collect(),
        expected,
        when,
    })
}

fn tool(name: &str) {
    let index = TOOLS.iter().position(|tool| tool.0 == name).expect("the test was made from the table");
    super::conforms(&programs().nth(index).expect("each entry makes a program"));
}
