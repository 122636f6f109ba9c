//! Sockets without the output rule: they work, before and after a failover, and the status names them.

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};

use crate::support::group::{Group, STATUS_INTERVAL, Victim};
use crate::support::status::Status;
use crate::support::wire::Wire;
use crate::support::{DEADLINE, free_address, poll, python, server_scripts};

fn named(status: &Status) -> Vec<String> {
    status.replicas.iter().flat_map(|replica| replica.unprotected.clone()).collect()
}

#[test]
fn udp_and_unix_sockets_are_made_anew_and_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (tcp, udp, unix) = (free_address()?, free_address()?, dir.path().join("mixed.sock"));
    let server = [
        python()?.into_os_string(),
        server_scripts().join("mixed.py").into_os_string(),
        tcp.port().to_string().into(),
        udp.port().to_string().into(),
        unix.clone().into_os_string(),
    ];
    let mut group = Group::start(&server, tcp, dir.path())?;
    let before = group.wait_paired()?;
    let expected = [format!("udp {udp}"), format!("unix {}", unix.display())];
    // Clients can connect before the server has opened the others.
    poll(&format!("{expected:?} to be named"), STATUS_INTERVAL, || {
        Ok(group.status()?.is_some_and(|status| named(&status) == expected).then_some(()))
    })?;

    let mut client = Wire::connect(tcp, "client")?;
    let mut echo = |stage: &str| -> Result<()> {
        client.send(stage.as_bytes())?;
        client.expect(stage.as_bytes())?;
        let datagrams = UdpSocket::bind("127.0.0.1:0")?;
        datagrams.set_read_timeout(Some(DEADLINE))?;
        datagrams.send_to(stage.as_bytes(), udp)?;
        let mut buffer = [0; 64];
        let (length, from) = datagrams.recv_from(&mut buffer).context("no datagram came back")?;
        ensure!(&buffer[..length] == stage.as_bytes() && from == udp, "{length} bytes came from {from}");
        let mut local = UnixStream::connect(&unix)?;
        local.set_read_timeout(Some(DEADLINE))?;
        local.write_all(stage.as_bytes())?;
        let mut answer = vec![0; stage.len()];
        local.read_exact(&mut answer).context("nothing came back on the UNIX socket")?;
        ensure!(answer == stage.as_bytes(), "{answer:?} came back on the UNIX socket");
        Ok(())
    };
    echo("before")?;
    group.kill(Victim::Server, &before)?;
    let after = group.wait_solo(Victim::Server, &before).map_err(|error| group.explain(error))?;
    echo("after").map_err(|error| group.explain(error))?;
    ensure!(expected.iter().all(|name| named(&after).contains(name)), "after the failover: {:?}", named(&after));
    client.end()?;
    group.stop()?;
    Ok(())
}
