//! Builds the interceptor: a flat image for one address, from C and tables that are generated here.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::digest;
use common::syscall::{self, Class, Direction, Length, Shape, nr};

#[allow(dead_code, unused_imports, missing_docs, unreachable_pub)]
mod interceptor {
    #[path = "../src/interceptor/calls.rs"]
    pub mod calls;
    #[path = "../src/interceptor/layout.rs"]
    pub mod layout;
}

use interceptor::{calls, layout};

/// Marks the end of tables of numbers in one byte.
const NONE: u8 = 0xff;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("layout.h"), layout_header()).expect("OUT_DIR can be written");
    fs::write(out.join("calls.h"), calls_header()).expect("OUT_DIR can be written");
    let script = fs::read_to_string("interceptor/interceptor.ld").expect("the linker script is there");
    let script = script.replace("LAYOUT_CODE_BASE", &format!("{:#x}", layout::CODE));
    fs::write(out.join("interceptor.ld"), script).expect("OUT_DIR can be written");
    build(&out);
    println!("cargo::rerun-if-changed=interceptor");
    for file in ["build.rs", "src/interceptor/calls.rs", "src/interceptor/layout.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-env-changed=CC");
}

fn build(out: &Path) {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let image = out.join("interceptor.bin");
    let mut command = Command::new(&compiler);
    command
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic", "-fno-pie", "-no-pie"])
        // Nothing but general registers: `syscall` keeps all others.
        .args(["-mgeneral-regs-only", "-mno-red-zone", "-mcmodel=small", "-fcf-protection=none"])
        .args(["-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-loop-distribute-patterns"])
        .args(["-fno-strict-aliasing", "-fno-jump-tables", "-nostdlib", "-static", "-Wl,--build-id=none"])
        .args(["-Wl,--oformat=binary", "-Wl,--no-warn-rwx-segments"])
        .arg(format!("-I{}", out.display()))
        .arg(format!("-Wl,-T,{}", out.join("interceptor.ld").display()))
        .args(["interceptor/entry.S", "interceptor/interceptor.c", "-o"])
        .arg(&image);
    let status = command.status().unwrap_or_else(|error| panic!("the C compiler {compiler} cannot be run: {error}"));
    assert!(status.success(), "the interceptor cannot be compiled with {compiler}");
    let len = fs::metadata(&image).expect("the image was built").len();
    assert!(len <= layout::CODE_LEN, "the interceptor has {len} bytes, expected at most {}", layout::CODE_LEN);
}

fn layout_header() -> String {
    let mut text = String::from("/* Generated. */\n");
    let mut define = |name: &str, value: u64| writeln!(text, "#define LAYOUT_{name} {value:#x}").expect("a string");
    macro_rules! all {
        ($($name:ident)*) => { $(define(stringify!($name), u64::from(layout::$name));)* };
    }
    all!(CONTROL RING RING_LEN OUTPUT OUTPUT_LEN MODE PENDING PID HEAD TOLD TAIL TAKEN FILLED FILLED_SLEEPS DRAINED);
    all!(DRAINED_SLEEPS OUTPUT_HEAD OUTPUT_TAIL CALLS WAITS OWN MADE FINISH RESULT DIGEST CLOCK_OFFSETS CLOCKS ALLOWED);
    all!(TSC_RATE TSC_SINCE TSC_BASE TSC_LAST TSC_AUX SIGNALS);
    all!(ALLOWED_LEN DESCRIPTORS DESCRIPTORS_LEN STACK_END MAY_READ BLOCKS OF_ACCEPTED OF_READABLE AWAITED OWED SEEN MAX_OWED MUCH STOP_KIND MODE_OUTSIDE MODE_RECORD MODE_REPLAY MAX_RECORD);
    text
}

/// The shape of a call, and a check that the interceptor can treat all that it lets through alike.
fn shape(call: &calls::FastCall) -> &'static Shape {
    let shape = syscall::resolve(call.number.into(), &call.example).expect("a fast call is a known call");
    assert!(shape.pointers.len() < 8, "{} has few pointers", shape.name);
    shape
}

/// How the interceptor's tables name what it looks at; nothing where the shape bounds all that the pointers cover.
fn look(call: &calls::FastCall, shape: &Shape) -> String {
    let bounded = |pointer: &syscall::Pointer| {
        let length = match pointer.length {
            Length::Fixed(length) => u64::from(length) <= layout::MAX_RECORD,
            Length::Result(_) | Length::CString | Length::ValueResult(_) => true,
            _ => false,
        };
        length && pointer.direction != Direction::OutAlways
    };
    if call.look == calls::Look::Pointers && shape.pointers.iter().all(bounded) {
        return LOOK_NOTHING.into();
    }
    look_name(call.look)
}

const LOOK_NOTHING: &str = "LOOK_NOTHING";

fn look_name(look: calls::Look) -> String {
    format!("LOOK_{look:?}").to_uppercase()
}

fn calls_header() -> String {
    let mut text = String::from("/* Generated. */\n#include <stdint.h>\n");
    let mut define = |name: &str, value: u64| writeln!(text, "#define {name} {value:#x}").expect("a string");
    for (name, value) in [
        ("DIGEST_SEED", digest::SEED),
        ("DIGEST_A", digest::A),
        ("DIGEST_B", digest::B),
        ("DIGEST_C", digest::C),
        ("NO_CALL", NONE.into()),
        ("NO_BULK", NONE.into()),
        ("SYS_FCNTL", nr::FCNTL.into()),
        ("SYS_CLOCK_GETTIME", nr::CLOCK_GETTIME.into()),
        ("SYS_CLOSE", nr::CLOSE.into()),
        ("SYS_IOCTL", nr::IOCTL.into()),
        ("SYS_ACCEPT", nr::ACCEPT.into()),
        ("SYS_ACCEPT4", nr::ACCEPT4.into()),
        ("SYS_SENDFILE", nr::SENDFILE.into()),
        ("SYS_GETPID", nr::GETPID.into()),
        ("SYS_GETTID", nr::GETTID.into()),
    ] {
        define(name, value);
    }
    let looks = calls::Look::ALL.map(look_name).join(", ");
    writeln!(text, "enum look {{ {LOOK_NOTHING}, {looks} }};").expect("a string");
    text.push_str(
        "enum direction { DIRECTION_IN, DIRECTION_DIGEST, DIRECTION_BULK, DIRECTION_OUT, DIRECTION_OUT_ALWAYS, DIRECTION_INOUT };\n\
         enum length { LENGTH_FIXED, LENGTH_RESULT, LENGTH_ARG, LENGTH_CSTRING, LENGTH_IOVEC, LENGTH_FDSET, LENGTH_VALUE, LENGTH_MSGHDR, LENGTH_OTHER };\n\
         struct pointer { uint8_t arg, direction, length, other, bound; uint32_t scale; };\n\
         struct call { uint16_t number; uint8_t right, urgent, logged, outside_unless_zero, first, pointers, bulk, flags_arg, opens, executes, waits, look; \
         uint32_t flags; };\n",
    );
    let mut pointers = String::from("static const struct pointer pointers[] = {\n");
    let mut list = String::from("static const struct call calls[] = {\n");
    let mut index = vec![NONE; usize::try_from(layout::ALLOWED_LEN).expect("a short table")];
    let mut first = 0;
    for (at, call) in calls::ALL.iter().enumerate() {
        let shape = shape(call);
        index[usize::from(call.number)] = u8::try_from(at).expect("a short list");
        let mut bulk = NONE;
        for (position, pointer) in shape.pointers.iter().enumerate() {
            let direction = match pointer.direction {
                Direction::In => "IN",
                Direction::Digest => "DIGEST",
                Direction::Bulk => "BULK",
                Direction::Out => "OUT",
                Direction::OutAlways => "OUT_ALWAYS",
                Direction::InOut => "INOUT",
            };
            if pointer.direction == Direction::Bulk {
                bulk = u8::try_from(position).expect("few pointers");
            }
            let (length, other, scale) = match pointer.length {
                Length::Fixed(length) => ("FIXED", 0, length),
                Length::Result(scale) => ("RESULT", 0, scale),
                Length::Arg(arg, scale) => ("ARG", arg, scale),
                Length::CString => ("CSTRING", 0, 0),
                Length::Iovec(arg) => ("IOVEC", arg, 0),
                Length::FdSet => ("FDSET", 0, 0),
                Length::ValueResult(arg) => ("VALUE", arg, 0),
                Length::Msghdr => ("MSGHDR", 0, 0),
                Length::Pages(_) | Length::Mmsghdr | Length::SigsetPair => ("OTHER", 0, 0),
            };
            writeln!(
                pointers,
                "    {{{}, DIRECTION_{direction}, LENGTH_{length}, {other}, {}, {scale}}}, /* {} */",
                pointer.arg, call.bound, shape.name
            )
            .expect("a string");
        }
        let all = (1u8 << shape.nargs) - 1;
        let (flags_arg, flags) = call.flags.unwrap_or((NONE, 0));
        writeln!(
            list,
            "    {{{}, {}, {}, {:#x}, {:#x}, {first}, {}, {bulk}, {flags_arg}, {}, {}, {}, {}, {flags:#x}}}, /* {} */",
            call.number,
            call.right,
            u8::from(call.urgent),
            all & !shape.recomputed,
            call.zero,
            shape.pointers.len(),
            u8::from(call.opens),
            u8::from(shape.class == Class::Execute),
            u8::from(call.waits),
            look(call, shape),
            shape.name
        )
        .expect("a string");
        first += shape.pointers.len();
    }
    let index: Vec<String> = index.iter().map(ToString::to_string).collect();
    text + &pointers + "};\n" + &list + "};\nstatic const uint8_t call_index[] = {" + &index.join(", ") + "};\n"
}
