//! The server becomes another program: the record holds what that is, and the replica becomes it.

use common::ids::Lsn;
use common::kernel::Kernel;
use common::record::{Record, SegmentRole};
use common::snapshot::{CHUNK_LEN, ContentStore, Manifest, MemoryStore};
use common::syscall::{self, nr};
use tracer::files::FileAreas;
use tracer::inject::Session;
use tracer::instructions::Sites;
use tracer::interceptor::patches::Patches;
use tracer::tracee::{call_of, checked};

use super::{At, Driver, ReplayError};
use crate::restore::{self, RestoreError};

impl Driver {
    pub(super) fn exec(&mut self, lsn: Lsn, record: &Record, kernel: &Kernel) -> Result<(), ReplayError> {
        let (stopped, regs) = self.arrive(lsn, record)?;
        let call = call_of(&regs);
        let shape = match syscall::resolve(call.number, &call.args) {
            Ok(shape) if [nr::EXECVE, nr::EXECVEAT].contains(&shape.number) => shape,
            _ => return Err(self.diverged(lsn, record, "execve or execveat", "another call", Some(regs))),
        };
        let gathered = syscall::at_entry(shape, &call.args, &checked(&regs), &stopped);
        self.same_inputs(lsn, record, &gathered, &regs, &call)?;
        let check = syscall::at_exit(&gathered, shape, &call.args, 0, &stopped).map_or(0, |(_, check)| check);
        let [arguments, environment] = syscall::exec::arrays(shape.number, &call.args);
        let check = syscall::exec::check(check, arguments, environment, &stopped);
        if check != record.check {
            let expected = format!("digest {:#018x} of its arguments and environment", record.check);
            return Err(self.diverged(lsn, record, expected, format!("{check:#018x}"), Some(regs)));
        }
        let (manifest, contents) = match image(record) {
            Ok(image) => image,
            Err(found) => return Err(self.diverged(lsn, record, "a whole program", found, None)),
        };
        let mut after = kernel.clone();
        if let Err(error) = after.apply(record) {
            return Err(self.diverged(lsn, record, "an exec that the model can follow", error.to_string(), None));
        }
        let session = self.mapped.close(Session::begin(stopped, regs))?;
        let (stopped, _) = session.end()?;
        let stopped = restore::replace(stopped, &manifest, &after, kernel, &contents)?;
        (self.sites, self.patches) = (Sites::default(), Patches::default());
        self.file_areas = FileAreas::in_snapshot(&manifest.memory);
        (self.returned, self.restart) = (None, None);
        self.overwritten.clear();
        self.at = At::Ready(stopped, 0);
        Ok(())
    }
}

/// The program in a record, or what is wrong with it.
fn image(record: &Record) -> Result<(Manifest, MemoryStore), String> {
    let bytes = record.bytes_of(SegmentRole::Snapshot).ok_or("none")?;
    let manifest = Manifest::decode(bytes).map_err(|error| error.to_string())?;
    let mut contents = MemoryStore::default();
    for segment in record.segments.iter().filter(|segment| segment.role == SegmentRole::Out) {
        if segment.bytes.len() > CHUNK_LEN {
            return Err(format!("a piece of {} bytes", segment.bytes.len()));
        }
        contents.put(&segment.bytes).map_err(|error: common::snapshot::StoreError| error.to_string())?;
    }
    match manifest.missing(&contents).map_err(|error| error.to_string())?.first() {
        Some(hash) => Err(RestoreError::Missing(*hash).to_string()),
        None => Ok((manifest, contents)),
    }
}

#[cfg(test)]
mod tests {
    use common::cpu::CpuFeatures;
    use common::record::{Kind, Segment};
    use common::snapshot::{Area, Chunk, ContentHash, Layout};

    use super::*;

    fn segment(role: SegmentRole, bytes: Vec<u8>) -> Segment {
        Segment { address: 0, role, arg: 0, bytes }
    }

    /// A program of one page, in a record.
    fn sound() -> Record {
        let page = vec![7; 4096];
        let area = Area {
            start: 0x40_0000,
            end: 0x40_1000,
            prot: 5,
            flags: Area::PRIVATE,
            name: "/bin/server".into(),
            chunks: vec![Chunk::Hash(ContentHash::of(&page))],
        };
        let manifest = Manifest {
            log_id: 0,
            lsn: Lsn(0),
            cpu: CpuFeatures::new("GenuineIntel", Vec::new(), 7, 832),
            memory: vec![area],
            registers: vec![1; 216],
            xstate: vec![2; 832],
            layout: Layout::default(),
            kernel: Vec::new(),
            limits: Vec::new(),
            command: Vec::new(),
            cwd: String::new(),
        };
        let mut record = Record::new(Kind::Exec, nr::EXECVE, 0);
        record.segments.push(segment(SegmentRole::Out, page));
        record.segments.push(segment(SegmentRole::Snapshot, manifest.encode().unwrap()));
        record
    }

    #[test]
    fn only_a_whole_program_is_taken() {
        assert_eq!(image(&sound()).unwrap().0.memory.len(), 1);
        let refused = |change: fn(&mut Vec<Segment>)| {
            let mut record = sound();
            change(&mut record.segments);
            image(&record).unwrap_err()
        };
        assert!(refused(|segments| drop(segments.remove(0))).contains("is not there"));
        assert_eq!(refused(|segments| drop(segments.pop())), "none");
        assert!(refused(|segments| segments[0].bytes[5] ^= 1).contains("is not there"));
        assert!(refused(|segments| segments[0].bytes.resize(CHUNK_LEN + 1, 0)).contains("65537 bytes"));
        for at in 0..sound().segments[1].bytes.len() {
            let mut record = sound();
            record.segments[1].bytes[at] ^= 1;
            assert!(image(&record).is_err(), "byte {at}");
        }
    }
}
