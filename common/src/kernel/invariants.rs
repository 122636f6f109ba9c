//! What must hold of every model, whatever the records were.

use std::collections::{BTreeMap, BTreeSet};

use super::{DescriptionId, Kernel, Object, TcpState};

impl Kernel {
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_descriptors()?;
        self.check_sockets()?;
        self.check_pipes()?;
        self.posix_timers.check()?;
        self.memory_locks.check()
    }

    /// Whether ids are left for everything that a log can make.
    pub(super) fn check_ids(&self) -> Result<(), String> {
        const LEFT: u64 = 1 << 48;
        let next = [self.descriptors.next_id(), self.pipes.next_id(), self.next_listener];
        if next.iter().any(|&id| id > u64::MAX - LEFT) {
            return Err(format!("the next description, pipe and listener are {next:?}"));
        }
        Ok(())
    }

    fn check_descriptors(&self) -> Result<(), String> {
        let table = &self.descriptors;
        let mut numbers: BTreeMap<DescriptionId, u32> = BTreeMap::new();
        for (fd, entry) in table.numbers() {
            if fd < 0 || table.description(entry.description).is_none() {
                return Err(format!("descriptor {fd} refers to nothing"));
            }
            *numbers.entry(entry.description).or_default() += 1;
        }
        let mut sets = BTreeSet::new();
        for (id, description) in table.descriptions() {
            let numbers = numbers.get(&id).copied().unwrap_or(0);
            if numbers == 0 || numbers != description.references {
                return Err(format!("{id:?} counts {} references, {numbers} exist", description.references));
            }
            if let Object::Epoll(epoll) = &description.object {
                sets.insert(id);
                if let Some(dead) = epoll.items.keys().find(|key| table.description(key.description).is_none()) {
                    return Err(format!("{id:?} waits for {dead:?}, which is closed"));
                }
                epoll.check().map_err(|rule| format!("{id:?} {rule}"))?;
            }
        }
        table.check(&sets)
    }

    fn check_sockets(&self) -> Result<(), String> {
        let mut connections = BTreeSet::new();
        for (id, description) in self.descriptors.descriptions() {
            let Object::Tcp(socket) = &description.object else { continue };
            if let TcpState::Accepted(conn) = socket.state {
                if !self.connections.is_open(conn) {
                    return Err(format!("{id:?} is {conn}, which is not open"));
                }
                if !connections.insert(conn) {
                    return Err(format!("{id:?} is {conn}, as another socket is"));
                }
            }
            if let Some(bound) = socket.bound()
                && bound.id.0 >= self.next_listener
            {
                return Err(format!("{id:?} is bound as {}, the next is {}", bound.id.0, self.next_listener));
            }
        }
        let open = self.connections.iter().filter(|progress| !progress.closed).count();
        if connections.len() != open {
            return Err(format!("{open} open connections, {} sockets", connections.len()));
        }
        Ok(())
    }

    fn check_pipes(&self) -> Result<(), String> {
        let mut ends = BTreeSet::new();
        for (id, description) in self.descriptors.descriptions() {
            let (pipe, reads) = match description.object {
                Object::PipeReader(pipe) => (pipe, true),
                Object::PipeWriter(pipe) => (pipe, false),
                _ => continue,
            };
            if self.pipes.get(pipe).is_none_or(|pipe| if reads { !pipe.reader } else { !pipe.writer }) {
                return Err(format!("{id:?} is the end of {pipe:?} that it has not"));
            }
            if !ends.insert((pipe, reads)) {
                return Err(format!("{id:?} is an end of {pipe:?}, as another one is"));
            }
        }
        let expected: usize =
            self.pipes.iter().map(|(_, pipe)| usize::from(pipe.reader) + usize::from(pipe.writer)).sum();
        if ends.len() != expected {
            return Err(format!("{} ends of pipes, expected {expected}", ends.len()));
        }
        self.pipes.check()
    }
}
