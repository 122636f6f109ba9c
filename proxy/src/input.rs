//! Input rule: the bytes from one client to the server.
//!
//! ```text
//! 0 ........... consumed ........... sent ........... end
//!   forgotten      | kept: may be lost | not yet with the server
//! ```
//!
//! A byte that the client's kernel knows as acknowledged is kept until a backup holds the log that consumed it. After a
//! takeover `sent` goes back to `consumed`: the new primary gets what the log did not consume, no byte twice for the server.
//! The client's end of stream stands behind the last byte and is told to every server anew. A server without a backup has
//! nobody to take over from it: then bytes are forgotten when they are sent.

use std::io::IoSlice;

use thiserror::Error;

use crate::byte_queue::{ByteQueue, MAX_SLICES};

/// The replicas and the proxy disagree about the input of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InputError {
    /// Bytes are missing.
    #[error("input has a gap: the log ends at {consumed} bytes consumed, the proxy keeps input from {retained} on")]
    Gap {
        /// Where the log ends.
        consumed: u64,
        /// First byte that is kept.
        retained: u64,
    },
    /// More consumed than there was.
    #[error("the log consumes {consumed} bytes of input but the server was sent only {sent}")]
    BeyondSent {
        /// What the order says.
        consumed: u64,
        /// What was sent to the server.
        sent: u64,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Input {
    /// Base: consumed. End: what the client has sent.
    kept: ByteQueue,
    sent: u64,
    ended: bool,
    end_sent: bool,
    solo: bool,
    /// Test only: the input rule is off.
    forget: bool,
    /// Test only: deduplication is off.
    resend_all: bool,
}

impl Input {
    /// An empty stream. `forget` and `resend_all` are the test-only switches.
    #[must_use]
    pub fn new(solo: bool, forget: bool, resend_all: bool) -> Self {
        Self { kept: ByteQueue::default(), sent: 0, ended: false, end_sent: false, solo, forget, resend_all }
    }

    /// Bytes that the client has sent.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.kept.end()
    }

    /// Offset of the first byte that is kept.
    #[must_use]
    pub fn retained_from(&self) -> u64 {
        self.kept.base()
    }

    /// Whether the client is to be read, when `limit` bytes may be kept.
    #[must_use]
    pub fn wants(&self, limit: usize) -> bool {
        !self.ended && self.kept.len() < limit
    }

    /// Where to append bytes from the client; then call [`Input::arrived`].
    pub fn space(&mut self) -> &mut Vec<u8> {
        self.kept.spare()
    }

    /// Takes in what was appended, says how much.
    pub fn arrived(&mut self) -> usize {
        self.kept.commit()
    }

    /// The client sends no more.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Whether the client sends no more.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The bytes that the server is to be sent now.
    pub fn slices<'a>(&'a self, out: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        self.kept.slices(self.sent, self.received(), out)
    }

    /// Whether there are bytes that the server is to be sent now.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.sent < self.received()
    }

    /// The server's socket took `n` bytes.
    pub fn send(&mut self, n: usize) {
        self.sent += n as u64;
        if self.solo || self.forget {
            self.kept.trim(self.sent);
        }
    }

    /// Whether the server is to be told now that the client sends no more.
    #[must_use]
    pub fn end_due(&self) -> bool {
        self.ended && !self.end_sent && !self.ready()
    }

    /// The server was told.
    pub fn send_end(&mut self) {
        self.end_sent = true;
    }

    /// Whether the server has been told.
    #[must_use]
    pub fn end_sent(&self) -> bool {
        self.end_sent
    }

    /// An order: the log that consumed the bytes below `consumed` is held.
    ///
    /// # Errors
    /// When the server was not sent so much.
    pub fn consume(&mut self, consumed: u64) -> Result<(), InputError> {
        if consumed > self.sent {
            return Err(InputError::BeyondSent { consumed, sent: self.sent });
        }
        if consumed > self.kept.base() {
            self.kept.trim(consumed);
        }
        Ok(())
    }

    /// From now on the server has no backup.
    pub fn go_solo(&mut self) {
        self.solo = true;
        self.kept.trim(self.sent.max(self.kept.base()));
    }

    /// From now on a backup holds the log.
    pub fn pair(&mut self) {
        self.solo = false;
    }

    /// A new primary carries on from the end of the log, where `consumed` bytes are consumed.
    ///
    /// # Errors
    /// When bytes that it needs are gone, or the log consumes bytes that nobody sent.
    pub fn carry(&mut self, consumed: u64) -> Result<(), InputError> {
        if consumed < self.kept.base() {
            return Err(InputError::Gap { consumed, retained: self.kept.base() });
        }
        if self.resend_all {
            self.sent = self.kept.base();
        } else {
            self.consume(consumed)?;
            self.sent = consumed;
        }
        self.end_sent = false;
        self.solo = true;
        Ok(())
    }

    /// The server never accepted the connection.
    ///
    /// # Errors
    /// When input is gone.
    pub fn restart(&mut self) -> Result<(), InputError> {
        if self.kept.base() > 0 {
            return Err(InputError::Gap { consumed: 0, retained: self.kept.base() });
        }
        self.sent = 0;
        self.end_sent = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::byte_queue::joined;

    fn arrive(input: &mut Input, bytes: &[u8]) {
        input.space().extend_from_slice(bytes);
        input.arrived();
    }

    fn send_all(input: &mut Input) -> Vec<u8> {
        let mut sent = Vec::new();
        while input.ready() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let used = input.slices(&mut slices);
            let piece = joined(&slices[..used]);
            input.send(piece.len());
            sent.extend(piece);
        }
        sent
    }

    #[test]
    fn a_takeover_sends_again_what_the_log_did_not_consume() {
        let mut input = Input::new(false, false, false);
        arrive(&mut input, b"one two three");
        assert_eq!(send_all(&mut input), b"one two three");
        input.consume(4).unwrap();
        input.carry(8).unwrap();
        assert_eq!(send_all(&mut input), b"three");
    }

    #[test]
    fn the_end_stands_behind_the_bytes_and_is_told_to_every_server() {
        let mut input = Input::new(false, false, false);
        arrive(&mut input, b"last");
        input.end();
        assert!(!input.end_due());
        send_all(&mut input);
        assert!(input.end_due());
        input.send_end();
        assert!(!input.end_due());
        input.carry(2).unwrap();
        assert!(!input.end_due());
        assert_eq!(send_all(&mut input), b"st");
        assert!(input.end_due());
    }

    #[test]
    fn what_is_kept_is_bounded_until_it_is_consumed() {
        let mut input = Input::new(false, false, false);
        arrive(&mut input, b"12345678");
        send_all(&mut input);
        assert!(!input.wants(8));
        input.consume(1).unwrap();
        assert!(input.wants(8));
    }

    #[test]
    fn solo_keeps_only_what_is_not_sent() {
        let mut input = Input::new(false, false, false);
        arrive(&mut input, b"12345678");
        input.send(3);
        input.go_solo();
        assert_eq!(input.retained_from(), 3);
        send_all(&mut input);
        assert_eq!(input.retained_from(), 8);
    }

    #[test]
    fn input_that_is_gone_or_was_never_sent_is_an_error() {
        let mut input = Input::new(false, false, false);
        arrive(&mut input, b"12345678");
        input.send(6);
        assert_eq!(input.consume(7), Err(InputError::BeyondSent { consumed: 7, sent: 6 }));
        input.consume(5).unwrap();
        assert_eq!(input.carry(4), Err(InputError::Gap { consumed: 4, retained: 5 }));
        assert_eq!(input.restart(), Err(InputError::Gap { consumed: 0, retained: 5 }));
    }
}
