//! The one place that knows bincode: control messages, handshakes, manifests.
//!
//! A message on a stream is `length: u32 (little endian)` followed by its encoding. The length is bounded, an encoding
//! that leaves trailing bytes is refused (bincode alone would accept them). Records and frames do not pass through here.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Upper bound of one encoded message, in bytes.
pub const MAX_MESSAGE: usize = 64 << 20;

/// Why a control message could not be encoded or decoded.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The stream failed or ended.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
    /// The length field exceeds [`MAX_MESSAGE`].
    #[error(
        "a message of {found} bytes exceeds the limit of {MAX_MESSAGE} bytes: the peer is no ftrun or of another version"
    )]
    TooLong {
        /// The length that the header claims.
        found: usize,
    },
    /// The bytes are no encoding of the expected type.
    #[error("a message cannot be decoded: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// The value cannot be encoded.
    #[error("a message cannot be encoded: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// The encoding ends before the message does.
    #[error("a message has {extra} bytes after its end: the peer is of another version")]
    Trailing {
        /// Bytes left over.
        extra: usize,
    },
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_MESSAGE>()
}

/// Encodes one value without the length prefix.
///
/// # Errors
/// When the value cannot be encoded or exceeds [`MAX_MESSAGE`].
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(value, config())?;
    if bytes.len() > MAX_MESSAGE {
        return Err(CodecError::TooLong { found: bytes.len() });
    }
    Ok(bytes)
}

/// Decodes one value; every byte must belong to it.
///
/// # Errors
/// When the bytes are malformed or too many.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, config())?;
    if used != bytes.len() {
        return Err(CodecError::Trailing { extra: bytes.len() - used });
    }
    Ok(value)
}

/// Encodes one value with its length prefix.
///
/// # Errors
/// As [`encode`].
pub fn encode_message<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let body = encode(value)?;
    let mut out = Vec::with_capacity(body.len() + 4);
    let length = u32::try_from(body.len()).map_err(|_| CodecError::TooLong { found: body.len() })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

/// Writes one length-prefixed message.
///
/// # Errors
/// As [`encode`], or when the stream fails.
pub fn write_message<T: Serialize>(stream: &mut impl Write, value: &T) -> Result<(), CodecError> {
    stream.write_all(&encode_message(value)?)?;
    Ok(())
}

/// Checks a length prefix.
///
/// # Errors
/// When it exceeds [`MAX_MESSAGE`].
pub fn message_length(prefix: [u8; 4]) -> Result<usize, CodecError> {
    let found = u32::from_le_bytes(prefix) as usize;
    if found > MAX_MESSAGE {
        return Err(CodecError::TooLong { found });
    }
    Ok(found)
}

/// Reads one length-prefixed message.
///
/// # Errors
/// When the stream fails or ends, or the message is malformed.
pub fn read_message<T: DeserializeOwned>(stream: &mut impl Read) -> Result<T, CodecError> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    let mut body = vec![0; message_length(prefix)?];
    stream.read_exact(&mut body)?;
    decode(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_round_trip() {
        let mut wire = Vec::new();
        write_message(&mut wire, &(7u32, "seven".to_owned())).unwrap();
        let back: (u32, String) = read_message(&mut wire.as_slice()).unwrap();
        assert_eq!(back, (7, "seven".to_owned()));
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut body = encode(&7u32).unwrap();
        body.push(0);
        assert!(matches!(decode::<u32>(&body), Err(CodecError::Trailing { extra: 1 })));
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_taken() {
        let wire = u32::MAX.to_le_bytes();
        assert!(matches!(read_message::<u32>(&mut wire.as_slice()), Err(CodecError::TooLong { .. })));
    }
}
