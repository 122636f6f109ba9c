//! Replicas, proxies and arbiters that are not there, are something else, or do not fit. The other side is played by the test.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use common::arbiter::{Claim, FileArbiter, next_epoch};
use common::cpu::CpuFeatures;
use common::ids::{Epoch, ReplicaId};
use common::orders;
use common::pair::channel::{self, FromPrimary};
use common::pair::message::{Hello, PairSettings, ToBackup, ToPrimary};

use super::case::{Case, compiled, said, verdict, wait_said};
use super::state::served;
use super::unprivileged::NOBODY;
use crate::support::program::{Exit, Program};
use crate::support::{DEADLINE, OFTEN, free_address, listening, poll, skip};

/// Somebody who takes one connection.
fn fake(talk: impl FnOnce(TcpStream) -> Result<()> + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let talked = stream.set_read_timeout(Some(DEADLINE)).map_err(Into::into).and_then(|()| talk(stream));
        if let Err(error) = talked {
            // The test sees what ftrun makes of it.
            eprintln!("the played peer: {error:#}");
        }
    });
    Ok(address)
}

/// Says nothing, or nothing more, until the other end closes.
fn silence(mut stream: TcpStream) -> Result<()> {
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A backup that is greeted as it should be, and answers like this.
fn fake_backup(answer: impl FnOnce(&mut TcpStream) -> Result<()> + Send + 'static) -> Result<SocketAddr> {
    fake(|mut stream| {
        stream.write_all(&channel::preamble())?;
        channel::read_preamble(&mut stream)?;
        let hello = channel::read_from_primary(&mut stream)?;
        ensure!(matches!(hello, FromPrimary::Message(ToBackup::Hello(_))), "{hello:?}");
        answer(&mut stream)
    })
}

/// A proxy that runs, at its control address.
fn proxy(case: &Case) -> Result<(Program, SocketAddr)> {
    let control = free_address()?;
    let mut command = crate::support::group::ftrun();
    command.arg("--state-dir").arg(case.path("proxy")).args(["--proxy", "--control", &control.to_string()]);
    let mut program = case.start("proxy", &mut command)?;
    poll("the proxy to listen", OFTEN, || Ok(listening(control)?.then_some(()))).map_err(|e| program.explain(e))?;
    ensure!(program.exit()?.is_none(), "the proxy has ended");
    Ok((program, control))
}

/// A directory for an arbiter.
fn arbiter(case: &Case) -> Result<String> {
    let directory = case.path("epochs");
    std::fs::create_dir_all(&directory)?;
    Ok(format!("file:{}", directory.display()))
}

fn primary(case: &Case, peer: impl Display, control: SocketAddr) -> Result<Command> {
    let mut command = case.ftrun(["--peer", &peer.to_string(), "--control", &control.to_string()]);
    command.args(["--arbiter", &arbiter(case)?, "--"]).arg(compiled(case, "quiet", &[]));
    Ok(command)
}

/// A primary with this backup and a real proxy ends like this, before its server has done anything.
fn with_backup(peer: impl Display, exit: i32, says: &[&str]) -> Result<()> {
    let case = Case::new();
    let (mut proxy, control) = proxy(&case)?;
    let mut program = case.start("primary", &mut primary(&case, peer, control)?)?;
    case.ended(&mut program, Exit::Code(exit), says)?;
    ensure!(program.stdout()?.is_empty(), "the server has run");
    ensure!(proxy.terminate()? == Exit::Signal(libc::SIGTERM), "the proxy's end");
    case.nothing_left(&proxy)
}

/// A primary with this proxy ends like this.
fn with_proxy(control: SocketAddr, exit: i32, says: &[&str]) -> Result<()> {
    let case = Case::new();
    let mut program = case.start("primary", &mut primary(&case, free_address()?, control)?)?;
    case.ended(&mut program, Exit::Code(exit), says)?;
    ensure!(program.stdout()?.is_empty(), "the server has run");
    Ok(())
}

#[test]
fn no_backup() {
    let nobody = free_address().unwrap();
    let says = [
        &format!("the backup at {nobody} cannot be reached")[..],
        "refused",
        "start it first, with ftrun --backup --listen",
    ];
    verdict(with_backup(nobody, 125, &says));
}

#[test]
fn no_backup_at_a_path() {
    let case = Case::new();
    let nobody = format!("unix:{}", case.path("nobody").display());
    let says = [&format!("the backup at {nobody} cannot be reached: No such file or directory")[..], "start it first"];
    verdict(with_backup(nobody, 125, &says));
}

#[test]
fn no_proxy() {
    let nobody = free_address().unwrap();
    let says =
        [&format!("control address {nobody} cannot be reached")[..], "start it first, with ftrun --proxy --control"];
    verdict(with_proxy(nobody, 125, &says));
}

#[test]
fn control_is_something_else() {
    let http = fake(|mut stream| Ok(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?)).unwrap();
    verdict(with_proxy(http, 125, &["is no control address of an ftrun proxy: it greets with [48, 54, 54, 50"]));
    let mute = fake(|_| Ok(())).unwrap();
    verdict(with_proxy(mute, 125, &["is no control address of an ftrun proxy: "]));
    let silent = fake(silence).unwrap();
    verdict(with_proxy(silent, 125, &["is no control address of an ftrun proxy: it sent no greeting within 10s"]));
}

#[test]
fn proxy_of_another_version() {
    let other = fake(|mut stream| {
        let mut greeting = orders::preamble();
        greeting[8] += 7;
        stream.write_all(&greeting)?;
        silence(stream)
    });
    let (found, expected) = (orders::CONTROL_VERSION + 7, orders::CONTROL_VERSION);
    let says = format!("speaks version {found}, expected {expected}: run the same ftrun on all machines");
    verdict(with_proxy(other.unwrap(), 122, &[&says]));
}

#[test]
fn backup_is_something_else() {
    let http = fake(|mut stream| Ok(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?)).unwrap();
    verdict(with_backup(http, 125, &["it is no ftrun replica"]));
}

#[test]
fn backup_of_another_version() {
    let other = fake(|mut stream| {
        let mut greeting = channel::preamble();
        greeting[8] += 7;
        stream.write_all(&greeting)?;
        silence(stream)
    });
    let (found, expected) = (channel::PAIR_VERSION + 7, channel::PAIR_VERSION);
    let says = format!("speaks version {found}, expected {expected}: run the same ftrun on both machines");
    verdict(with_backup(other.unwrap(), 122, &[&says]));
}

#[test]
fn backup_refuses() {
    let refusing = fake_backup(|stream| {
        Ok(channel::write_message(stream, &ToPrimary::Refuse { reason: "it lacks avx512f".into() })?)
    });
    verdict(with_backup(refusing.unwrap(), 122, &["the backup refuses: it lacks avx512f"]));
}

fn accept(stream: &mut TcpStream) -> Result<()> {
    Ok(channel::write_message(stream, &ToPrimary::Accept { replica: ReplicaId(1), heartbeat_port: 9 })?)
}

#[test]
fn backup_fails_while_it_is_brought_into_step() {
    let failing = fake_backup(|stream| {
        accept(stream)?;
        channel::read_from_primary(stream)?;
        Ok(channel::write_message(stream, &ToPrimary::Failed { reason: "its disk is full".into() })?)
    });
    verdict(with_backup(failing.unwrap(), 125, &["cannot be brought into step: the backup failed: its disk is full"]));
}

#[test]
fn backup_dies_while_it_is_brought_into_step() {
    let says = ["the backup was lost before it was in step"];
    verdict(with_backup(fake_backup(|_| Ok(())).unwrap(), 125, &says));
    verdict(with_backup(fake_backup(accept).unwrap(), 125, &says));
    let later = fake_backup(|stream| {
        accept(stream)?;
        channel::read_from_primary(stream)?;
        channel::write_message(stream, &ToPrimary::Want { hashes: Vec::new() })?;
        channel::read_from_primary(stream)?;
        Ok(())
    });
    verdict(with_backup(later.unwrap(), 125, &says));
}

#[test]
fn backup_says_what_is_not_expected() {
    let odd = fake_backup(|stream| Ok(channel::write_message(stream, &ToPrimary::Restored)?));
    verdict(with_backup(odd.unwrap(), 125, &["expected Accept, found Restored"]));
}

/// A greeting that a backup on this machine must accept, if the arbiter is `arbiter` and holds `epoch` for `replica`.
fn greeting(arbiter: &str, epoch: Epoch, replica: ReplicaId) -> Hello {
    let settings =
        PairSettings { proxy_control: None, arbiter: arbiter.to_owned(), heartbeat_ms: 50, timeout_ms: 1000 };
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Hello { log_id: 1, epoch, replica, version, cpu: tracer::cpu::features(), settings }
}

/// A real backup, and how it answers each greeting; in between it goes on waiting for its primary.
struct Backup {
    case: Case,
    program: Program,
    address: SocketAddr,
}

impl Backup {
    fn start() -> Result<Self> {
        let case = Case::new();
        let address = free_address()?;
        let mut program = case.start("backup", &mut case.ftrun(["--backup", "--listen", &address.to_string()]))?;
        poll("the backup to listen", OFTEN, || Ok(listening(address)?.then_some(())))
            .map_err(|e| program.explain(e))?;
        ensure!(program.exit()?.is_none(), "the backup has ended");
        Ok(Self { case, program, address })
    }

    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    fn greet(&self, hello: Hello) -> Result<(TcpStream, ToPrimary)> {
        let mut stream = self.connect()?;
        stream.write_all(&channel::preamble())?;
        channel::read_preamble(&mut stream)?;
        channel::write_message(&mut stream, &ToBackup::Hello(Box::new(hello)))?;
        let answer = channel::read_from_backup(&mut stream)?;
        Ok((stream, answer))
    }

    /// The greeting is refused for this reason, which the backup says too.
    fn refuses(&mut self, hello: Hello, why: &[&str]) -> Result<()> {
        let (_, answer) = self.greet(hello)?;
        let ToPrimary::Refuse { reason } = answer else { bail!("expected Refuse, found {answer:?}") };
        for part in why {
            ensure!(reason.contains(part), "{reason:?} does not say {part:?}");
        }
        let mut says = vec!["is no primary for this backup, which waits on: "];
        says.extend(why);
        wait_said(&mut self.program, &says)
    }

    fn ends(mut self) -> Result<()> {
        ensure!(self.program.terminate()? == Exit::Signal(libc::SIGTERM), "the backup's end");
        said(&self.program, &["ended by SIGTERM"])?;
        self.case.nothing_left(&self.program)
    }
}

#[test]
fn primary_of_another_version() {
    let outcome = Backup::start().and_then(|mut backup| {
        let mut hello = greeting("file:/tmp", Epoch(1), ReplicaId(1));
        hello.version = "0.0.9".into();
        let says = ["the primary runs ftrun 0.0.9, this backup ", "install the same version on both"];
        backup.refuses(hello, &says)?;
        let mut stream = backup.connect()?;
        let mut preamble = channel::preamble();
        preamble[8] += 7;
        stream.write_all(&preamble)?;
        let (found, expected) = (channel::PAIR_VERSION + 7, channel::PAIR_VERSION);
        let says = format!("speaks version {found}, expected {expected}: run the same ftrun");
        wait_said(&mut backup.program, &[&says])?;
        backup.ends()
    });
    verdict(outcome);
}

#[test]
fn primary_with_another_processor() {
    let outcome = Backup::start().and_then(|mut backup| {
        let mut hello = greeting("file:/tmp", Epoch(1), ReplicaId(1));
        let own = hello.cpu;
        hello.cpu = CpuFeatures::new("OtherVendor", own.leafs().to_vec(), own.xcr0(), own.xsave_size() + 8);
        let says = ["this processor lacks features of the primary's: vendor OtherVendor (found ", "extended state of "];
        backup.refuses(hello, &says)?;
        backup.ends()
    });
    verdict(outcome);
}

/// A name that is in no directory can be used by everyone: the backup looks at who it is. Its next primary may come.
#[test]
fn primary_is_of_another_user() {
    if !nix::unistd::getuid().is_root() {
        skip("peers::primary_is_of_another_user", "only root can be somebody else");
        return;
    }
    let case = Case::new();
    verdict(of_another_user(&case));
}

fn of_another_user(case: &Case) -> Result<()> {
    let name = format!("ftrun-test-{}", std::process::id());
    let mut backup = case.start("backup", &mut case.ftrun(["--backup", "--listen", &format!("unix:@{name}")]))?;
    let said = "connect(b'\\0' + sys.argv[1].encode()); print(len(s.recv(16)))";
    let script = format!("import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.{said}");
    let knock = |user: u32| {
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", &script, &name]).uid(user).gid(user).current_dir("/");
        case.start("stranger", &mut python)
    };
    let listens = || Ok(std::fs::read_to_string("/proc/net/unix")?.contains(&format!("@{name}")).then_some(()));
    poll("the backup to listen", OFTEN, listens).map_err(|e| backup.explain(e))?;
    let mut stranger = knock(NOBODY)?;
    ensure!(stranger.wait()? == Exit::Code(0) && stranger.stdout()? == b"0\n", "the stranger was greeted");
    wait_said(&mut backup, &["a stranger was turned away: the other end is of user 65534, expected 0"])?;
    let mut own = knock(0)?;
    ensure!(own.wait()? == Exit::Code(0) && own.stdout()? == b"16\n", "the backup does not greet its own user");
    ensure!(backup.terminate()? == Exit::Signal(libc::SIGTERM), "the backup's end");
    Ok(())
}

#[test]
fn primary_is_something_else() {
    let outcome = Backup::start().and_then(|mut backup| {
        backup.connect()?.write_all(b"GET / HTTP/1.1\r\nHost: backup\r\n\r\n")?;
        wait_said(&mut backup.program, &["is no primary for this backup", "it is no ftrun replica"])?;
        let mut mute = backup.connect()?;
        channel::read_preamble(&mut mute)?;
        drop(mute);
        wait_said(&mut backup.program, &["is no primary for this backup", "was closed by the other end"])?;
        backup.ends()
    });
    verdict(outcome);
}

#[test]
fn arbiter_is_not_the_same() {
    let outcome = Backup::start().and_then(|mut backup| {
        let missing = greeting("file:/no/such/epochs", Epoch(1), ReplicaId(1));
        backup.refuses(missing, &["the arbiter's directory /no/such/epochs does not exist"])?;
        let empty = greeting(&arbiter(&backup.case)?, Epoch(1), ReplicaId(1));
        backup.refuses(empty, &["epoch 1 of primary", "the replicas do not share it"])?;
        backup.ends()
    });
    verdict(outcome);
}

/// Once it has accepted, a backup has one primary only; it ends when that one goes before it is in step.
#[test]
fn primary_dies_while_it_brings_the_backup_into_step() {
    let outcome = Backup::start().and_then(|mut backup| {
        let spec = arbiter(&backup.case)?;
        let claim = Claim { replica: ReplicaId(77), nonce: 1 };
        let epoch = next_epoch(&mut FileArbiter::new(backup.case.path("epochs"))?, &claim)?;
        let (stream, answer) = backup.greet(greeting(&spec, epoch, claim.replica))?;
        ensure!(matches!(answer, ToPrimary::Accept { .. }), "{answer:?}");
        drop(stream);
        let says = ["this backup cannot be brought into step: the channel between primary and backup was closed"];
        backup.case.ended(&mut backup.program, Exit::Code(125), &says)
    });
    verdict(outcome);
}

/// `ftrun --` and `ftrun --peer` with an arbiter that is not there.
#[test]
fn arbiter_cannot_be_reached() {
    let case = Case::new();
    let file = case.path("file");
    std::fs::write(&file, "").unwrap();
    let damaged = case.path("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("epoch-0000000000000001"), "ftrun epoch 1\nepoch 1\n").unwrap();
    let check = |place: &Path, says: &[&str]| {
        let spec = format!("file:{}", place.display());
        let alone = ["--arbiter", &spec, "--", "true"];
        verdict(case.ends(case.ftrun(alone), Exit::Code(125), says));
        let peer = ["--peer", "127.0.0.1:1", "--control", "127.0.0.1:1", "--arbiter", &spec, "--", "true"];
        verdict(case.ends(case.ftrun(peer), Exit::Code(125), says));
    };
    check(
        Path::new("/no/such/epochs"),
        &["the arbiter's directory /no/such/epochs does not exist: make it on storage"],
    );
    check(&file, &["the arbiter at ", "/file: not a directory"]);
    check(&damaged, &["no epoch can be won: the arbiter's file ", "epoch-0000000000000001 is damaged at replica"]);
}

#[test]
fn port_of_clients_is_in_use() {
    let case = Case::new();
    let server = compiled(&case, "echo", &[]);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    // As without ftrun, the server gets EADDRINUSE and decides what that means.
    let mut plain = case.ftrun(["--"]);
    plain.arg(&server).arg(address.port().to_string());
    let says = ["proxy: cannot bind ", &address.to_string(), "Address already in use"].map(str::to_owned);
    let says: Vec<&str> = says.iter().map(String::as_str).collect();
    verdict(case.ends(plain, Exit::Code(7), &says));
    let free = free_address().unwrap();
    let mut elsewhere = case.ftrun(["--listen", &address.to_string(), "--"]);
    elsewhere.arg(&server).arg(free.port().to_string());
    verdict(case.ends(elsewhere, Exit::Code(7), &says));
}

#[test]
fn own_port_is_in_use() {
    let case = Case::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (part, option) in [("--backup", "--listen"), ("--proxy", "--control")] {
        let says =
            [&format!("cannot listen on {option} {address}; name another address")[..], "Address already in use"];
        verdict(case.ends(case.ftrun([part, option, &address]), Exit::Code(125), &says));
    }
}

/// With the proxy elsewhere: its death ends both replicas; the death of the primary does not.
#[test]
fn remote_proxy_dies() {
    let case = Case::new();
    verdict(remote_proxy(&case));
}

/// A proxy, a backup, and a primary that was told of them.
struct Apart {
    proxy: Program,
    backup: Program,
    primary: Program,
}

/// Three processes that know each other by addresses alone, as on three machines.
fn apart(case: &Case, server: &Path, arguments: &[&str]) -> Result<Apart> {
    let (proxy, control) = proxy(case)?;
    let listen = free_address()?;
    let mut backup = crate::support::group::ftrun();
    backup.arg("--state-dir").arg(case.path("backup")).args(["--backup", "--listen", &listen.to_string()]);
    let backup = case.start("backup", &mut backup)?;
    poll("the backup to listen", OFTEN, || Ok(listening(listen)?.then_some(()))).map_err(|e| backup.explain(e))?;
    let mut command = case.ftrun(["--peer", &listen.to_string(), "--control", &control.to_string()]);
    command.args(["--arbiter", &arbiter(case)?, "--"]).arg(server).args(arguments);
    let primary = case.start("primary", &mut command)?;
    Ok(Apart { proxy, backup, primary })
}

fn remote_proxy(case: &Case) -> Result<()> {
    let address = free_address()?;
    let server = compiled(case, "echo", &[]);
    let Apart { mut proxy, mut backup, mut primary } = apart(case, &server, &[&address.port().to_string()])?;
    poll("clients to be let in", OFTEN, || Ok(listening(address)?.then_some(())))
        .map_err(|e| primary.explain(e))
        .context("no service")?;
    served(address)?;
    proxy.process().signal(nix::sys::signal::Signal::SIGKILL)?;
    ensure!(proxy.wait()? == Exit::Signal(libc::SIGKILL), "the proxy's end");
    case.ended(&mut primary, Exit::Code(125), &["the proxy is gone, and with it all clients; the server is ended"])?;
    case.ended(&mut backup, Exit::Code(125), &["the proxy is gone, and with it all clients; the backup is ended"])
}

/// What the primary's server may not do, the backup's may not either: all end with the same status.
#[test]
fn second_thread_at_both() {
    let case = Case::new();
    let outcome = apart(&case, &compiled(&case, "thread", &[]), &[]).and_then(|apart| {
        let says = ["the server called clone to start a second thread"];
        let Apart { mut proxy, mut backup, mut primary } = apart;
        case.ended(&mut primary, Exit::Code(122), &says)?;
        case.ended(&mut backup, Exit::Code(122), &says)?;
        case.ended(&mut proxy, Exit::Code(122), &[])
    });
    verdict(outcome);
}
