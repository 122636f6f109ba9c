use std::fs::File;
use std::os::unix::fs::FileExt;

use common::abi;
use common::record::{Segment, SegmentRole};
use tracer::interceptor::layout as at;

use super::*;

/// A feed, and the interceptor's part played by hand.
struct Stage {
    feed: Feed,
    shared: Arc<Shared>,
    memory: File,
    lsn: Lsn,
}

fn fast(number: u16, result: i64) -> Record {
    Record { fast: true, ..Record::new(Kind::Call, number, result).with_args(&[3]) }
}

fn slow(number: u16) -> Record {
    Record::new(Kind::Call, number, 0)
}

fn long(len: usize) -> Record {
    let bytes = vec![7; len - fast(nr::READ, 0).encoded_len() - 8];
    let mut record = fast(nr::READ, i64::try_from(bytes.len()).unwrap());
    record.segments.push(Segment { address: 0, role: SegmentRole::Out, arg: 1, bytes });
    assert_eq!(record.encoded_len(), len);
    record
}

impl Stage {
    fn new(layer: Layer) -> Self {
        let shared = Arc::new(Shared::new().unwrap());
        let memory = File::from(shared.file().try_clone_to_owned().unwrap());
        let feed = Feed::new(layer, 1, &shared);
        Self { feed, shared, memory, lsn: Lsn(0) }
    }

    fn push(&mut self, record: Record) -> Lsn {
        let lsn = self.lsn;
        self.lsn = lsn.advance(record.encoded_len());
        self.feed.push(Item { lsn, record, arrived: Instant::now() });
        self.feed.pump();
        lsn
    }

    fn word(&self, offset: u64) -> u64 {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, offset).unwrap();
        u64::from_le_bytes(word)
    }

    /// What is at the front of the ring.
    fn next(&self) -> Option<Vec<u8>> {
        if self.shared.filled() == 0 {
            return None;
        }
        let place = at::CONTROL_LEN + self.word(at::TAIL) % at::RING_LEN;
        let mut bytes = vec![0; abi::uint(self.word(place)) as usize];
        self.memory.read_exact_at(&mut bytes, place).unwrap();
        Some(bytes)
    }

    /// Takes it.
    fn take(&self) -> Vec<u8> {
        let bytes = self.next().expect("something in the ring");
        self.shared.skip(bytes.len() as u64);
        bytes
    }

    /// Puts raw bytes into the ring of output.
    fn put_out(&self, bytes: &[u8]) {
        let head = self.word(at::OUTPUT_HEAD);
        self.memory.write_all_at(bytes, at::CONTROL_LEN + at::RING_LEN + head % at::OUTPUT_LEN).unwrap();
        self.memory.write_all_at(&(head + bytes.len() as u64).to_le_bytes(), at::OUTPUT_HEAD).unwrap();
    }

    fn send(&self, bytes: &[u8]) {
        let mut piece = (bytes.len() as u64).to_le_bytes().to_vec();
        piece.extend(bytes);
        piece.resize(piece.len().next_multiple_of(8), 0);
        self.put_out(&piece);
    }

    fn outside(&mut self) -> Lsn {
        let item = self.feed.pop_front_outside().expect("a record");
        self.feed.close();
        self.feed.pump();
        item.lsn
    }

    fn caught_up(&mut self) -> Option<Taken> {
        self.feed.caught_up().unwrap()
    }
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode_into(&mut bytes);
    bytes
}

#[test]
fn a_record_that_is_not_for_the_interceptor_is_a_mark_in_its_place() {
    let mut stage = Stage::new(Layer::Fast);
    let first = stage.push(fast(nr::READ, 0));
    let second = stage.push(slow(nr::OPENAT));
    let third = stage.push(fast(nr::CLOSE, 0));
    assert_eq!(stage.take(), encoded(&fast(nr::READ, 0)));
    assert_eq!(stage.next().unwrap(), Shared::mark(false));
    assert_eq!(stage.caught_up().unwrap().item.lsn, first);
    assert!(stage.caught_up().is_none());
    assert_eq!(stage.feed.front().unwrap().lsn, second);
    assert_eq!(stage.outside(), second);
    assert_eq!(stage.take(), encoded(&fast(nr::CLOSE, 0)));
    assert_eq!(stage.caught_up().unwrap().item.lsn, third);
    assert!(stage.feed.is_empty() && stage.next().is_none());
}

#[test]
fn the_tracer_may_take_what_was_for_the_interceptor() {
    let mut stage = Stage::new(Layer::Fast);
    let first = stage.push(fast(nr::READ, 0));
    stage.push(fast(nr::CLOSE, 0));
    assert_eq!(stage.outside(), first);
    assert!(stage.caught_up().is_none());
    assert_eq!(stage.take(), encoded(&fast(nr::CLOSE, 0)));
}

#[test]
fn what_is_taken_outside_hides_what_follows_until_it_is_done() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(slow(nr::OPENAT));
    stage.push(fast(nr::READ, 0));
    assert!(stage.feed.pop_front_outside().is_some());
    assert_eq!(stage.next().unwrap(), Shared::mark(false));
    assert!(!stage.feed.is_empty());
    stage.feed.close();
    assert_eq!(stage.next().unwrap(), encoded(&fast(nr::READ, 0)));
}

#[test]
fn what_finds_no_room_waits() {
    let mut stage = Stage::new(Layer::Fast);
    let len = abi::size(at::MAX_RECORD);
    let fits = at::RING_LEN / at::MAX_RECORD;
    for _ in 0..=fits {
        stage.push(long(len));
    }
    let last = stage.push(fast(nr::READ, 0));
    assert_eq!(stage.shared.room(), 0);
    for _ in 0..=fits {
        assert_eq!(stage.take().len(), len);
        assert!(stage.caught_up().is_some());
        stage.feed.pump();
    }
    stage.take();
    assert_eq!(stage.caught_up().unwrap().item.lsn, last);
}

#[test]
fn a_record_that_is_too_long_is_a_mark() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(long(abi::size(at::MAX_RECORD) + 8));
    assert_eq!(stage.next().unwrap(), Shared::mark(false));
}

#[test]
fn there_is_room_for_a_bounded_number_of_bytes() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(long(MAX_BYTES));
    assert!(!stage.feed.has_room());
    stage.outside();
    assert!(stage.feed.has_room());
}

#[test]
fn output_belongs_to_the_calls_that_send() {
    let mut stage = Stage::new(Layer::Fast);
    for record in [fast(nr::WRITE, 3), fast(nr::READ, 5), fast(nr::WRITE, -11), fast(nr::SENDTO, 9), fast(nr::WRITE, 1)]
    {
        stage.push(record);
    }
    stage.send(b"abc");
    (0..3).for_each(|_| drop(stage.take()));
    stage.send(b"defghijkl");
    stage.send(b"m");
    stage.take();
    let sent: Vec<Vec<u8>> = std::iter::from_fn(|| stage.caught_up()).map(|taken| taken.sent).collect();
    assert_eq!(sent, [b"abc".to_vec(), vec![], vec![], b"defghijkl".to_vec()]);
    // This piece was read from its ring together with the others.
    stage.take();
    assert_eq!(stage.caught_up().unwrap().sent, b"m");
}

#[test]
fn damaged_output_is_an_error() {
    let damages: [(&str, &[u8]); 5] = [
        ("none", b""),
        ("half of a length", &[3, 0, 0, 0]),
        ("more than is there", &[3, 0, 0, 0, 0, 0, 0, 0]),
        ("another length", &[2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 0, 0, 0, 0, 0, 0]),
        ("a length beyond all memory", &[0xff; 24]),
    ];
    for (name, raw) in damages {
        let mut stage = Stage::new(Layer::Fast);
        stage.push(fast(nr::WRITE, 3));
        stage.put_out(raw);
        stage.take();
        let found = stage.feed.caught_up();
        assert!(matches!(found, Err(FeedError::Output { expected: 3, .. })), "{name}: {found:?}");
    }
}

#[test]
fn a_ring_of_output_that_claims_more_than_it_can_hold_is_an_error() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(fast(nr::WRITE, 3));
    stage.memory.write_all_at(&u64::MAX.to_le_bytes(), at::OUTPUT_HEAD).unwrap();
    stage.take();
    assert!(matches!(stage.feed.caught_up(), Err(FeedError::Output { found: 0, .. })));
}

#[test]
fn taking_what_was_not_given_is_an_error() {
    let mut stage = Stage::new(Layer::Fast);
    stage.shared.skip(32);
    assert_eq!(stage.feed.caught_up().unwrap_err(), FeedError::Taken { found: "more than there are" });
    let mut stage = Stage::new(Layer::Fast);
    stage.push(slow(nr::OPENAT));
    stage.take();
    assert_eq!(stage.feed.caught_up().unwrap_err(), FeedError::Taken { found: "a mark" });
    let mut stage = Stage::new(Layer::Fast);
    stage.push(fast(nr::READ, 0));
    assert!(stage.feed.pop_front_outside().is_some());
    stage.take();
    let expected = FeedError::Taken { found: "one while another was taken outside" };
    assert_eq!(stage.feed.caught_up().unwrap_err(), expected);
}

#[test]
fn before_memory_that_is_not_there_the_process_is_held() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(Record::new(Kind::Signal, 7, 0));
    stage.push(Record::new(Kind::Signal, 11, 0));
    assert_eq!(stage.next().unwrap(), Shared::mark(true));
    stage.outside();
    assert_eq!(stage.next().unwrap(), Shared::mark(false));
}

#[test]
fn some_records_of_the_mixed_layer_are_marks() {
    let mut stage = Stage::new(Layer::Mixed);
    let mut marks = 0;
    for _ in 0..256 {
        stage.push(fast(nr::READ, 0));
        marks += usize::from(stage.next().unwrap() == Shared::mark(false));
        stage.outside();
    }
    assert!((64..192).contains(&marks), "{marks} of 256");
}

#[test]
fn without_the_interceptor_one_record_waits_and_none_is_in_the_ring() {
    let mut stage = Stage::new(Layer::Complete);
    assert!(stage.feed.has_room());
    stage.push(fast(nr::READ, 0));
    assert!(!stage.feed.has_room() && stage.next().is_none());
    stage.outside();
    assert!(stage.feed.has_room());
    assert_eq!(stage.shared.taken(), 0);
}

#[test]
fn what_is_forgotten_is_in_the_ring_no_more() {
    let mut stage = Stage::new(Layer::Fast);
    stage.push(fast(nr::READ, 0));
    stage.push(slow(nr::OPENAT));
    stage.feed.forget();
    assert!(stage.feed.is_empty() && stage.next().is_none() && stage.caught_up().is_none());
    stage.push(fast(nr::CLOSE, 0));
    stage.take();
    assert!(stage.caught_up().is_some());
}
