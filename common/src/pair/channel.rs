//! The stream between primary and backup: control messages and frames of the log, in one order.
//!
//! Both ends begin with a preamble of 16 bytes outside of any encoding: magic `FTRUNPAR` (8), version (u32), flags (u32, 0).
//! Then envelopes: a tag (u8: 1 a control message as of [`crate::codec`], 2 a frame as of [`crate::log::frame`]), the length
//! (u32), the bytes. Little endian. Lengths are bounded by the tag. Frames flow from the primary to the backup only; they
//! are handed on as they came, for [`crate::log::frame::FrameReader`] to check.

use std::io::{self, IoSlice, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::message::{ToBackup, ToPrimary};
use crate::codec::{self, CodecError, MAX_MESSAGE};
use crate::log::frame::{FRAME_HEADER_LEN, MAX_PAYLOAD};

/// First bytes of the channel.
pub const PAIR_MAGIC: [u8; 8] = *b"FTRUNPAR";
/// Version of the messages, raised with every change of a type in [`super::message`] of the records or the frames.
pub const PAIR_VERSION: u32 = 4;
/// Bytes of the preamble.
pub const PREAMBLE_LEN: usize = 16;
/// Bytes of tag and length.
pub const ENVELOPE_LEN: usize = 5;

const TAG_MESSAGE: u8 = 1;
const TAG_FRAME: u8 = 2;

/// Why the channel cannot be used any further.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The stream failed or ended.
    #[error("the channel between primary and backup {}", broken(.0))]
    Io(#[from] io::Error),
    /// The other end is no replica.
    #[error("the other end begins with {found:02x?}, expected {PAIR_MAGIC:02x?}: it is no ftrun replica")]
    Magic {
        /// Its first bytes.
        found: [u8; 8],
    },
    /// The other end is of another version.
    #[error("the other end speaks version {found}, expected {PAIR_VERSION}: run the same ftrun on both machines")]
    Version {
        /// Its version.
        found: u32,
    },
    /// The other end asks for what this version does not know.
    #[error("the other end has flags {found:#x}, expected 0: run the same ftrun on both machines")]
    Flags {
        /// Its flags.
        found: u32,
    },
    /// An envelope of a kind that this end does not take.
    #[error("an envelope has tag {found}, expected {expected}: the peer is no ftrun or of another version")]
    Tag {
        /// The tag.
        found: u8,
        /// What this end takes.
        expected: &'static str,
    },
    /// An envelope that is too long.
    #[error("an envelope of {found} bytes exceeds {limit} bytes: the peer is no ftrun or of another version")]
    TooLong {
        /// The length that it claims.
        found: u64,
        /// The most that its tag allows.
        limit: usize,
    },
    /// A control message is malformed.
    #[error("control message: {0}")]
    Codec(#[from] CodecError),
}

/// What the backup takes from the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromPrimary {
    /// A control message.
    Message(ToBackup),
    /// The bytes of a frame, not checked yet.
    Frame(Vec<u8>),
}

/// What happened to a stream: a read that finds its end is an error to std only.
pub(crate) fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "was closed by the other end".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "is silent: nothing came in time".to_owned(),
        _ => format!("failed: {error}"),
    }
}

/// The bytes that both ends begin with.
#[must_use]
pub fn preamble() -> [u8; PREAMBLE_LEN] {
    let mut bytes = [0; PREAMBLE_LEN];
    bytes[..8].copy_from_slice(&PAIR_MAGIC);
    bytes[8..12].copy_from_slice(&PAIR_VERSION.to_le_bytes());
    bytes
}

/// Checks the preamble of the other end.
///
/// # Errors
/// When it is no replica, or one of another version.
pub fn check_preamble(bytes: &[u8; PREAMBLE_LEN]) -> Result<(), ChannelError> {
    let mut magic = [0; 8];
    magic.copy_from_slice(&bytes[..8]);
    if magic != PAIR_MAGIC {
        return Err(ChannelError::Magic { found: magic });
    }
    let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if u32_at(8) != PAIR_VERSION {
        return Err(ChannelError::Version { found: u32_at(8) });
    }
    if u32_at(12) != 0 {
        return Err(ChannelError::Flags { found: u32_at(12) });
    }
    Ok(())
}

/// Reads and checks the preamble of the other end.
///
/// # Errors
/// When the stream fails, or the other end is no replica of this version.
pub fn read_preamble(stream: &mut impl Read) -> Result<(), ChannelError> {
    let mut bytes = [0; PREAMBLE_LEN];
    stream.read_exact(&mut bytes)?;
    check_preamble(&bytes)
}

fn envelope(tag: u8, body: &[u8]) -> Result<Vec<u8>, ChannelError> {
    let limit = limit(tag).unwrap_or(0);
    let too_long = || ChannelError::TooLong { found: body.len() as u64, limit };
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= limit).ok_or_else(too_long)?;
    let mut out = Vec::with_capacity(ENVELOPE_LEN + body.len());
    out.push(tag);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
    Ok(out)
}

fn limit(tag: u8) -> Option<usize> {
    match tag {
        TAG_MESSAGE => Some(MAX_MESSAGE),
        TAG_FRAME => Some(FRAME_HEADER_LEN + MAX_PAYLOAD),
        _ => None,
    }
}

/// The envelope of a control message, [`ToBackup`] or [`ToPrimary`].
///
/// # Errors
/// When it is too large.
pub fn encode_message<T: Message>(message: &T) -> Result<Vec<u8>, ChannelError> {
    envelope(TAG_MESSAGE, &codec::encode(message)?)
}

/// What stands before a sealed frame of `length` bytes: the frame itself is sent as it is.
///
/// # Errors
/// When no frame is that long.
pub fn frame_envelope(length: usize) -> Result<[u8; ENVELOPE_LEN], ChannelError> {
    let limit = FRAME_HEADER_LEN + MAX_PAYLOAD;
    let too_long = || ChannelError::TooLong { found: length as u64, limit };
    let prefix = u32::try_from(length).ok().filter(|_| length <= limit).ok_or_else(too_long)?.to_le_bytes();
    Ok([TAG_FRAME, prefix[0], prefix[1], prefix[2], prefix[3]])
}

/// A control message of one direction.
pub trait Message: Serialize + DeserializeOwned {}
impl Message for ToBackup {}
impl Message for ToPrimary {}

/// Writes a control message.
///
/// # Errors
/// When the stream fails or the message is too large.
pub fn write_message<T: Message>(stream: &mut impl Write, message: &T) -> Result<(), ChannelError> {
    Ok(stream.write_all(&encode_message(message)?)?)
}

/// Writes a sealed frame.
///
/// # Errors
/// When the stream fails.
pub fn write_frame(stream: &mut impl Write, sealed: &[u8]) -> Result<(), ChannelError> {
    let envelope = frame_envelope(sealed.len())?;
    // One call, and one packet where the frame is small.
    let sent = stream.write_vectored(&[IoSlice::new(&envelope), IoSlice::new(sealed)])?;
    if sent < envelope.len() {
        stream.write_all(&envelope[sent..])?;
    }
    Ok(stream.write_all(&sealed[sent.saturating_sub(envelope.len())..])?)
}

/// Waits for what the primary sends next. For the backup.
///
/// # Errors
/// When the stream fails or ends, or what comes is malformed.
pub fn read_from_primary(stream: &mut impl Read) -> Result<FromPrimary, ChannelError> {
    let (tag, body) = read_envelope(stream)?;
    from_primary(tag, body)
}

/// Waits for what the backup sends next. For the primary.
///
/// # Errors
/// When the stream fails or ends, or what comes is malformed or a frame.
pub fn read_from_backup(stream: &mut impl Read) -> Result<ToPrimary, ChannelError> {
    let (tag, body) = read_envelope(stream)?;
    from_backup(tag, &body)
}

fn from_primary(tag: u8, body: Vec<u8>) -> Result<FromPrimary, ChannelError> {
    if tag == TAG_FRAME { Ok(FromPrimary::Frame(body)) } else { Ok(FromPrimary::Message(codec::decode(&body)?)) }
}

fn from_backup(tag: u8, body: &[u8]) -> Result<ToPrimary, ChannelError> {
    if tag != TAG_MESSAGE {
        return Err(ChannelError::Tag { found: tag, expected: "1, a control message" });
    }
    Ok(codec::decode(body)?)
}

fn check_envelope(prefix: [u8; ENVELOPE_LEN]) -> Result<(u8, usize), ChannelError> {
    let [tag, a, b, c, d] = prefix;
    let expected = "1, a control message, or 2, a frame";
    let limit = limit(tag).ok_or(ChannelError::Tag { found: tag, expected })?;
    let found = u32::from_le_bytes([a, b, c, d]);
    if found as usize > limit {
        return Err(ChannelError::TooLong { found: found.into(), limit });
    }
    Ok((tag, found as usize))
}

fn read_envelope(stream: &mut impl Read) -> Result<(u8, Vec<u8>), ChannelError> {
    let mut prefix = [0; ENVELOPE_LEN];
    stream.read_exact(&mut prefix)?;
    let (tag, length) = check_envelope(prefix)?;
    // Memory is taken as the bytes come, not as the length claims.
    let mut body = Vec::with_capacity(length.min(1 << 20));
    stream.by_ref().take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok((tag, body))
}

/// Takes bytes as they come from a stream that does not block, and gives what is complete.
#[derive(Debug, Default)]
pub struct Intake {
    buffer: Vec<u8>,
    start: usize,
}

impl Intake {
    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The preamble is expected first: true once it has come and is right.
    ///
    /// # Errors
    /// As [`check_preamble`].
    pub fn preamble(&mut self) -> Result<bool, ChannelError> {
        let Some(bytes) = self.buffer[self.start..].first_chunk() else {
            return Ok(false);
        };
        check_preamble(bytes)?;
        self.start += PREAMBLE_LEN;
        Ok(true)
    }

    /// The next of the primary's messages and frames that is complete. For the backup.
    ///
    /// # Errors
    /// As [`read_from_primary`].
    pub fn from_primary(&mut self) -> Result<Option<FromPrimary>, ChannelError> {
        self.next()?.map(|(tag, body)| from_primary(tag, body)).transpose()
    }

    /// The next of the backup's messages that is complete. For the primary.
    ///
    /// # Errors
    /// As [`read_from_backup`].
    pub fn from_backup(&mut self) -> Result<Option<ToPrimary>, ChannelError> {
        self.next()?.map(|(tag, body)| from_backup(tag, &body)).transpose()
    }

    fn next(&mut self) -> Result<Option<(u8, Vec<u8>)>, ChannelError> {
        let Some((prefix, rest)) = self.buffer[self.start..].split_first_chunk::<ENVELOPE_LEN>() else {
            return Ok(None);
        };
        let (tag, length) = check_envelope(*prefix)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let body = body.to_vec();
        self.start += ENVELOPE_LEN + length;
        Ok(Some((tag, body)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cpu::CpuFeatures;
    use crate::ids::{Epoch, Lsn, ReplicaId};
    use crate::pair::message::{Hello, PairSettings};
    use crate::snapshot::ContentHash;

    fn to_backup() -> Vec<ToBackup> {
        let settings = PairSettings {
            proxy_control: Some("10.0.0.1:7000".parse().unwrap()),
            arbiter: "file:/srv/epochs".to_owned(),
            heartbeat_ms: 20,
            timeout_ms: 200,
        };
        let hello = Hello {
            log_id: 7,
            epoch: Epoch(3),
            replica: ReplicaId(9),
            version: "0.1.0".to_owned(),
            cpu: CpuFeatures::new("GenuineIntel", Vec::new(), 7, 832),
            settings,
        };
        vec![
            ToBackup::Hello(Box::new(hello)),
            ToBackup::Manifest(vec![1, 2, 3]),
            ToBackup::Chunk { hash: ContentHash::of(b"x"), bytes: b"x".to_vec() },
            ToBackup::Start,
            ToBackup::Heartbeat { lsn: Lsn(8), time: 5 },
        ]
    }

    fn to_primary() -> Vec<ToPrimary> {
        vec![
            ToPrimary::Accept { replica: ReplicaId(4), heartbeat_port: 9 },
            ToPrimary::Refuse { reason: "no".to_owned() },
            ToPrimary::Failed { reason: "no space".to_owned() },
            ToPrimary::Want { hashes: vec![ContentHash::of(b"x")] },
            ToPrimary::Restored,
            ToPrimary::Ack { received: Lsn(16), replayed: Lsn(8) },
            ToPrimary::Diverged { lsn: Lsn(8), report: "read".to_owned() },
            ToPrimary::Heartbeat,
            ToPrimary::Ended { status: 256 },
        ]
    }

    fn primary_stream() -> (Vec<u8>, Vec<FromPrimary>) {
        let mut wire = Vec::new();
        let mut expected = Vec::new();
        for message in to_backup() {
            write_message(&mut wire, &message).unwrap();
            write_frame(&mut wire, &[9; 60]).unwrap();
            expected.extend([FromPrimary::Message(message), FromPrimary::Frame(vec![9; 60])]);
        }
        (wire, expected)
    }

    #[test]
    fn messages_and_frames_come_in_order() {
        let (wire, expected) = primary_stream();
        let mut stream = wire.as_slice();
        for item in expected {
            assert_eq!(read_from_primary(&mut stream).unwrap(), item);
        }
        assert!(matches!(read_from_primary(&mut stream), Err(ChannelError::Io(_))));
    }

    #[test]
    fn the_backup_sends_no_frames() {
        let mut wire = Vec::new();
        for message in to_primary() {
            write_message(&mut wire, &message).unwrap();
        }
        write_frame(&mut wire, &[9; 60]).unwrap();
        let mut stream = wire.as_slice();
        for message in to_primary() {
            assert_eq!(read_from_backup(&mut stream).unwrap(), message);
        }
        assert!(matches!(read_from_backup(&mut stream), Err(ChannelError::Tag { found: 2, .. })));
    }

    #[test]
    fn strangers_and_other_versions_are_told_apart() {
        let mut bytes = preamble();
        check_preamble(&bytes).unwrap();
        bytes[8] = 9;
        assert!(matches!(check_preamble(&bytes), Err(ChannelError::Version { found: 9 })));
        bytes = preamble();
        bytes[15] = 1;
        assert!(matches!(check_preamble(&bytes), Err(ChannelError::Flags { .. })));
        assert!(matches!(read_preamble(&mut b"GET / HTTP/1.1\r\n\r\n".as_slice()), Err(ChannelError::Magic { .. })));
    }

    #[test]
    fn absurd_lengths_and_tags_are_refused() {
        let mut wire = [TAG_MESSAGE, 0xff, 0xff, 0xff, 0xff].as_slice();
        assert!(matches!(read_from_primary(&mut wire), Err(ChannelError::TooLong { .. })));
        let mut wire = [TAG_FRAME, 0xff, 0xff, 0xff, 0xff].as_slice();
        assert!(matches!(read_from_primary(&mut wire), Err(ChannelError::TooLong { .. })));
        let mut wire = [3, 0, 0, 0, 0].as_slice();
        assert!(matches!(read_from_primary(&mut wire), Err(ChannelError::Tag { found: 3, .. })));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(sizes in prop::collection::vec(1usize..200, 1..40)) {
            let (body, expected) = primary_stream();
            let wire = [preamble().as_slice(), &body].concat();
            let mut intake = Intake::default();
            let (mut at, mut greeted, mut found) = (0, false, Vec::new());
            for size in sizes.iter().cycle() {
                let end = wire.len().min(at + size);
                intake.push(&wire[at..end]);
                at = end;
                greeted = greeted || intake.preamble().unwrap();
                while let Some(item) = if greeted { intake.from_primary().unwrap() } else { None } {
                    found.push(item);
                }
                if at == wire.len() {
                    break;
                }
            }
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_from_primary(&mut bytes.as_slice());
            let _ = read_from_backup(&mut bytes.as_slice());
        }
    }
}
