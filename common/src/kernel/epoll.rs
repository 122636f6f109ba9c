//! Epoll sets (epoll_ctl(2)).
//!
//! An item belongs to a pair of number and description, as in the kernel: it outlives the number when another number keeps
//! the description, and ends with the description.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kernel;
use super::call::{Call, ModelError, u32_at, u64_at};
use super::descriptor::{DescriptionId, Object};

const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
/// Bytes of the packed struct epoll_event of x86-64.
const EVENT_LEN: usize = 12;

/// What an item is known by. Ordered by description, so that all items of one stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ItemKey {
    /// The description waited for.
    pub description: DescriptionId,
    /// The number by which it was added; it may mean something else by now.
    pub fd: i32,
}

/// One item of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Events and flags as given.
    pub events: u32,
    /// The server's data.
    pub data: u64,
    /// False once an EPOLLONESHOT item has fired.
    pub armed: bool,
}

/// An epoll set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epoll {
    /// Its items.
    pub items: BTreeMap<ItemKey, Item>,
    /// How many of them have EPOLLONESHOT: without any, what epoll_wait returns changes nothing.
    oneshots: u32,
}

impl Epoll {
    fn set(&mut self, key: ItemKey, item: Item) {
        self.remove(key);
        self.oneshots += u32::from(item.events & ONESHOT != 0);
        self.items.insert(key, item);
    }

    fn remove(&mut self, key: ItemKey) -> Option<Item> {
        let old = self.items.remove(&key)?;
        self.oneshots -= u32::from(old.events & ONESHOT != 0);
        Some(old)
    }

    /// Drops all items of a description that has ended.
    pub(super) fn forget(&mut self, description: DescriptionId) {
        let all = ItemKey { description, fd: i32::MIN }..=ItemKey { description, fd: i32::MAX };
        let keys: Vec<ItemKey> = self.items.range(all).map(|(&key, _)| key).collect();
        for key in keys {
            self.remove(key);
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let found = self.items.values().filter(|item| item.events & ONESHOT != 0).count();
        if u32::try_from(found) == Ok(self.oneshots) {
            return Ok(());
        }
        Err(format!("counts {} one-shot items, {found} exist", self.oneshots))
    }

    /// The set returned an event with this data: one-shot items that carry it wait no more.
    fn fired(&mut self, data: u64) {
        if self.oneshots > 0 {
            for item in self.items.values_mut().filter(|item| item.events & ONESHOT != 0 && item.data == data) {
                item.armed = false;
            }
        }
    }
}

impl Kernel {
    pub(super) fn epoll_create(&mut self, call: &Call<'_>, flags: i32) -> Result<(), ModelError> {
        let cloexec = flags & libc::EPOLL_CLOEXEC != 0;
        self.descriptors.open(call, call.made()?, Object::Epoll(Epoll::default()), libc::O_RDWR, cloexec)?;
        Ok(())
    }

    pub(super) fn epoll_ctl(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let fd = call.int(2);
        let key = ItemKey { description: self.descriptors.id(call, fd)?, fd };
        let epoll = self.epoll_mut(call)?;
        let there = epoll.items.contains_key(&key);
        let operation = call.int(1);
        match operation {
            libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD => {
                if there != (operation == libc::EPOLL_CTL_MOD) {
                    let expected = if there { "an item to change" } else { "an item to add" };
                    return Err(call.inconsistent(expected, format_args!("operation {operation} on descriptor {fd}")));
                }
                let event = call.input_array::<EVENT_LEN>(3)?;
                let item = Item { events: u32_at(&event, 0), data: u64_at(&event, 4), armed: true };
                epoll.set(key, item);
                Ok(())
            }
            libc::EPOLL_CTL_DEL => epoll
                .remove(key)
                .map(drop)
                .ok_or_else(|| call.inconsistent("an item in the set", format_args!("descriptor {fd}, not in it"))),
            _ => Err(call.inconsistent("operation 1, 2 or 3", operation)),
        }
    }

    pub(super) fn epoll_wait(&mut self, call: &Call<'_>) -> Result<(), ModelError> {
        let epoll = self.epoll_mut(call)?;
        if epoll.oneshots > 0 {
            for event in call.output(1).chunks_exact(EVENT_LEN) {
                epoll.fired(u64_at(event, 4));
            }
        }
        Ok(())
    }

    fn epoll_mut(&mut self, call: &Call<'_>) -> Result<&mut Epoll, ModelError> {
        let fd = call.int(0);
        match &mut self.descriptors.get_mut(call, fd)?.object {
            Object::Epoll(epoll) => Ok(epoll),
            other => Err(call.inconsistent("an epoll set", format_args!("descriptor {fd}, {}", other.kind()))),
        }
    }
}
