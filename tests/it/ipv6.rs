//! Servers on IPv6 addresses, alone and beside IPv4 ones: what their sockets say of themselves is right, the same on the
//! same connection after a failover, and every byte arrives.
//!
//! The proxy reaches a server on the same machine by loopback addresses. A server that listens on IPv6 alone sees IPv6 peers
//! only; one that takes both by one socket sees every peer as an IPv4-mapped address.

mod servers;

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::guest::compiled;
use crate::support::group::{Group, STATUS_INTERVAL, Victim};
use crate::support::program::{Exit, Program};
use crate::support::trio::{Settings, Trio};
use crate::support::wire::Wire;
use crate::support::{OFTEN, free_address, listening, poll, server_scripts, skip, verdict};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Runs a test where there is an IPv6 loopback address.
fn with_ipv6(test: &str, act: impl FnOnce() -> Result<()>) {
    match TcpListener::bind((V6, 0)) {
        Ok(_) => verdict(act()),
        Err(error) => skip(&format!("ipv6::{test}"), &format!("this machine has no ::1: {error}")),
    }
}

/// A port that is free on every address, of both families.
fn free_port() -> Result<u16> {
    loop {
        let port = free_address()?.port();
        // A socket that takes both families finds a port that either has.
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            return Ok(port);
        }
    }
}

/// One way to listen and what is then seen (tests/servers/families.c): family, length and address, without ports.
struct Layout {
    /// The arguments after the port.
    listen: &'static [&'static str],
    clients: &'static [Seen],
}

/// What the server sees of a client that connects to `to`.
struct Seen {
    to: IpAddr,
    own: &'static str,
    peer: &'static str,
    listener: &'static str,
    only: &'static str,
}

const IPV4: &str = "2 16 127.0.0.1";
const IPV6: &str = "10 28 ::1";
const MAPPED: &str = "10 28 ::ffff:127.0.0.1";

/// Any IPv4 connection.
const SEEN_V4: Seen = Seen { to: V4, own: IPV4, peer: IPV4, listener: IPV4, only: "-" };

const ONE_ADDRESS: Layout =
    Layout { listen: &["::1", "any"], clients: &[Seen { to: V6, own: IPV6, peer: IPV6, listener: IPV6, only: "1" }] };

const ONE_ADDRESS_ONLY: Layout =
    Layout { listen: &["::1", "only"], clients: &[Seen { to: V6, own: IPV6, peer: IPV6, listener: IPV6, only: "1" }] };

const DUAL_STACK: Layout = Layout {
    listen: &["::", "any"],
    clients: &[
        Seen { to: V4, own: MAPPED, peer: MAPPED, listener: "10 28 ::", only: "0" },
        Seen { to: V6, own: MAPPED, peer: MAPPED, listener: "10 28 ::", only: "0" },
    ],
};

/// As nginx and mosquitto do it.
const TWO_WILDCARDS: Layout = Layout {
    listen: &["0.0.0.0", "any", "::", "only"],
    clients: &[
        Seen { listener: "2 16 0.0.0.0", ..SEEN_V4 },
        Seen { to: V6, own: IPV6, peer: IPV6, listener: "10 28 ::", only: "1" },
    ],
};

const TWO_ADDRESSES: Layout = Layout {
    listen: &["127.0.0.1", "any", "::1", "any"],
    clients: &[SEEN_V4, Seen { to: V6, own: IPV6, peer: IPV6, listener: IPV6, only: "1" }],
};

impl Layout {
    fn command(&self, port: u16) -> Result<Vec<OsString>> {
        let source = server_scripts().join("families.c");
        let text = fs::read_to_string(&source).context("families.c")?;
        let words = [port.to_string()].into_iter().chain(self.listen.iter().map(ToString::to_string));
        Ok([compiled(&source, &text, "").into()].into_iter().chain(words.map(Into::into)).collect())
    }

    /// Where clients can connect, in the order in which the server opens them.
    fn places(&self, port: u16) -> Vec<SocketAddr> {
        let addresses = self.listen.iter().step_by(2).filter_map(|text| text.parse::<IpAddr>().ok());
        addresses.map(|address| SocketAddr::new(address, port)).collect()
    }

    fn connect(&self, port: u16) -> Result<Vec<Client>> {
        self.clients.iter().map(|seen| Client::connect(seen, port)).collect()
    }
}

/// A connection and all that is known of it.
struct Client {
    wire: Wire,
    lines: u64,
    names: String,
}

impl Client {
    /// Connects, and compares what the server sees.
    fn connect(seen: &Seen, port: u16) -> Result<Self> {
        let at = SocketAddr::new(seen.to, port);
        let mut client = Self { wire: Wire::connect(at, at.to_string())?, lines: 0, names: String::new() };
        client.names = client.names()?;
        let peer_port = client.names.split(' ').nth(9).and_then(|text| text.parse::<u16>().ok());
        let peer_port = peer_port.filter(|&it| it != 0).context("a peer has a port")?;
        let Seen { own, peer, listener, only, .. } = seen;
        let wanted = format!(
            "own {own} {port} peer {peer} {peer_port} accepted {peer} {peer_port} listener {listener} {port} only {only}\n"
        );
        ensure!(client.names == wanted, "{at}: the server sees\n  {}expected\n  {wanted}", client.names);
        Ok(client)
    }

    fn names(&mut self) -> Result<String> {
        self.lines += 1;
        self.wire.send(b"NAMES\n")?;
        String::from_utf8(self.wire.line()?).context("a reply in ASCII")
    }

    fn send(&mut self, count: u64) -> Result<()> {
        let lines: String = (1..=count).map(|it| format!("ECHO {} of a client\n", self.lines + it)).collect();
        self.wire.send(lines.as_bytes())
    }

    fn expect(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            self.lines += 1;
            let line = self.lines;
            self.wire.expect(format!("{line} {line} of a client\n").as_bytes())?;
        }
        Ok(())
    }

    /// The same names as at first.
    fn unchanged(&mut self) -> Result<()> {
        let names = self.names()?;
        ensure!(names == self.names, "the same connection was seen as\n  {}and is now\n  {names}", self.names);
        Ok(())
    }
}

/// Lines under way when the server dies, and those of them that have been answered for sure.
const BURST: u64 = 3000;
const ANSWERED: u64 = 50;

/// Each client has a burst of requests under way while `kill` happens; then the same connections go on, and new ones come.
fn drive(layout: &Layout, port: u16, kill: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut clients = layout.connect(port)?;
    for client in &mut clients {
        client.send(BURST)?;
    }
    for client in &mut clients {
        client.expect(ANSWERED)?;
    }
    kill()?;
    for client in &mut clients {
        client.expect(BURST - ANSWERED)?;
        client.unchanged()?;
    }
    for mut client in clients.into_iter().chain(layout.connect(port)?) {
        client.send(10)?;
        client.expect(10)?;
        client.wire.end()?;
    }
    Ok(())
}

/// Waits until the proxy takes clients at every one of these.
fn wait_open(group: &mut Group, places: &[SocketAddr]) -> Result<()> {
    poll("the proxy to listen everywhere", STATUS_INTERVAL, || {
        let open = group.status()?.and_then(|it| it.proxy).map(|it| it.listen).unwrap_or_default();
        Ok(places.iter().all(|place| open.contains(&place.to_string())).then_some(()))
    })
}

/// Starts `ftrun -- server`, waits until it takes clients at `places`, and lets `act` kill the server once.
fn under_ftrun(
    command: &[OsString],
    places: &[SocketAddr],
    dir: &Path,
    act: impl FnOnce(&mut dyn FnMut() -> Result<()>) -> Result<()>,
) -> Result<()> {
    let mut group = Group::start(command, *places.last().context("a place")?, dir)?;
    let outcome = (|| {
        let before = group.wait_paired()?;
        wait_open(&mut group, places)?;
        act(&mut || {
            group.kill(Victim::Server, &before)?;
            group.wait_solo(Victim::Server, &before).map(drop)
        })?;
        wait_open(&mut group, places)?;
        group.stop().map(drop)
    })();
    outcome.map_err(|error| group.explain(error))
}

fn failover(layout: &Layout) -> Result<()> {
    let dir = TempDir::new()?;
    let port = free_port()?;
    under_ftrun(&layout.command(port)?, &layout.places(port), dir.path(), |kill| drive(layout, port, kill))
}

#[test]
fn one_address() {
    with_ipv6("one_address", || failover(&ONE_ADDRESS));
}

#[test]
fn one_address_for_ipv6_only() {
    with_ipv6("one_address_for_ipv6_only", || failover(&ONE_ADDRESS_ONLY));
}

#[test]
fn dual_stack_wildcard() {
    with_ipv6("dual_stack_wildcard", || failover(&DUAL_STACK));
}

#[test]
fn a_wildcard_for_each_family() {
    with_ipv6("a_wildcard_for_each_family", || failover(&TWO_WILDCARDS));
}

#[test]
fn an_address_of_each_family() {
    with_ipv6("an_address_of_each_family", || failover(&TWO_ADDRESSES));
}

/// What the server sees without ftrun is the same, but for IPv6 clients of a dual-stack socket.
#[test]
fn natively_it_is_the_same() {
    with_ipv6("natively_it_is_the_same", || {
        const DUAL: Layout = Layout {
            listen: DUAL_STACK.listen,
            clients: &[
                Seen { to: V4, own: MAPPED, peer: MAPPED, listener: "10 28 ::", only: "0" },
                Seen { to: V6, own: IPV6, peer: IPV6, listener: "10 28 ::", only: "0" },
            ],
        };
        for layout in [&ONE_ADDRESS, &ONE_ADDRESS_ONLY, &DUAL, &TWO_WILDCARDS, &TWO_ADDRESSES] {
            let dir = TempDir::new()?;
            let port = free_port()?;
            let words = layout.command(port)?;
            let (name, arguments) = words.split_first().context("a command")?;
            let mut server = Program::start("server", std::process::Command::new(name).args(arguments), dir.path())?;
            let last = *layout.places(port).last().context("a place")?;
            poll("the server to listen", OFTEN, || {
                let exit = server.exit()?;
                ensure!(exit.is_none(), "it has ended: {exit:?}");
                Ok(listening(last)?.then_some(()))
            })
            .and_then(|()| drive(layout, port, || Ok(())))
            .map_err(|error| server.explain(error.context(layout.listen.join(" "))))?;
            ensure!(server.terminate()? == Exit::Signal(Signal::SIGTERM as i32), "SIGTERM ends it");
        }
        Ok(())
    });
}

/// Proxy, backup and primary reach each other by IPv6, the server listens on both families.
#[test]
fn replicas_that_speak_ipv6() {
    with_ipv6("replicas_that_speak_ipv6", || {
        let dir = TempDir::new()?;
        let settings = Settings::new(dir.path());
        let at = || Ok::<_, anyhow::Error>(SocketAddr::new(V6, free_port()?));
        let (control, peer, port) = (at()?, at()?, free_port()?);
        let (layout, server) = (&TWO_ADDRESSES, TWO_ADDRESSES.command(port)?);
        let wait_listening =
            |place| poll(&format!("{place} to be open"), OFTEN, || Ok(listening(place)?.then_some(())));
        let proxy = settings.proxy(control)?;
        wait_listening(control).map_err(|error| proxy.explain(error))?;
        let backup = settings.backup(peer, control)?;
        wait_listening(peer).map_err(|error| backup.explain(error))?;
        let primary = settings.primary(peer, control, &server)?;
        let mut trio = Trio { settings, server: None, primary, backup, proxy };
        let outcome = layout.places(port).into_iter().try_for_each(|place| trio.wait_paired(place).map(drop));
        let outcome = outcome.and_then(|()| {
            drive(layout, port, || {
                trio.server.context("no server is known")?.signal(Signal::SIGKILL)?;
                trio.wait_solo().map(drop)
            })
        });
        outcome.map_err(|error| trio.explain(error))
    });
}
