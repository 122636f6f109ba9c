//! What must hold of every model, whatever the records were.

use super::{Kernel, Object, TcpState};

impl Kernel {
    /// The first rule that is broken.
    pub(super) fn check(&self) -> Result<(), String> {
        let table = &self.descriptors;
        for (fd, entry) in table.numbers() {
            if fd < 0 || table.description(entry.description).is_none() {
                return Err(format!("descriptor {fd} refers to nothing"));
            }
        }
        for (id, description) in table.descriptions() {
            let numbers = table.numbers().filter(|(_, entry)| entry.description == id).count();
            if numbers == 0 || u32::try_from(numbers) != Ok(description.references) {
                return Err(format!("{id:?} counts {} references, {numbers} exist", description.references));
            }
            match &description.object {
                Object::Epoll(epoll) => {
                    if let Some(dead) = epoll.items.keys().find(|key| table.description(key.description).is_none()) {
                        return Err(format!("{id:?} waits for {dead:?}, which is closed"));
                    }
                }
                Object::PipeReader(pipe) if self.pipes.get(*pipe).is_none_or(|pipe| !pipe.reader) => {
                    return Err(format!("{id:?} reads a pipe that has no reader"));
                }
                Object::PipeWriter(pipe) if self.pipes.get(*pipe).is_none_or(|pipe| !pipe.writer) => {
                    return Err(format!("{id:?} writes a pipe that has no writer"));
                }
                Object::Tcp(socket) => match socket.state {
                    TcpState::Accepted(conn) if !self.connections.is_open(conn) => {
                        return Err(format!("{id:?} is {conn}, which is not open"));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let open =
            |object: &Object| matches!(object, Object::Tcp(socket) if matches!(socket.state, TcpState::Accepted(_)));
        let sockets = table.descriptions().filter(|(_, d)| open(&d.object)).count();
        let connections = self.connections.iter().filter(|progress| !progress.closed).count();
        if sockets != connections {
            return Err(format!("{connections} open connections, {sockets} sockets"));
        }
        let ends = |d: &Object| matches!(d, Object::PipeReader(_) | Object::PipeWriter(_));
        let ends = table.descriptions().filter(|(_, d)| ends(&d.object)).count();
        let expected: usize =
            self.pipes.iter().map(|(_, pipe)| usize::from(pipe.reader) + usize::from(pipe.writer)).sum();
        if ends != expected {
            return Err(format!("{ends} ends of pipes, expected {expected}"));
        }
        Ok(())
    }
}
