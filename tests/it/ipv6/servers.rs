//! Real servers that listen on both families by two sockets.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::{V4, V6, free_port, under_ftrun, with_ipv6};
use crate::support::installed;
use crate::support::wire::Wire;

/// The length of the only part of a head that is not known: the date.
const DATE: usize = "Tue, 02 Jan 2024 03:04:05 GMT".len();

fn nginx_configuration(addresses: [u16; 2], dir: &Path) -> String {
    let [named, any] = addresses;
    let dir = dir.display();
    format!(
        "daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server_tokens off;
    keepalive_timeout 600;
    keepalive_requests 100000;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{named};
        listen [::1]:{named};
        listen 0.0.0.0:{any};
        listen [::]:{any} ipv6only=on;
        location / {{ return 200 \"$connection_requests: $remote_addr to $server_addr, $server_port\\n\"; }}
    }}
}}
"
    )
}

/// Asks nginx who speaks to whom, as request number `request` of a connection.
fn who(wire: &mut Wire, at: SocketAddr, request: u32) -> Result<()> {
    wire.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
    expect_who(wire, at, request)
}

fn expect_who(wire: &mut Wire, at: SocketAddr, request: u32) -> Result<()> {
    let body = format!("{request}: {0} to {0}, {1}\n", at.ip(), at.port());
    wire.expect(b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: ")?;
    wire.take(DATE)?;
    let length = body.len();
    let rest =
        format!("\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: keep-alive\r\n\r\n{body}");
    wire.expect(rest.as_bytes())
}

#[test]
fn nginx_on_named_addresses_and_wildcards() {
    with_ipv6("servers::nginx_on_named_addresses_and_wildcards", || {
        let dir = TempDir::new()?;
        let (named, any) = (free_port()?, free_port()?);
        let configuration = dir.path().join("nginx.conf");
        fs::write(&configuration, nginx_configuration([named, any], dir.path()))?;
        let command = [installed("nginx")?.into(), "-c".into(), configuration.into(), "-e".into(), "stderr".into()];
        let clients = [V4, V6].into_iter().flat_map(|ip| [named, any].map(|port| SocketAddr::new(ip, port)));
        let clients: Vec<_> = clients.collect();
        let wildcards = [Ipv4Addr::UNSPECIFIED.into(), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let places = [SocketAddr::new(V4, named), SocketAddr::new(V6, named)].into_iter();
        let places: Vec<_> = places.chain(wildcards.map(|ip| SocketAddr::new(ip, any))).collect();
        under_ftrun(&command, &places, dir.path(), |kill| {
            let mut wires = Vec::new();
            for &at in &clients {
                let mut wire = Wire::connect(at, at.to_string())?;
                who(&mut wire, at, 1)?;
                for _ in 0..200 {
                    wire.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
                }
                wires.push((wire, at));
            }
            kill()?;
            for (mut wire, at) in wires {
                (2..=201).try_for_each(|request| expect_who(&mut wire, at, request))?;
                who(&mut wire, at, 202)?;
                let mut new = Wire::connect(at, format!("{at}, after"))?;
                who(&mut new, at, 1)?;
            }
            Ok(())
        })
    });
}

/// An MQTT packet (mqtt-v3.1.1, section 2): all of these are shorter than 128 bytes.
fn packet(first: u8, body: &[&[u8]]) -> Result<Vec<u8>> {
    let body = body.concat();
    ensure!(body.len() < 128, "a length of one byte");
    Ok([&[first, u8::try_from(body.len())?][..], &body].concat())
}

/// A client of a broker that has subscribed to the topic `t`.
fn subscribed(at: SocketAddr, id: u8) -> Result<Wire> {
    let mut wire = Wire::connect(at, at.to_string())?;
    wire.send(&packet(0x10, &[b"\0\x04MQTT\x04\x02\0\0\0\x01", &[b'a' + id]])?)?;
    wire.expect(&[0x20, 2, 0, 0])?;
    wire.send(&packet(0x82, &[b"\0\x01\0\x01t\0"])?)?;
    wire.expect(&[0x90, 3, 0, 1, 0])?;
    Ok(wire)
}

/// Publishes with an acknowledgement; `identifier` is also the payload.
fn publish(identifier: u16) -> Result<Vec<u8>> {
    packet(0x32, &[b"\0\x01t", &identifier.to_be_bytes(), &identifier.to_be_bytes()])
}

#[test]
fn mosquitto_on_a_port() {
    with_ipv6("servers::mosquitto_on_a_port", || {
        let dir = TempDir::new()?;
        let port = free_port()?;
        let configuration = dir.path().join("mosquitto.conf");
        fs::write(
            &configuration,
            format!("listener {port}\nallow_anonymous true\npersistence false\nlog_dest stderr\n"),
        )?;
        let command = [installed("mosquitto")?.into(), "-c".into(), configuration.into()];
        let places = [Ipv4Addr::UNSPECIFIED.into(), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let places = places.map(|ip| SocketAddr::new(ip, port));
        under_ftrun(&command, &places, dir.path(), |kill| {
            let mut by_v4 = subscribed(SocketAddr::new(V4, port), 0)?;
            let mut by_v6 = subscribed(SocketAddr::new(V6, port), 1)?;
            for number in 1..=200 {
                by_v6.send(&publish(number)?)?;
            }
            kill()?;
            for number in 1..=200u16 {
                by_v4.expect(&packet(0x30, &[b"\0\x01t", &number.to_be_bytes()])?)?;
            }
            // Its own messages come back to the publisher, between the acknowledgements.
            let mut acknowledged = 0;
            let mut heard = 0;
            while (acknowledged, heard) != (200, 200) {
                let head = by_v6.take(2)?;
                let body = by_v6.take(usize::from(head[1]))?;
                let (count, wanted) = match head[0] {
                    0x40 => (&mut acknowledged, vec![]),
                    0x30 => (&mut heard, b"\0\x01t".to_vec()),
                    other => anyhow::bail!("a packet of type {other:#x}"),
                };
                *count += 1;
                let wanted = [wanted, u16::to_be_bytes(*count).to_vec()].concat();
                ensure!(body == wanted, "number {count} of {:#x} is {body:x?}", head[0]);
            }
            let mut late = subscribed(SocketAddr::new(V6, port), 2)?;
            by_v4.send(&packet(0x30, &[b"\0\x01tlate"])?)?;
            [&mut by_v4, &mut by_v6, &mut late].into_iter().try_for_each(|wire| wire.expect(b"0\x07\0\x01tlate"))
        })
    });
}
