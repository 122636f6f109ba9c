//! Two hosts and a third with proxy and client, as network namespaces: a host dies with its links, so that no end and no
//! reset of a connection reaches anybody, or only the link between the replicas fails.
//!
//! Needs the right to make network namespaces, and `ip` (iproute2).

mod host;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::rules::{Client, ledger};
use crate::support::group::{Group, Victim};
use crate::support::program::{Exit, Program};
use crate::support::status::Role;
use crate::support::trio::{Settings, Trio};
use crate::support::wire::Wire;
use crate::support::{OFTEN, listening, poll, skip, verdict};
use host::{Host, Unavailable};

/// A stall may take the time after which a replica is taken for dead, and this more.
const AFTER_DETECTION: Duration = Duration::from_secs(4);
const TIMEOUT_MS: u64 = 1000;
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);

const CONTROL: u16 = 7001;
const LOG: u16 = 7002;
const CLIENTS: u16 = 7003;

/// Addresses of a link between two hosts, first and second.
const PRIMARY_PROXY: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 1, 2)];
const BACKUP_PROXY: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 2, 1), Ipv4Addr::new(10, 77, 2, 2)];
const PRIMARY_BACKUP: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 3, 1), Ipv4Addr::new(10, 77, 3, 2)];

/// The hosts, linked each to each, and the service on them.
struct Hosts {
    trio: Trio,
    primary: Host,
    _backup: Host,
    proxy: Host,
    _dir: TempDir,
}

impl Hosts {
    fn start() -> Result<Self> {
        let (primary, backup, proxy) = (Host::new()?, Host::new()?, Host::new()?);
        primary.link(&proxy, "to-proxy", "to-primary", PRIMARY_PROXY)?;
        backup.link(&proxy, "to-proxy", "to-backup", BACKUP_PROXY)?;
        primary.link(&backup, "to-backup", "to-primary", PRIMARY_BACKUP)?;
        let dir = TempDir::new()?;
        let settings = Settings { timeout: TIMEOUT_MS, ..Settings::new(dir.path()) };
        let at = |host: &Host, start: Box<dyn FnOnce(Settings) -> Result<Program> + Send>| {
            let settings = settings.clone();
            host.run(move || start(settings))?
        };
        let listens = |host: &Host, ip: Ipv4Addr, port| {
            host.run(move || poll("a process to listen", OFTEN, || Ok(listening((ip, port).into())?.then_some(()))))?
        };
        let any = Ipv4Addr::UNSPECIFIED;
        let front = at(&proxy, Box::new(move |it| it.proxy((any, CONTROL).into())))?;
        listens(&proxy, any, CONTROL)?;
        let to_proxy = (BACKUP_PROXY[1], CONTROL).into();
        let second = at(&backup, Box::new(move |it| it.backup((PRIMARY_BACKUP[1], LOG).into(), to_proxy)))?;
        listens(&backup, PRIMARY_BACKUP[1], LOG)?;
        let server = ledger(Self::asked())?;
        let (peer, to_proxy) = ((PRIMARY_BACKUP[1], LOG).into(), (PRIMARY_PROXY[1], CONTROL).into());
        let first = at(&primary, Box::new(move |it| it.primary(peer, to_proxy, &server)))?;
        let trio = Trio { settings, server: None, primary: first, backup: second, proxy: front };
        Ok(Self { trio, primary, _backup: backup, proxy, _dir: dir })
    }

    /// Where the server asks to listen, and where the proxy does so instead.
    fn asked() -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, CLIENTS).into()
    }

    /// Connects from the proxy's host.
    fn client(&self, name: &'static str) -> Result<Client> {
        let address = (Ipv4Addr::LOCALHOST, CLIENTS).into();
        Ok(Client(self.proxy.run(move || Wire::connect(address, name))??))
    }

    /// The primary's host is gone: its links first, so that its processes cannot say that they end.
    fn lose_primary(&mut self) -> Result<()> {
        self.primary.set_down("to-proxy")?;
        self.primary.set_down("to-backup")?;
        self.trio.kill_primary()
    }
}

/// Runs on hosts of its own, or says why it cannot.
fn on_hosts(test: &str, act: impl FnOnce(&mut Hosts) -> Result<()>) {
    if let Err(Unavailable(reason)) = host::available() {
        skip(test, &reason);
        return;
    }
    verdict(Hosts::start().and_then(|mut hosts| {
        let paired = hosts.trio.wait_paired(Hosts::asked()).map(drop);
        paired.and_then(|()| act(&mut hosts)).map_err(|error| hosts.trio.explain(error))
    }));
}

/// A client asks without a pause while `strike` happens, and is answered by one history. Returns its longest wait.
fn serve_across(hosts: &mut Hosts, strike: impl FnOnce(&mut Hosts) -> Result<()>) -> Result<Duration> {
    const BEFORE: u32 = 50;
    let mut client = hosts.client("client")?;
    let mut idle = hosts.client("a client that waits")?;
    let early = idle.token()?;
    ensure!(client.ask("GET")? == early, "two clients see two servers");
    let over = AtomicBool::new(false);
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (client, last) = std::thread::scope(|scope| {
        let over = &over;
        let serving = scope.spawn(move || -> Result<_> {
            let (mut last, mut count, mut after) = (String::new(), 1, 0);
            while after < 50 {
                let told = client.token()?;
                count += 1;
                ensure!(told.ends_with(&format!(" {count}")), "request {count} is answered by {told}");
                ensure!(client.ask("GET")? == told, "a token that was handed out is lost");
                last = told;
                if count == BEFORE {
                    // Nobody waits for it any more when the strike has failed.
                    begun.send(()).ok();
                }
                after += u32::from(over.load(Ordering::SeqCst));
            }
            Ok((client, last))
        });
        let struck = has_begun.recv().context("the client ended before the strike").and_then(|()| strike(hosts));
        over.store(true, Ordering::SeqCst);
        let served = serving.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        let served = served.context("the client");
        struck.and(served)
    })?;
    ensure!(idle.ask("GET")? == last, "the client that waited is served by another history");
    ensure!(hosts.client("a new client")?.ask("GET")? == last, "a new client is served by another history");
    idle.0.end()?;
    let longest = client.0.longest_wait();
    client.0.end()?;
    ensure!(longest < TIMEOUT + AFTER_DETECTION, "a client waited {longest:?}");
    Ok(longest)
}

#[test]
fn a_host_that_dies_with_its_links_is_not_missed() {
    on_hosts("hosts::a_host_that_dies_with_its_links_is_not_missed", |hosts| {
        let longest = serve_across(hosts, |hosts| {
            let since = Instant::now();
            hosts.lose_primary()?;
            let solo = hosts.trio.wait_solo()?;
            println!("the other host serves alone {} ms after the loss", since.elapsed().as_millis());
            let pid = solo.only(Role::Solo).map(|it| it.ftrun_pid);
            ensure!(pid == Some(hosts.trio.backup.process().pid()), "not the backup is left: {solo:?}");
            ensure!(epochs(hosts)? == 2, "one death takes one epoch");
            Ok(())
        })?;
        println!("the longest wait of the client: {} ms", longest.as_millis());
        Ok(())
    });
}

#[test]
fn a_cut_between_two_living_hosts_leaves_one_that_acts() {
    on_hosts("hosts::a_cut_between_two_living_hosts_leaves_one_that_acts", |hosts| {
        let longest = serve_across(hosts, |hosts| {
            hosts.primary.set_down("to-backup")?;
            let mut exits = [None, None];
            let trio = &mut hosts.trio;
            poll("one of the two to end", OFTEN, || {
                exits = [trio.primary.exit()?, trio.backup.exit()?];
                Ok(exits.iter().any(Option::is_some).then_some(()))
            })?;
            let solo = trio.wait_solo()?;
            let exits = [trio.primary.exit()?, trio.backup.exit()?];
            let lost = exits.iter().filter(|exit| **exit == Some(Exit::Code(124))).count();
            let acting = exits.iter().filter(|exit| exit.is_none()).count();
            ensure!((lost, acting) == (1, 1), "primary and backup ended with {exits:?}: {solo:?}");
            ensure!(epochs(hosts)? == 2, "one cut takes one epoch");
            Ok(())
        })?;
        println!("the longest wait of the client: {} ms", longest.as_millis());
        Ok(())
    });
}

/// Such an address means nothing without the link that it is on: the proxy must be told both.
#[test]
fn a_link_local_address_is_served_across_a_failover() {
    if let Err(Unavailable(reason)) = host::available() {
        skip("hosts::a_link_local_address_is_served_across_a_failover", &reason);
        return;
    }
    verdict(serve_link_local());
}

fn serve_link_local() -> Result<()> {
    let (service, clients, dir) = (Host::new()?, Host::new()?, TempDir::new()?);
    service.link(&clients, "near", "far", PRIMARY_PROXY)?;
    let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, 1);
    let near = service.add_link_local("near", ip)?;
    let far = clients.add_link_local("far", Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, 2))?;
    let at = move |scope| SocketAddr::from(SocketAddrV6::new(ip, CLIENTS, 0, scope));
    let mut server = ledger(at(near))?;
    server[1] = format!("{ip}%near").into();
    let (address, state) = (at(near), dir.path().to_owned());
    let mut group = service.run(move || Group::start(&server, address, &state))??;
    let outcome = (|| {
        let paired = group.wait_paired()?;
        let connect =
            |name: &'static str| Ok::<_, anyhow::Error>(Client(clients.run(move || Wire::connect(at(far), name))??));
        let mut client = connect("client")?;
        let held = client.token()?;
        group.kill(Victim::Primary, &paired)?;
        group.wait_solo(Victim::Primary, &paired)?;
        ensure!(client.ask("GET")? == held, "the client is served by another history");
        ensure!(connect("a new client")?.ask("GET")? == held, "a new client is served by another history");
        client.0.end()
    })();
    outcome.map_err(|error| group.explain(error))
}

/// How many epochs were won.
fn epochs(hosts: &Hosts) -> Result<usize> {
    let names = std::fs::read_dir(hosts.trio.settings.arbiter())?.collect::<std::io::Result<Vec<_>>>()?;
    Ok(names.iter().filter(|it| it.file_name().to_string_lossy().starts_with("epoch-")).count())
}
