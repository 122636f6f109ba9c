//! The heartbeat beside the channel: a UDP datagram, so that a channel that is full or slow is not taken for a dead peer.
//!
//! 36 bytes, little endian: magic "FTHB" (u32), version (u16), role (u8: 1 primary, 2 backup, 3 solo), 0 (u8), log id (u64),
//! epoch (u64), counter (u64), CRC-32 of the 32 bytes before (u32). The counter grows with every datagram of a sender:
//! one that is not above the last is a duplicate or late and says nothing.

use thiserror::Error;

use crate::ids::Epoch;
use crate::orders::Role;

/// Bytes of a datagram.
pub const HEARTBEAT_LEN: usize = 36;
const MAGIC: u32 = u32::from_le_bytes(*b"FTHB");
const VERSION: u16 = 1;

/// One sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Names the log that the sender writes or replays.
    pub log_id: u64,
    /// The epoch that it knows to be in force.
    pub epoch: Epoch,
    /// The part it plays.
    pub role: Role,
    /// Grows with every datagram of this sender.
    pub counter: u64,
}

/// Why a datagram is no heartbeat. It is ignored; the reason is for the curious.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum HeartbeatError {
    /// Of another length.
    #[error("a heartbeat has {HEARTBEAT_LEN} bytes, found {found}")]
    Length {
        /// Bytes there.
        found: usize,
    },
    /// Not ours.
    #[error("a heartbeat begins with {MAGIC:#010x}, found {found:#010x}")]
    Magic {
        /// What stands there.
        found: u32,
    },
    /// Of another version.
    #[error("a heartbeat of version {found}, expected {VERSION}")]
    Version {
        /// The version.
        found: u16,
    },
    /// Damaged on the way.
    #[error("a heartbeat has checksum {found:#010x}, expected {expected:#010x}")]
    Checksum {
        /// Computed from the bytes.
        expected: u32,
        /// Found in the datagram.
        found: u32,
    },
    /// Of a role that this version does not know.
    #[error("a heartbeat of role {found}, expected 1 to 3")]
    Role {
        /// The role.
        found: u8,
    },
    /// A byte that means nothing yet.
    #[error("a heartbeat has {found} behind its role, expected 0")]
    Reserved {
        /// The byte.
        found: u8,
    },
}

impl Heartbeat {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEARTBEAT_LEN] {
        let mut out = [0; HEARTBEAT_LEN];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6] = match self.role {
            Role::Primary => 1,
            Role::Backup => 2,
            Role::Solo => 3,
        };
        out[8..16].copy_from_slice(&self.log_id.to_le_bytes());
        out[16..24].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[24..32].copy_from_slice(&self.counter.to_le_bytes());
        let crc = crc32fast::hash(&out[..32]);
        out[32..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// When it is none of ours, of another version or damaged.
    pub fn decode(datagram: &[u8]) -> Result<Self, HeartbeatError> {
        let found = datagram.len();
        let bytes: &[u8; HEARTBEAT_LEN] = datagram.try_into().map_err(|_| HeartbeatError::Length { found })?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(0) != MAGIC {
            return Err(HeartbeatError::Magic { found: u32_at(0) });
        }
        let found = u16::from_le_bytes([bytes[4], bytes[5]]);
        if found != VERSION {
            return Err(HeartbeatError::Version { found });
        }
        let expected = crc32fast::hash(&bytes[..32]);
        if u32_at(32) != expected {
            return Err(HeartbeatError::Checksum { expected, found: u32_at(32) });
        }
        let role = match bytes[6] {
            1 => Role::Primary,
            2 => Role::Backup,
            3 => Role::Solo,
            found => return Err(HeartbeatError::Role { found }),
        };
        if bytes[7] != 0 {
            return Err(HeartbeatError::Reserved { found: bytes[7] });
        }
        Ok(Self { log_id: u64_at(8), epoch: Epoch(u64_at(16)), role, counter: u64_at(24) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_survives_the_round_trip_and_no_flipped_bit_does() {
        for role in [Role::Primary, Role::Backup, Role::Solo] {
            let heartbeat = Heartbeat { log_id: u64::MAX - 1, epoch: Epoch(1 << 40), role, counter: 77 };
            let sound = heartbeat.encode();
            assert_eq!(Heartbeat::decode(&sound), Ok(heartbeat));
            for bit in 0..HEARTBEAT_LEN * 8 {
                let mut bytes = sound;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Heartbeat::decode(&bytes).is_err(), "bit {bit}");
            }
            assert_eq!(Heartbeat::decode(&sound[1..]), Err(HeartbeatError::Length { found: 35 }));
        }
    }

    #[test]
    fn the_byte_that_means_nothing_is_checked() {
        let mut bytes = Heartbeat { log_id: 0, epoch: Epoch(0), role: Role::Primary, counter: 0 }.encode();
        bytes[7] = 1;
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Heartbeat::decode(&bytes), Err(HeartbeatError::Reserved { found: 1 }));
    }
}
