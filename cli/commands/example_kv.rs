//! The key-value server of the demonstration: one thread, one epoll set, text lines.
//!
//! `SET key value` answers `OK`, `GET key` the value or `NONE`, `INCR key` the new number. It is an ordinary server: nothing
//! in it knows of ftrun.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use common::abi;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::args::ExampleKv;
use crate::exit::Exit;

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

pub fn run(args: ExampleKv) -> Result<Exit> {
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let listening = abi::word(listener.as_raw_fd());
    epoll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, listening))?;
    let mut clients: BTreeMap<u64, Client> = BTreeMap::new();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        for event in &events[..ready] {
            if event.data() == listening {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let number = abi::word(stream.as_raw_fd());
                    epoll.add(stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, number))?;
                    clients.insert(number, Client { stream, input: Vec::new(), output: Vec::new() });
                }
            } else if let Some(client) = clients.get_mut(&event.data()) {
                let open = client.serve(&mut values);
                let wants = if client.output.is_empty() { EpollFlags::EPOLLIN } else { EpollFlags::EPOLLOUT };
                if open {
                    epoll.modify(client.stream.as_fd(), &mut EpollEvent::new(wants, event.data()))?;
                } else {
                    epoll.delete(client.stream.as_fd())?;
                    clients.remove(&event.data());
                }
            }
        }
    }
}

impl Client {
    /// Reads what is there, answers what is whole. False once the client has gone.
    fn serve(&mut self, values: &mut BTreeMap<String, String>) -> bool {
        let mut buffer = [0; 4096];
        while self.output.is_empty() {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(len) => self.input.extend(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
            while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let answer = answer(&String::from_utf8_lossy(&line), values);
                self.output.extend(answer.as_bytes());
                self.output.push(b'\n');
            }
            self.flush();
        }
        self.flush()
    }

    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

fn answer(line: &str, values: &mut BTreeMap<String, String>) -> String {
    let mut words = line.trim_end().splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("SET"), Some(key), Some(value)) => {
            values.insert(key.to_owned(), value.to_owned());
            "OK".to_owned()
        }
        (Some("GET"), Some(key), None) => values.get(key).cloned().unwrap_or_else(|| "NONE".to_owned()),
        (Some("INCR"), Some(key), None) => {
            let value = values.entry(key.to_owned()).or_default();
            *value = (value.parse::<u64>().unwrap_or(0) + 1).to_string();
            value.clone()
        }
        _ => "ERROR expected: SET key value, GET key, INCR key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_and_keeps() {
        let mut values = BTreeMap::new();
        assert_eq!(answer("INCR n\n", &mut values), "1");
        assert_eq!(answer("INCR n\n", &mut values), "2");
        assert_eq!(answer("SET k a b\n", &mut values), "OK");
        assert_eq!(answer("GET k\n", &mut values), "a b");
        assert_eq!(answer("GET x\n", &mut values), "NONE");
        assert!(answer("PUT\n", &mut values).starts_with("ERROR"));
    }
}
