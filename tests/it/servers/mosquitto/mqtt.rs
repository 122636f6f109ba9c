//! As much of MQTT 3.1.1 (OASIS, 2014) as the sessions speak: at most once and at least once.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::support::wire::Wire;

/// The packets that the broker sends to a connected client.
#[derive(Debug)]
pub(super) enum Packet {
    Publish(Message),
    PubAck(u16),
    SubAck,
    PingResp,
}

/// A message that the broker delivers.
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retained: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.payload.get(..40).unwrap_or(&self.payload);
        write!(
            f,
            "{} bytes \"{}\" to {}{}",
            self.payload.len(),
            start.escape_ascii(),
            self.topic,
            if self.retained { ", retained" } else { "" }
        )
    }
}

/// A connected client. It acknowledges what it gets.
pub(super) struct Connection {
    wire: Wire,
    /// Packets that wait for [`Connection::flush`].
    outgoing: Vec<u8>,
    /// The number of the last packet that was sent with one.
    number: u16,
    /// The number of the last message that the broker delivered with one.
    delivered: u16,
}

const SUBSCRIBE: u8 = 0x82;
const PUBACK: u8 = 0x40;
const AT_LEAST_ONCE: u8 = 1;

impl Connection {
    pub(super) fn open(address: SocketAddr, name: &str) -> Result<Self> {
        let mut wire = Wire::connect(address, name)?;
        let mut body = string("MQTT");
        const CLEAN_SESSION: u8 = 2;
        // Protocol level 4; no keep-alive, so that nothing depends on the time.
        body.extend([4, CLEAN_SESSION, 0, 0]);
        body.extend(string(name));
        wire.send(&packet(0x10, &body))?;
        // CONNACK: no session present, accepted.
        wire.expect(&[0x20, 2, 0, 0])?;
        Ok(Self { wire, outgoing: Vec::new(), number: 0, delivered: 0 })
    }

    fn next_number(&mut self) -> u16 {
        self.number += 1;
        self.number
    }

    /// Subscribes, at least once each, and waits for the acknowledgement.
    pub(super) fn subscribe(&mut self, topics: &[&str]) -> Result<()> {
        let number = self.next_number();
        let mut body = number.to_be_bytes().to_vec();
        for topic in topics {
            body.extend(string(topic));
            body.push(AT_LEAST_ONCE);
        }
        self.wire.send(&packet(SUBSCRIBE, &body))?;
        let packet = self.receive()?;
        ensure!(matches!(packet, Packet::SubAck), "instead of an acknowledged subscription: {packet:?}");
        Ok(())
    }

    /// Prepares a message that is to be acknowledged; returns its number.
    pub(super) fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) -> Result<u16> {
        let number = self.next_number();
        let mut body = string(topic);
        body.extend(number.to_be_bytes());
        body.extend_from_slice(payload);
        let kind = 0x30 | AT_LEAST_ONCE << 1 | u8::from(retain);
        self.outgoing.extend(packet(kind, &body));
        Ok(number)
    }

    /// Prepares a message that nobody acknowledges.
    pub(super) fn publish_unacknowledged(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let mut body = string(topic);
        body.extend_from_slice(payload);
        self.outgoing.extend(packet(0x30, &body));
        Ok(())
    }

    /// Prepares a ping.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.outgoing.extend(packet(0xC0, &[]));
        Ok(())
    }

    /// Sends what was prepared.
    pub(super) fn flush(&mut self) -> Result<()> {
        let prepared = std::mem::take(&mut self.outgoing);
        self.wire.send(&prepared)
    }

    /// The next packet, checked and, if it asks for it, acknowledged.
    pub(super) fn receive(&mut self) -> Result<Packet> {
        let at = self.wire.looked_at();
        let kind = self.wire.take(1)?[0];
        let length = self.remaining_length()?;
        let body = self.wire.take(length)?;
        let context = || format!("packet {kind:#04x} of {length} bytes at {at}");
        let number = |from: usize| -> Result<u16> {
            let bytes = body.get(from..from + 2).with_context(context)?;
            Ok(u16::from_be_bytes(bytes.try_into()?))
        };
        match kind {
            PUBACK if length == 2 => Ok(Packet::PubAck(number(0)?)),
            0x90 => {
                ensure!(number(0)? == self.number, "{}", context());
                let granted = body[2..].iter().all(|byte| *byte == AT_LEAST_ONCE);
                ensure!(granted, "refused: {}", context());
                Ok(Packet::SubAck)
            }
            0xD0 if length == 0 => Ok(Packet::PingResp),
            // Not a duplicate (bit 3) in any case, as nothing is ever sent again.
            0x30..=0x33 => {
                let mut start = 2 + usize::from(number(0)?);
                let topic = body.get(2..start).with_context(context)?.to_vec();
                if kind & 2 != 0 {
                    self.acknowledge(number(start)?).with_context(context)?;
                    start += 2;
                }
                Ok(Packet::Publish(Message {
                    topic: String::from_utf8(topic)?,
                    payload: body.get(start..).with_context(context)?.to_vec(),
                    retained: kind & 1 != 0,
                }))
            }
            _ => bail!("unexpected {}", context()),
        }
    }

    fn acknowledge(&mut self, number: u16) -> Result<()> {
        self.delivered += 1;
        ensure!(number == self.delivered, "message number {number} came where {} was due", self.delivered);
        self.wire.send(&packet(PUBACK, &number.to_be_bytes()))
    }

    fn remaining_length(&mut self) -> Result<usize> {
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.wire.take(1)?[0];
            length |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(length);
            }
        }
        bail!("a packet length of more than four bytes")
    }

    /// Says goodbye; the broker closes, and nothing more comes.
    pub(super) fn disconnect(mut self) -> Result<()> {
        self.wire.send(&packet(0xE0, &[]))?;
        self.wire.ended()
    }

    pub(super) fn longest_wait(&self) -> Duration {
        self.wire.longest_wait()
    }
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short string");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7F).expect("seven bits");
        rest >>= 7;
        bytes.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}
