//! Messages of the pair, orders of the proxy, heartbeats, the header of a resumed connection.

use std::fmt::Debug;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use common::codec::{self, MAX_MESSAGE};
use common::cpu::{CpuFeatures, Leaf};
use common::ids::{ConnId, Epoch, Lsn, ReplicaId};
use common::orders::{Carried, Listener, ListenerId, Progress, ResumeHeader, Role, ToProxy, ToReplica};
use common::pair::channel::{self, FromPrimary, Intake};
use common::pair::heartbeat::Heartbeat;
use common::pair::message::{Hello, PairSettings, ToBackup, ToPrimary};
use common::snapshot::ContentHash;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::{apply, changes};
use crate::config;
use crate::meter::measured;

fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(ip, port)| (Ipv4Addr::from_bits(ip), port).into()),
        (any::<u128>(), any::<u16>()).prop_map(|(ip, port)| (Ipv6Addr::from_bits(ip), port).into()),
    ]
}

fn connection() -> impl Strategy<Value = ConnId> {
    (any::<u64>(), address()).prop_map(|(epoch, peer)| ConnId { epoch: Epoch(epoch), peer })
}

fn progress() -> impl Strategy<Value = Progress> {
    (connection(), any::<[u64; 2]>(), any::<[bool; 3]>()).prop_map(
        |(conn, [consumed, produced], [finished, closed, reset])| Progress {
            conn,
            consumed,
            produced,
            finished,
            closed,
            reset,
        },
    )
}

fn listener() -> impl Strategy<Value = Listener> {
    (any::<u64>(), address(), address()).prop_map(|(id, asked, real)| Listener { id: ListenerId(id), asked, real })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn hash() -> impl Strategy<Value = ContentHash> {
    any::<[u8; 32]>().prop_map(ContentHash)
}

fn hello() -> impl Strategy<Value = Hello> {
    let leaf =
        any::<[u32; 6]>().prop_map(|[leaf, subleaf, a, b, c, d]| Leaf { leaf, subleaf, registers: [a, b, c, d] });
    let cpu = (".{0,12}", prop::collection::vec(leaf, 0..3), any::<u64>(), any::<u32>())
        .prop_map(|(vendor, leafs, xcr0, size)| CpuFeatures::new(vendor, leafs, xcr0, size));
    let settings = (prop::option::of(address()), ".{0,20}", any::<[u64; 2]>()).prop_map(
        |(proxy_control, arbiter, [heartbeat_ms, timeout_ms])| PairSettings {
            proxy_control,
            arbiter,
            heartbeat_ms,
            timeout_ms,
        },
    );
    (any::<[u64; 3]>(), ".{0,8}", cpu, settings).prop_map(|([log_id, epoch, replica], version, cpu, settings)| Hello {
        log_id,
        epoch: Epoch(epoch),
        replica: ReplicaId(replica),
        version,
        cpu,
        settings,
    })
}

fn to_backup() -> impl Strategy<Value = ToBackup> {
    prop_oneof![
        hello().prop_map(|hello| ToBackup::Hello(Box::new(hello))),
        bytes().prop_map(ToBackup::Manifest),
        (hash(), bytes()).prop_map(|(hash, bytes)| ToBackup::Chunk { hash, bytes }),
        Just(ToBackup::Start),
        any::<[u64; 2]>().prop_map(|[lsn, time]| ToBackup::Heartbeat { lsn: Lsn(lsn), time }),
    ]
}

fn to_primary() -> impl Strategy<Value = ToPrimary> {
    prop_oneof![
        (any::<u64>(), any::<u16>())
            .prop_map(|(id, heartbeat_port)| ToPrimary::Accept { replica: ReplicaId(id), heartbeat_port }),
        ".{0,40}".prop_map(|reason| ToPrimary::Refuse { reason }),
        ".{0,40}".prop_map(|reason| ToPrimary::Failed { reason }),
        prop::collection::vec(hash(), 0..5).prop_map(|hashes| ToPrimary::Want { hashes }),
        Just(ToPrimary::Restored),
        any::<[u64; 2]>()
            .prop_map(|[received, replayed]| ToPrimary::Ack { received: Lsn(received), replayed: Lsn(replayed) }),
        (any::<u64>(), ".{0,40}").prop_map(|(lsn, report)| ToPrimary::Diverged { lsn: Lsn(lsn), report }),
        Just(ToPrimary::Heartbeat),
        any::<i32>().prop_map(|status| ToPrimary::Ended { status }),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Primary, Role::Backup, Role::Solo])
}

fn to_proxy() -> impl Strategy<Value = ToProxy> {
    let carried = (progress(), any::<u64>()).prop_map(|(progress, output_from)| Carried { progress, output_from });
    let takeover =
        (any::<[u64; 2]>(), address(), prop::collection::vec(listener(), 0..3), prop::collection::vec(carried, 0..3));
    prop_oneof![
        (any::<[u64; 2]>(), role()).prop_map(|([epoch, id], role)| ToProxy::Hello {
            epoch: Epoch(epoch),
            replica: ReplicaId(id),
            role
        }),
        (any::<u64>(), address(), any::<[bool; 2]>()).prop_map(|(id, asked, [reuse_addr, v6_only])| ToProxy::Bind {
            id: ListenerId(id),
            asked,
            reuse_addr,
            v6_only
        }),
        (listener(), any::<i32>()).prop_map(|(listener, backlog)| ToProxy::Listen { listener, backlog }),
        any::<u64>().prop_map(|id| ToProxy::Unlisten { id: ListenerId(id) }),
        prop::collection::vec(progress(), 0..4).prop_map(|progress| ToProxy::Release { progress }),
        takeover.prop_map(|([epoch, id], resume, listeners, carried)| {
            ToProxy::Takeover { epoch: Epoch(epoch), replica: ReplicaId(id), resume, listeners, carried }
        }),
        any::<i32>().prop_map(|status| ToProxy::Exit { status }),
    ]
}

fn to_replica() -> impl Strategy<Value = ToReplica> {
    let id = || any::<u64>().prop_map(ListenerId);
    prop_oneof![
        (any::<u32>(), address()).prop_map(|(pid, seen_as)| ToReplica::Welcome { pid, seen_as }),
        (id(), prop::result::maybe_ok(address(), any::<i32>()))
            .prop_map(|(id, outcome)| ToReplica::Bound { id, outcome }),
        (id(), prop::result::maybe_ok(Just(()), any::<i32>()))
            .prop_map(|(id, outcome)| ToReplica::Listening { id, outcome }),
        prop::collection::vec((connection(), any::<u64>()), 0..4).prop_map(|offsets| ToReplica::Received { offsets }),
        prop::collection::vec(connection(), 0..4).prop_map(|gone| ToReplica::TakenOver { gone }),
        any::<u64>().prop_map(|epoch| ToReplica::Superseded { epoch: Epoch(epoch) }),
    ]
}

/// The bytes are refused as a `T`, or encode to the same; what they claim to hold takes no more memory than a message may have.
fn canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, TestCaseError> {
    let (message, peak) = measured(|| codec::decode::<T>(bytes));
    prop_assert!(peak <= MAX_MESSAGE + 64 * bytes.len() + (2 << 20), "{} bytes of memory for {}", peak, bytes.len());
    let Ok(message) = message else { return Ok(None) };
    prop_assert_eq!(&codec::encode(&message).expect("what was decoded encodes")[..], bytes);
    Ok(Some(message))
}

/// A sound message comes back; a changed one is refused or another.
fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    message: &T,
    changed: impl FnOnce(&mut Vec<u8>),
) -> Result<(), TestCaseError> {
    let sound = codec::encode(message).expect("a message encodes");
    let back = canonical::<T>(&sound)?;
    prop_assert_eq!(back.as_ref(), Some(message));
    let mut bytes = sound.clone();
    changed(&mut bytes);
    if let Some(found) = canonical::<T>(&bytes)? {
        prop_assert_eq!(&found == message, bytes == sound);
    }
    Ok(())
}

/// What a stream gives up to its end or its first error, read at once.
fn at_once(mut stream: &[u8]) -> Vec<FromPrimary> {
    std::iter::from_fn(|| channel::read_from_primary(&mut stream).ok()).collect()
}

/// The same, in pieces.
fn in_pieces(stream: &[u8], size: usize) -> Vec<FromPrimary> {
    let mut intake = Intake::default();
    let mut found = Vec::new();
    for piece in stream.chunks(size) {
        intake.push(piece);
        loop {
            match intake.from_primary() {
                Ok(Some(item)) => found.push(item),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(config(15_000))]

    #[test]
    fn messages_of_the_pair_are_refused_or_encode_to_the_same(
        down in to_backup(), up in to_primary(), changes in changes(3),
    ) {
        survives(&down, |bytes| apply(bytes, &changes))?;
        survives(&up, |bytes| apply(bytes, &changes))?;
    }

    #[test]
    fn orders_are_refused_or_encode_to_the_same(order in to_proxy(), answer in to_replica(), changes in changes(3)) {
        survives(&order, |bytes| apply(bytes, &changes))?;
        survives(&answer, |bytes| apply(bytes, &changes))?;
    }

    #[test]
    fn arbitrary_bytes_are_messages_that_encode_to_the_same_or_refused(
        tag in 0..12u32, words in prop::collection::vec(prop_oneof![0..9u64, any::<u64>()], 0..12), cut in 0..8usize,
    ) {
        let mut bytes = tag.to_le_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        canonical::<ToBackup>(&bytes)?;
        canonical::<ToPrimary>(&bytes)?;
        canonical::<ToProxy>(&bytes)?;
        canonical::<ToReplica>(&bytes)?;
    }

    #[test]
    fn a_changed_channel_gives_the_same_in_pieces_and_at_once(
        items in prop::collection::vec((to_backup(), prop::option::of(bytes())), 1..5), changes in changes(3), size in 1..80usize,
    ) {
        let mut wire = Vec::new();
        for (message, frame) in &items {
            channel::write_message(&mut wire, message).unwrap();
            if let Some(frame) = frame {
                channel::write_frame(&mut wire, frame).unwrap();
            }
        }
        apply(&mut wire, &changes);
        let (found, peak) = measured(|| at_once(&wire));
        // What was read stays; an envelope that claims more takes 1 MiB at first, and a message what it may have.
        prop_assert!(peak <= MAX_MESSAGE + (2 << 20) + 64 * wire.len(), "{} bytes of memory for {}", peak, wire.len());
        prop_assert_eq!(&found, &in_pieces(&wire, size));
        let mut again = Vec::new();
        for item in &found {
            match item {
                FromPrimary::Message(message) => channel::write_message(&mut again, message).unwrap(),
                FromPrimary::Frame(frame) => channel::write_frame(&mut again, frame).unwrap(),
            }
        }
        prop_assert_eq!(&again[..], &wire[..again.len()]);
        let mut stream = &wire[..];
        while let Ok(message) = channel::read_from_backup(&mut stream) {
            prop_assert!(codec::encode(&message).unwrap().len() < wire.len());
        }
    }

    #[test]
    fn a_preamble_has_one_form(changes in changes(2)) {
        let mut bytes = channel::preamble().to_vec();
        apply(&mut bytes, &changes);
        let sound = bytes.starts_with(&channel::preamble());
        prop_assert_eq!(channel::read_preamble(&mut bytes.as_slice()).is_ok(), sound);
    }

    #[test]
    fn a_heartbeat_with_a_sound_checksum_is_refused_or_encodes_to_the_same(
        log_id in any::<u64>(), epoch in any::<u64>(), counter in any::<u64>(), role in role(), changes in changes(2),
    ) {
        let mut bytes = Heartbeat { log_id, epoch: Epoch(epoch), role, counter }.encode().to_vec();
        apply(&mut bytes, &changes);
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(body).to_le_bytes();
        }
        if let Ok(heartbeat) = Heartbeat::decode(&bytes) {
            prop_assert_eq!(&heartbeat.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn a_resume_header_is_refused_or_encodes_to_the_same(epoch in any::<u64>(), conn in connection(), changes in changes(2)) {
        let mut bytes = ResumeHeader { epoch: Epoch(epoch), conn }.encode().to_vec();
        apply(&mut bytes, &changes);
        if let Some(header) = bytes.first_chunk().and_then(ResumeHeader::decode) {
            prop_assert!(bytes.starts_with(&header.encode()));
        }
    }
}
