//! A server may call anything with any arguments, and a forged log may claim any result: neither makes a replica panic.

use common::digest::REGISTERS;
use common::record::{Kind, Record, Segment, SegmentRole};
use common::syscall::{Fault, Memory, Shape, at_entry, at_exit, nr, operations, outputs, resolve, table};
use proptest::prelude::*;

const BASE: u64 = 0x10000;
const LENGTH: usize = 0x4000;

/// Some memory at [`BASE`], and nothing elsewhere.
#[derive(Debug)]
struct Few(Vec<u8>);

impl Memory for Few {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let fault = Fault { address, length: buffer.len() };
        let start = usize::try_from(address.checked_sub(BASE).ok_or(fault)?).map_err(|_| fault)?;
        let end = start.checked_add(buffer.len()).ok_or(fault)?;
        buffer.copy_from_slice(self.0.get(start..end).ok_or(fault)?);
        Ok(())
    }
}

fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => BASE..BASE + LENGTH as u64 + 64,
        3 => 0..40u64,
        1 => Just(u64::MAX),
        1 => any::<u64>(),
        1 => any::<u32>().prop_map(u64::from),
    ]
}

fn memory() -> impl Strategy<Value = Few> {
    // Words that are likely to be pointers into the same memory, or lengths.
    prop::collection::vec(value(), LENGTH / 8)
        .prop_map(|words| Few(words.into_iter().flat_map(u64::to_le_bytes).collect()))
}

fn shapes() -> Vec<&'static Shape> {
    table::all().chain(operations::all().flat_map(|operations| operations.shapes())).collect()
}

fn record() -> impl Strategy<Value = Record> {
    let kind = prop::sample::select(vec![Kind::Call, Kind::Signal, Kind::Instruction, Kind::Patch, Kind::End]);
    let role = prop::sample::select(vec![SegmentRole::In, SegmentRole::Out, SegmentRole::Sent, SegmentRole::SigInfo]);
    let segment = (prop_oneof![Just(0), any::<u64>()], role, any::<u16>(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(address, role, arg, bytes)| Segment { address, role, arg, bytes });
    let args = (any::<[u64; 6]>(), 0..64u8);
    let flags = (any::<u64>(), any::<bool>());
    (kind, any::<u16>(), any::<i64>(), flags, args, prop::collection::vec(segment, 0..4)).prop_map(
        |(kind, number, result, (check, fast), (args, logged), segments)| Record {
            check,
            fast: fast && kind == Kind::Call,
            segments,
            ..Record::new(kind, number, result).with_logged(&args, logged)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_arguments_and_results_are_borne(
        memory in memory(),
        args in prop::array::uniform6(value()),
        result in prop_oneof![0..5000i64, -600..0i64, any::<i64>()],
    ) {
        for shape in shapes() {
            let gathered = at_entry(shape, &args, &[7; REGISTERS], &memory);
            // An error of theirs is a fault that is named; what counts is that they return.
            let _ = at_exit(&gathered, shape, &args, result, &memory);
            let _ = outputs(&gathered, shape, &args, result, &memory);
            let _ = outputs(&gathered, shape, &args, -i64::from(libc::EFAULT), &memory);
            let _ = gathered.sends_descriptors(&memory);
        }
    }
}

proptest! {
    #[test]
    fn any_call_is_resolved_or_refused(number in prop_oneof![0..500u64, any::<u64>()], args in prop::array::uniform6(value())) {
        if let Err(refusal) = resolve(number, &args) {
            prop_assert!(refusal.errno > 0 && !refusal.what.is_empty());
        }
    }

    #[test]
    fn an_operation_is_the_one_of_its_value_or_refused_by_name(
        operations in prop::sample::select(operations::all().collect::<Vec<_>>()),
        known in any::<prop::sample::Index>(),
        other in any::<u32>(),
        choice in any::<bool>(),
        upper in any::<u32>(),
    ) {
        let all = operations.all();
        // Modifiers of a futex are no part of the operation.
        let value = if choice { all[known.index(all.len())].value } else { u64::from(other) & !(128 | 256) };
        let upper = u64::from(upper) << 32;
        let args = match operations.number() {
            nr::SETSOCKOPT | nr::GETSOCKOPT => [0, value >> 32 | upper, value & 0xffff_ffff | upper, 0, 0, 0],
            _ => [value | upper; 6],
        };
        match (all.iter().find(|operation| operation.value == value), resolve(operations.number().into(), &args)) {
            (Some(operation), Ok(shape)) => prop_assert_eq!(operation.shape.as_ref(), Some(shape)),
            (Some(operation), Err(refusal)) => {
                prop_assert!(operation.shape.is_none());
                prop_assert_eq!((refusal.what.as_str(), refusal.errno), (operation.name, operations.errno()));
            }
            (None, Err(refusal)) => {
                prop_assert!(refusal.what.starts_with(operations.name()) && refusal.errno == operations.errno());
            }
            (None, Ok(shape)) => prop_assert!(false, "{value:#x} is {}", shape.name),
        }
    }

    #[test]
    fn what_a_call_is_does_not_hang_on_what_is_not_logged(
        shape in prop::sample::select(shapes()),
        args in prop::array::uniform6(value()),
    ) {
        prop_assert_eq!(shape.recomputed >> shape.nargs, 0, "{}", shape.name);
        if let Ok(resolved) = resolve(shape.number.into(), &args) {
            let record = Record::new(Kind::Call, shape.number, 0).with_logged(&args, resolved.logged());
            prop_assert_eq!(resolve(shape.number.into(), &record.args), Ok(resolved));
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_record_or_one(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((record, length)) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode_into(&mut again);
            prop_assert_eq!(&again[..], &bytes[..length]);
        }
    }

    #[test]
    fn a_damaged_record_is_refused_or_another_one(record in record(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut bytes = Vec::new();
        record.encode_into(&mut bytes);
        prop_assert_eq!(&Record::decode(&bytes), &Ok((record.clone(), bytes.len())));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // No form hides a damage: what still decodes decodes to something else.
        if let Ok((found, _)) = Record::decode(&bytes) {
            prop_assert_ne!(found, record);
        }
    }
}
