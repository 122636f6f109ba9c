//! Sockets: listeners and connections behind the proxy, and those that are none of its business.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::service::{Service, Strike, same_as_native, same_when};
use crate::support::group::Victim;
use crate::support::wire::Wire;
use crate::support::{DEADLINE, free_address};

const SERVER: &str = "network";
const LARGE: usize = 5_000_000;

/// What the server sends, and expects, at an offset of something large.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at % 7 + at / 4096 % 19) as u8).collect()
}

fn same(drive: impl Fn(&mut Service) -> Result<()>) {
    same_as_native(SERVER, 2, drive);
}

/// Connects to the second listener and has the server accept it. Odd slots are non-blocking.
fn accepted(service: &mut Service, slot: usize) -> Result<Wire> {
    let wire = service.connect(1, &format!("slot {slot}"))?;
    service.ask(&format!("accept {slot}"))?;
    Ok(wire)
}

/// A plain socket, for what a [`Wire`] does not do.
fn accepted_plain(service: &mut Service, slot: usize) -> Result<TcpStream> {
    let stream = TcpStream::connect(service.address(1))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    service.ask(&format!("accept {slot}"))?;
    Ok(stream)
}

fn reset(stream: TcpStream) -> Result<()> {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &at_once)?;
    drop(stream);
    Ok(())
}

#[test]
fn connections_of_both_kinds_and_their_names_go_on() {
    same(|service| {
        let mut blocking = accepted(service, 0)?;
        let mut nonblocking = accepted(service, 1)?;
        blocking.send(b"before")?;
        nonblocking.send(b"too")?;
        service.ask_all(&["recv 0 6", "recv 1 3", "send 0 answer", "names 0", "names 1"])?;
        service.kill()?;
        service.ask_all(&["names 0", "names 1", "send 1 after", "send 0 as well"])?;
        blocking.send(b"more")?;
        nonblocking.send(b"and more")?;
        service.ask_all(&["recv 1 8", "recv 0 4"])?;
        blocking.expect(b"answeras well")?;
        nonblocking.expect(b"after")?;
        // The listeners are there, both of them.
        let mut new = accepted(service, 2)?;
        new.send(b"new")?;
        service.ask_all(&["recv 2 3", "names 2", "close 0", "close 1", "close 2"])?;
        blocking.ended()?;
        nonblocking.ended()?;
        new.ended()
    });
}

#[test]
fn options_stay_set_and_others_unset() {
    same(|service| {
        let _wire = accepted(service, 0)?;
        service.ask_all(&["set 0", "get 0"])?;
        service.kill()?;
        service.ask("get 0")
    });
}

/// Connections that the server has accepted and not used, and one that it has not accepted, with input in it.
#[test]
fn connections_that_were_not_used_yet_are_there() {
    same(|service| {
        let mut idle = accepted(service, 0)?;
        let mut queued = service.connect(1, "queued")?;
        queued.send(b"early input")?;
        service.kill()?;
        service.ask_all(&["accept 1", "recv 1 11", "send 1 at last", "send 0 hello"])?;
        queued.expect(b"at last")?;
        idle.expect(b"hello")
    });
}

#[test]
fn a_client_that_ended_before_is_at_its_end() {
    same(|service| {
        let mut wire = accepted_plain(service, 0)?;
        wire.write_all(b"all")?;
        wire.shutdown(std::net::Shutdown::Write)?;
        service.ask("recv 0 3")?;
        service.kill()?;
        service.ask_all(&["recv 0 1", "send 0 still heard", "close 0"])?;
        service.expect("closed")?;
        let mut text = String::new();
        wire.read_to_string(&mut text)?;
        service.note(text);
        Ok(())
    });
}

/// The end was read already: it is read again.
#[test]
fn an_end_that_was_read_is_still_there() {
    same(|service| {
        let wire = accepted_plain(service, 0)?;
        wire.shutdown(std::net::Shutdown::Write)?;
        service.ask("recv 0 1")?;
        service.kill()?;
        service.ask_all(&["recv 0 1", "close 0"])
    });
}

#[test]
fn a_client_may_end_after_the_failover() {
    same(|service| {
        let mut wire = accepted_plain(service, 1)?;
        service.kill()?;
        wire.write_all(b"then")?;
        wire.shutdown(std::net::Shutdown::Write)?;
        service.ask_all(&["recv 1 4", "recv 1 1", "send 1 heard", "close 1"])?;
        let mut text = String::new();
        wire.read_to_string(&mut text)?;
        service.note(text);
        Ok(())
    });
}

#[test]
fn a_server_that_shut_down_hears_on() {
    same(|service| {
        let mut wire = accepted_plain(service, 0)?;
        service.ask_all(&["send 0 last words", "shutdown 0 1"])?;
        service.kill()?;
        wire.write_all(b"listen")?;
        service.ask_all(&["recv 0 6", "send 0 x"])?;
        service.expect("EPIPE")?;
        let mut text = String::new();
        wire.read_to_string(&mut text)?;
        service.note(text);
        service.ask("close 0")
    });
}

/// A connection that the server closed before the kill, its answer not yet read by the client.
#[test]
fn what_a_closed_connection_said_arrives() {
    same(|service| {
        let mut wire = accepted(service, 0)?;
        service.ask_all(&["send 0 farewell", "close 0"])?;
        service.kill()?;
        service.wait_solo()?;
        wire.expect(b"farewell")?;
        wire.ended()
    });
}

#[test]
fn a_reset_by_the_server_is_a_reset() {
    same(|service| {
        let mut wire = accepted_plain(service, 0)?;
        service.ask("linger 0")?;
        service.kill()?;
        service.ask("close 0")?;
        let error = wire.read(&mut [0; 8]).err().map(|error| error.kind());
        ensure!(error == Some(ErrorKind::ConnectionReset), "{error:?}");
        Ok(())
    });
}

#[test]
fn a_reset_before_the_failover_was_one() {
    same(|service| {
        let mut wire = accepted_plain(service, 0)?;
        service.ask("reset 0")?;
        service.kill()?;
        service.wait_solo()?;
        let error = wire.read(&mut [0; 8]).err().map(|error| error.kind());
        ensure!(error == Some(ErrorKind::ConnectionReset), "{error:?}");
        Ok(())
    });
}

#[test]
fn clients_that_go_during_the_failover_are_gone() {
    same(|service| {
        let ends = accepted_plain(service, 0)?;
        let resets = accepted_plain(service, 1)?;
        let stays = accepted(service, 2)?;
        service.kill()?;
        drop(ends);
        reset(resets)?;
        service.wait_solo()?;
        service.ask_all(&["recv 0 1", "recv 1 1", "send 2 still here"])?;
        let mut stays = stays;
        stays.expect(b"still here")?;
        service.ask_all(&["close 0", "close 1", "close 2"])
    });
}

#[test]
fn two_hundred_connections_go_on() {
    same(|service| {
        const COUNT: usize = 200;
        let mut wires: Vec<Wire> =
            (0..COUNT).map(|index| service.connect(1, &format!("connection {index}"))).collect::<Result<_>>()?;
        service.ask(&format!("accept_many {COUNT}"))?;
        let round = |service: &mut Service, wires: &mut [Wire]| -> Result<()> {
            for wire in wires.iter_mut() {
                wire.send(b"A")?;
            }
            service.ask(&format!("echo_many {COUNT}"))?;
            wires.iter_mut().try_for_each(|wire| wire.expect(b"B"))
        };
        round(service, &mut wires)?;
        service.kill()?;
        round(service, &mut wires)?;
        round(service, &mut wires)
    });
}

/// The client has read a part of the answer, and the server stands in the middle of its one send.
#[test]
fn a_large_answer_half_sent_arrives_whole() {
    for slot in [0, 1] {
        same(|service| {
            let mut wire = accepted(service, slot)?;
            service.ask(&format!("large {slot} {LARGE}"))?;
            let pattern = pattern(LARGE);
            wire.expect(&pattern[..LARGE / 5])?;
            service.kill()?;
            wire.expect(&pattern[LARGE / 5..])?;
            service.more()?;
            service.ask(&format!("send {slot} end"))?;
            wire.expect(b"end")
        });
    }
}

/// The client reads nothing before the failover is over: what the primary had sent waits for it.
#[test]
fn a_large_answer_nobody_reads_does_not_hinder_others() {
    same(|service| {
        let mut slow = accepted(service, 1)?;
        let mut other = accepted(service, 2)?;
        let pattern = pattern(LARGE);
        service.ask(&format!("large 1 {}", LARGE / 5))?;
        service.more()?;
        service.kill()?;
        service.wait_solo()?;
        service.ask("send 2 quick")?;
        other.expect(b"quick")?;
        slow.expect(&pattern[..LARGE / 5])
    });
}

/// Everything between the server and a client that reads nothing is full: proxy, sockets, and what died with the primary. Its
/// connection goes on all the same, and does not hold up the others.
#[test]
fn a_client_that_reads_nothing_keeps_its_connection() {
    let outcome = Service::run(SERVER, 2, true, (Strike::AsScripted, Victim::Server), |service| {
        let mut slow = accepted(service, 1)?;
        let mut other = accepted(service, 2)?;
        service.ask("flood 1")?;
        let length: usize = service.last().parse().context("a length")?;
        println!("{length} bytes found room");
        ensure!(length > 5_000_000, "only {length} bytes found room");
        service.kill()?;
        service.ask("send 2 quick")?;
        other.expect(b"quick")?;
        slow.expect(&pattern(length))?;
        service.ask("send 1 end")?;
        slow.expect(b"end")
    });
    super::verdict(outcome.map(drop));
}

#[test]
fn a_large_request_half_read_is_read_whole() {
    for slot in [0, 1] {
        same(|service| {
            let mut wire = accepted(service, slot)?;
            service.ask(&format!("read {slot} {LARGE}"))?;
            let pattern = pattern(LARGE);
            wire.send(&pattern[..LARGE / 2])?;
            service.kill()?;
            wire.send(&pattern[LARGE / 2..])?;
            service.more()?;
            service.expect(&format!("read {LARGE}, 0 wrong"))
        });
    }
}

/// The input waits in the server's socket: it has been sent once and is sent again.
#[test]
fn input_that_waits_still_waits() {
    same(|service| {
        let mut wire = accepted(service, 0)?;
        wire.send(b"0123456789")?;
        service.ask("pending 0")?;
        service.ask("recv 0 4")?;
        service.kill()?;
        service.ask_all(&["recv 0 1", "pending 0", "recv 0 5"])
    });
}

#[test]
fn a_listener_that_was_closed_stays_closed() {
    same(|service| {
        let mut wire = accepted(service, 0)?;
        service.ask("unlisten")?;
        service.kill()?;
        service.ask("send 0 alone")?;
        wire.expect(b"alone")?;
        let refused = TcpStream::connect(service.address(1)).err().map(|error| error.kind());
        ensure!(refused == Some(ErrorKind::ConnectionRefused), "{refused:?}");
        Ok(())
    });
}

/// A datagram socket is bound anew. Datagrams under way are lost, as the network may lose them.
#[test]
fn a_udp_socket_is_at_its_address() {
    for victim in [Victim::Server, Victim::Primary] {
        same_when(SERVER, 2, victim, udp);
    }
}

fn udp(service: &mut Service) -> Result<()> {
    let address = free_address()?;
    let client = UdpSocket::bind("127.0.0.1:0")?;
    client.connect(address)?;
    client.set_read_timeout(Some(DEADLINE))?;
    service.ask_aside(&format!("udp {}", address.port()), "bound")?;
    udp_round(service, &client, "before")?;
    service.kill()?;
    service.wait_solo()?;
    udp_round(service, &client, "after")
}

fn udp_round(service: &mut Service, client: &UdpSocket, text: &str) -> Result<()> {
    client.send(text.as_bytes())?;
    service.ask("answer")?;
    let mut answer = [0; 64];
    let length = client.recv(&mut answer).context("no answer")?;
    ensure!(&answer[..length] == text.as_bytes());
    Ok(())
}

/// The listener is bound anew, connections of both directions have lost their peer.
#[test]
fn a_unix_listener_is_at_its_path_and_unix_connections_are_reset() {
    same(|service| {
        service.ask("unix here.sock")?;
        let path = service.work().join("here.sock");
        let mut old = UnixStream::connect(&path)?;
        old.set_read_timeout(Some(Duration::from_secs(10)))?;
        service.ask("accept_unix 0")?;
        let outside = UnixListener::bind(service.work().join("there.sock"))?;
        service.ask("connect_unix 1 there.sock")?;
        let (mut outgoing, _) = outside.accept()?;
        old.write_all(b"old")?;
        outgoing.write_all(b"out")?;
        service.ask_all(&["recv 0 3", "recv 1 3"])?;
        service.kill()?;
        service.wait_solo()?;
        if service.is_replicated() {
            ensure!(old.read(&mut [0; 8])? == 0, "the old connection has ended");
            service.ask("recv 0 1")?;
            service.differs("", "0: , then ECONNRESET")?;
            service.ask("recv 1 1")?;
            service.differs("", "0: , then ECONNRESET")?;
            service.forget(2);
        }
        let mut new = UnixStream::connect(&path)?;
        new.write_all(b"new")?;
        service.ask_all(&["accept_unix 2", "recv 2 3", "close 2"])
    });
}

/// Whoever the server has connected to sees its primary die, and it sees the connection reset.
#[test]
fn a_connection_to_a_third_party_is_reset() {
    same(|service| {
        let third = TcpListener::bind("127.0.0.1:0")?;
        service.ask_aside(&format!("connect 0 {}", third.local_addr()?.port()), "connected")?;
        let (mut there, _) = third.accept()?;
        there.write_all(b"welcome")?;
        service.ask("recv 0 7")?;
        service.kill()?;
        service.wait_solo()?;
        if service.is_replicated() {
            service.ask("recv 0 1")?;
            service.differs("", "0: , then ECONNRESET")?;
            service.ask("recv 0 1")?;
            service.differs("", "0: , then 0")?;
            service.ask("send 0 x")?;
            service.differs("", "EPIPE")?;
            service.forget(3);
        }
        // It may connect again.
        service.ask_aside(&format!("connect 1 {}", third.local_addr()?.port()), "connected")?;
        let (mut again, _) = third.accept()?;
        again.write_all(b"again")?;
        service.ask("recv 1 5")
    });
}
