//! What the interceptor does in C is what Rust does: digests and the layout of records.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::digest::Digest;
use common::record::{Kind, Record, Segment, SegmentRole};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::layout;

/// The program around the interceptor's own functions.
struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    fn built() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("in_c");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()));
        compiler.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing", "-static", "-o"]);
        compiler.arg(&path).arg(concat!("-I", env!("OUT_DIR"))).arg("-I").arg(root.join("interceptor"));
        compiler.arg(root.join("src/interceptor/in_c.c"));
        assert!(compiler.status().expect("there is a C compiler").success(), "in_c.c is compiled");
        Self { path, _directory: directory }
    }

    fn answers(&self, questions: &str) -> Vec<String> {
        let mut child = Command::new(&self.path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("it has an input");
        let asked = questions.to_owned();
        let asking = std::thread::spawn(move || stdin.write_all(asked.as_bytes()));
        let ended = child.wait_with_output().expect("it ends");
        asking.join().expect("no panic").expect("it takes all questions");
        assert!(ended.status.success(), "it ends by itself: {:?}", ended.status);
        String::from_utf8(ended.stdout).expect("text").lines().map(str::to_owned).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

#[derive(Debug, Clone)]
enum Piece {
    Word(u64),
    Bytes(Vec<u8>),
    /// The interceptor's frame, which begins a digest.
    Frame([u64; 16]),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        any::<u64>().prop_map(Piece::Word),
        (0..3u64).prop_map(Piece::Word),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(Piece::Bytes),
        prop::collection::vec(0xfeu8.., 0..70).prop_map(Piece::Bytes),
        prop::collection::vec(any::<u8>(), 4000..9000).prop_map(Piece::Bytes),
        prop::array::uniform16(any::<u64>()).prop_map(Piece::Frame),
    ]
}

/// The bytes end where readable memory ends: C reads nothing behind them.
#[test]
fn digests_are_the_same() {
    let mut runner = TestRunner::deterministic();
    let random = prop::collection::vec(piece(), 0..8);
    let mut inputs: Vec<Vec<Piece>> =
        (0..400).map(|_| random.new_tree(&mut runner).expect("a value").current()).collect();
    inputs.extend((0..200u8).map(|len| vec![Piece::Bytes((0..len).map(|at| at.wrapping_mul(37) ^ len).collect())]));
    let (mut questions, mut expected) = (String::new(), Vec::new());
    for pieces in &inputs {
        let mut digest = Digest::new();
        for piece in pieces {
            match piece {
                Piece::Word(word) => {
                    digest.word(*word);
                    writeln!(questions, "w {word:x}").expect("a string takes all");
                }
                Piece::Frame(frame) => {
                    let bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
                    // All but the call's number, which comes first, and the flags, which stand before rsp.
                    let registers = std::array::from_fn(|index| if index == 13 { frame[15] } else { frame[1 + index] });
                    digest = Digest::of_registers(&registers);
                    writeln!(questions, "f {}", hex(&bytes)).expect("a string takes all");
                }
                Piece::Bytes(bytes) => {
                    digest.bytes(bytes);
                    writeln!(questions, "b {}", hex(bytes)).expect("a string takes all");
                }
            }
        }
        questions.push_str("=\n");
        expected.push(format!("{:x}", digest.finish()));
    }
    assert_eq!(Program::built().answers(&questions), expected);
}

fn segment(address: u64, role: SegmentRole, arg: u16, bytes: &[u8]) -> Segment {
    Segment { address, role, arg, bytes: bytes.to_vec() }
}

/// What C reads of records that Rust wrote, with numbers of 32 and of 64 bits.
#[test]
fn records_are_read_the_same() {
    for (narrow, result, last) in
        [(0x40, -77, 6), (0, -77, 1 << 32), (0, i64::MIN, 6), (0x40, i64::from(i32::MIN), 0xffff_ffff)]
    {
        let mut record = Record::new(Kind::Call, 0x1234, result).with_logged(&[1, 2, 3, 4, 5, last], 0b10_1001);
        (record.check, record.fast) = (0xfedc_ba98_7654_3210, true);
        record.segments.push(segment(0, SegmentRole::In, 3, b"xyz"));
        record.segments.push(segment(0x7fff_1234_5678, SegmentRole::Out, 5, b"ABCDEFGHI"));
        record.segments.push(segment(0, SegmentRole::Out, 2, b""));
        let mut bytes = Vec::new();
        record.encode_into(&mut bytes);
        let answers = Program::built().answers(&format!("r {}\n", hex(&bytes)));
        let expected = format!(
            "{} 1 {} 4660 {result} fedcba9876543210 3 1 3 0 {} 9 2 5 7fff12345678 {} 0 2 2 0 0",
            bytes.len(),
            0x80 | narrow | 0b10_1001,
            b'x',
            b'A'
        );
        assert_eq!(answers, [expected]);
    }
}

/// And what it writes, also when only the result says that 32 bits are not enough.
#[test]
fn records_are_written_the_same() {
    for result in [-2, 0, 0x7fff_ffff, 0x8000_0000, i64::MIN] {
        let mut record = Record::new(Kind::Call, 1, result).with_logged(&[0x11, 0, 0x22, 0, 0, 0], 0b101);
        (record.check, record.fast) = (3, true);
        record.segments.push(segment(0, SegmentRole::In, 1, b"abc"));
        record.segments.push(segment(0x1234, SegmentRole::Out, 2, b"12345678"));
        record.segments.push(segment(0, SegmentRole::Out, 3, b""));
        let mut by_rust = Vec::new();
        record.encode_into(&mut by_rust);
        assert_eq!(Program::built().answers(&format!("s {result}\n")), [hex(&by_rust)]);
    }
}

/// Words that two sides write at the same time do not overlap, and stand where an aligned access finds them.
#[test]
fn the_control_block_has_room_for_each_of_its_parts() {
    let parts = [
        (layout::MODE, 4),
        (layout::PENDING, 4),
        (layout::PID, 8),
        (layout::HEAD, 8),
        (layout::TAIL, 8),
        (layout::TAKEN, 8),
        (layout::FILLED, 4),
        (layout::FILLED_SLEEPS, 4),
        (layout::DRAINED, 4),
        (layout::DRAINED_SLEEPS, 4),
        (layout::OUTPUT_HEAD, 8),
        (layout::OUTPUT_TAIL, 8),
        (layout::CALLS, 8),
        (layout::WAITS, 8),
        (layout::OWN, 4),
        (layout::MADE, 4),
        (layout::FINISH, 4),
        (layout::RESULT, 8),
        (layout::DIGEST, 8),
        (layout::CLOCK_OFFSETS, 8 * layout::CLOCKS),
        (layout::ALLOWED, layout::ALLOWED_LEN),
        (layout::DESCRIPTORS, layout::DESCRIPTORS_LEN),
        (layout::STACK, layout::STACK_END - layout::STACK),
    ];
    for (index, &(start, len)) in parts.iter().enumerate() {
        assert_eq!(start % len.min(8), 0, "{start:#x} is aligned");
        let next = parts.get(index + 1).map_or(layout::CONTROL_LEN, |&(next, _)| next);
        assert!(start + len <= next, "{start:#x} and {len} bytes reach into {next:#x}");
    }
    for one in [layout::HEAD, layout::OUTPUT_HEAD] {
        for other in [layout::TAIL, layout::OUTPUT_TAIL] {
            assert_ne!(one / 64, other / 64, "positions of different sides share no cache line");
        }
    }
}
