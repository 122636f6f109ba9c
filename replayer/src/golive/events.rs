//! eventfds, inotify, epoll sets.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use common::abi;
use common::kernel::{DescriptionId, Epoll, EventFd, Inotify, Item, ItemKey, Object};

use super::{GoLiveError, Revival, SCRATCH_LEN, made, sys};

/// Bytes of the packed struct epoll_event of x86-64.
const EVENT_LEN: usize = 12;
/// Flags of an item that are no events.
const PRIVATE: u32 = (libc::EPOLLONESHOT | libc::EPOLLET | libc::EPOLLWAKEUP | libc::EPOLLEXCLUSIVE).cast_unsigned();
/// Watch descriptors that are skipped at most, to reach the one that the server knows.
const MAX_SKIPPED: i32 = 100_000;

pub(super) fn eventfd(counter: &EventFd) -> Result<OwnedFd, GoLiveError> {
    let make = || -> io::Result<OwnedFd> {
        let mut fd = File::from(if counter.semaphore { sys::semaphore() } else { sys::eventfd() }?);
        if counter.count > 0 {
            fd.write_all(&counter.count.to_le_bytes())?;
        }
        Ok(fd.into())
    };
    make().map_err(made("an eventfd"))
}

/// Watches `path` so that the watch has the number that the server knows. The kernel numbers watches upwards and uses none
/// again: those between are made and removed.
fn watch_as(fd: &OwnedFd, path: &std::path::Path, mask: u32, wanted: i32) -> io::Result<()> {
    for _ in 0..MAX_SKIPPED {
        let wd = sys::watch(fd.as_fd(), path, mask & !libc::IN_MASK_ADD)?;
        if wd == wanted {
            return Ok(());
        }
        sys::unwatch(fd.as_fd(), wd)?;
        if wd > wanted {
            break;
        }
        // Each removal leaves an event; the queue is empty otherwise.
        let mut event = [0; 4096];
        File::from(fd.try_clone()?).read(&mut event).map(drop)?;
    }
    Err(io::Error::other(format!("watch {wanted} cannot have its number again")))
}

impl Revival<'_> {
    pub(super) fn inotify(&mut self, id: DescriptionId, inotify: &Inotify) -> Result<OwnedFd, GoLiveError> {
        let fd = sys::inotify().map_err(made("an inotify descriptor"))?;
        for (&wd, watch) in &inotify.watches {
            if let Err(error) = watch_as(&fd, watch.path.as_path(), watch.mask, wd) {
                self.lose(id, format!("the watch of {}", watch.path), format!("could not be set again: {error}"));
            }
        }
        Ok(fd)
    }

    /// Adds the items, inside the server: an item is known by the number there, and a signalfd waits for the signals of
    /// the process that adds it.
    pub(super) fn fill_epoll_sets(&mut self) -> Result<(), GoLiveError> {
        for (id, description) in self.kernel.descriptors().descriptions() {
            let Some(&(set, _)) = self.numbers.get(&id).and_then(|numbers| numbers.first()) else {
                continue;
            };
            if let Object::Epoll(epoll) = &description.object {
                self.fill_epoll(id, set, epoll)?;
            }
        }
        Ok(())
    }

    fn fill_epoll(&mut self, id: DescriptionId, set: i32, epoll: &Epoll) -> Result<(), GoLiveError> {
        // Those that have fired come first: while they are alone, what the set returns can only be the one just added.
        let (armed, fired): (Vec<_>, Vec<_>) = epoll.items.iter().partition(|(_, item)| item.armed);
        for (key, item) in fired {
            self.with_number(id, key, |revival| revival.add_fired(set, key.fd, item))?;
        }
        let (usual, renamed): (Vec<_>, Vec<_>) = armed.into_iter().partition(|(key, _)| self.is_known_by(key));
        for some in usual.chunks(SCRATCH_LEN / EVENT_LEN) {
            let events: Vec<u8> = some.iter().flat_map(|(_, item)| event(item.events, item.data)).collect();
            let address = self.server.bytes(&events)?;
            for (index, (key, _)) in some.iter().enumerate() {
                let added = self.epoll_ctl(set, libc::EPOLL_CTL_ADD, key.fd, address + (index * EVENT_LEN) as u64)?;
                self.judge(id, key, added);
            }
        }
        for (key, item) in renamed {
            self.with_number(id, key, |revival| {
                let address = revival.server.bytes(&event(item.events, item.data))?;
                revival.epoll_ctl(set, libc::EPOLL_CTL_ADD, key.fd, address)
            })?;
        }
        Ok(())
    }

    fn is_known_by(&self, key: &ItemKey) -> bool {
        self.kernel.descriptors().entry(key.fd).is_some_and(|entry| entry.description == key.description)
    }

    fn epoll_ctl(&mut self, set: i32, operation: i32, fd: i32, event: u64) -> Result<io::Result<u64>, GoLiveError> {
        let args = [abi::word(set), abi::word(operation), abi::word(fd), event, 0, 0];
        self.server.try_run(libc::SYS_epoll_ctl, args)
    }

    fn judge(&mut self, set: DescriptionId, key: &ItemKey, result: io::Result<u64>) {
        if let Err(error) = result {
            self.lose(set, format!("descriptor {} in an epoll set", key.fd), format!("could not be added: {error}"));
        }
    }

    /// Does something while the item's number means the item's description. It may mean another by now: that one steps
    /// aside meanwhile.
    fn with_number(
        &mut self,
        set: DescriptionId,
        key: &ItemKey,
        add: impl FnOnce(&mut Self) -> Result<io::Result<u64>, GoLiveError>,
    ) -> Result<(), GoLiveError> {
        if self.is_known_by(key) {
            let added = add(self)?;
            self.judge(set, key, added);
            return Ok(());
        }
        let Some(&(other, _)) = self.numbers.get(&key.description).and_then(|numbers| numbers.first()) else {
            return Ok(());
        };
        let aside = match self.kernel.descriptors().entry(key.fd) {
            Some(entry) => {
                let number = self.server.run("dup", libc::SYS_dup, [abi::word(key.fd), 0, 0, 0, 0, 0])?;
                Some((number, entry.cloexec))
            }
            None => None,
        };
        self.server.dup(other, key.fd, false)?;
        let added = add(self)?;
        self.judge(set, key, added);
        match aside {
            Some((number, cloexec)) => {
                self.server.dup(abi::int(number), key.fd, cloexec)?;
                self.server.run("close", libc::SYS_close, [number, 0, 0, 0, 0, 0])?;
            }
            None => {
                self.server.run("close", libc::SYS_close, [abi::word(key.fd), 0, 0, 0, 0, 0])?;
            }
        }
        Ok(())
    }

    /// Adds a one-shot item that has fired. The kernel has no call for that: the item is added so that it fires, and what
    /// it fires is taken. Where nothing is ready it waits for nothing but errors from then on.
    fn add_fired(&mut self, set: i32, fd: i32, item: &Item) -> Result<io::Result<u64>, GoLiveError> {
        let ready = (libc::EPOLLIN | libc::EPOLLOUT) as u32 | item.events & PRIVATE;
        let address = self.server.bytes(&event(ready, item.data))?;
        let added = self.epoll_ctl(set, libc::EPOLL_CTL_ADD, fd, address)?;
        if added.is_err() {
            return Ok(added);
        }
        let wait = [abi::word(set), address, 1, 0, 0, 0];
        if self.server.run("epoll_wait", libc::SYS_epoll_wait, wait)? == 1 {
            return Ok(added);
        }
        let address = self.server.bytes(&event(item.events & PRIVATE, item.data))?;
        self.epoll_ctl(set, libc::EPOLL_CTL_MOD, fd, address)
    }
}

fn event(events: u32, data: u64) -> [u8; EVENT_LEN] {
    let mut bytes = [0; EVENT_LEN];
    bytes[..4].copy_from_slice(&events.to_le_bytes());
    bytes[4..].copy_from_slice(&data.to_le_bytes());
    bytes
}
