//! Control connections: who is obeyed, what is answered, how it ends.

use std::time::Duration;

use common::ids::{Epoch, ReplicaId};
use common::orders::{CONTROL_MAGIC, Listener, ListenerId, Progress, Role, ToProxy, ToReplica, preamble};
use ftrun_proxy::orders::Mode;
use ftrun_proxy::{Config, Exit, ProxyError, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::*;

/// An address whose ports no other test takes: for those that free a port and take it again.
const APART: &str = "127.77.0.1:0";

fn is_superseded(answer: &ToReplica, epoch: u64) {
    assert_eq!(*answer, ToReplica::Superseded { epoch: common::ids::Epoch(epoch) });
}

#[tokio::test]
async fn an_older_epoch_is_ignored_and_told() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, server, conn) = pair.client().await;
    let next = Next::new().await;
    drop(server);
    let carried = common::orders::Carried { progress: progress(conn, 0, 0), output_from: 0 };
    pair.backup.take_over(2, &next, pair.at, vec![carried]).await;
    // The old primary is told at once, and for each order that it still gives.
    is_superseded(&pair.primary.answer().await, 2);
    pair.primary.send(ToProxy::Unlisten { id: LISTENER }).await;
    is_superseded(&pair.primary.answer().await, 2);
    pair.primary.send(ToProxy::Exit { status: 0 }).await;
    is_superseded(&pair.primary.answer().await, 2);
    is_superseded(&pair.primary.hello(1, Role::Primary).await, 2);
    is_superseded(&pair.primary.take_over(2, &next, pair.at, vec![]).await, 2);
    let (mut server, _) = next.resumed().await;
    write(&mut server, b"untouched").await;
    expect(&mut client, b"untouched").await;
    let mut late = TcpStream::connect(pair.at).await.unwrap();
    let (mut server, _) = accept(&next.server, 2).await;
    write(&mut server, b"still open").await;
    expect(&mut late, b"still open").await;
}

#[tokio::test]
async fn a_port_in_use_is_told_as_errno() {
    const EADDRINUSE: i32 = 98;
    let mut pair = Pair::start(Config::default()).await;
    let taken = TcpListener::bind(LOOPBACK).await.unwrap();
    assert_eq!(pair.primary.bind(ListenerId(8), taken.local_addr().unwrap()).await, Err(EADDRINUSE));
    let same = pair.primary.bind(LISTENER, LOOPBACK.parse().unwrap()).await;
    assert_eq!(same, Ok(pair.at), "the same listener has its address already");
}

#[tokio::test]
async fn an_override_moves_the_first_bind_only() {
    let place = TcpListener::bind(APART).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(Config { listen_override: Some(place), ..Config::default() });
    let mut primary = Replica::greet(proxy.control, 0xa, 1, Role::Primary).await;
    assert_eq!(primary.bind(ListenerId(1), "127.0.0.1:1".parse().unwrap()).await, Ok(place));
    let other = primary.bind(ListenerId(2), LOOPBACK.parse().unwrap()).await.unwrap();
    assert_ne!(other.port(), place.port());
}

#[tokio::test]
async fn a_closed_listener_refuses_and_its_port_is_free() {
    let mut pair = Pair::start(Config::default()).await;
    let at = pair.primary.bind(ListenerId(8), APART.parse().unwrap()).await.unwrap();
    pair.primary.listen(ListenerId(8), at, pair.server.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(at).await.unwrap();
    let (mut server, conn) = accept(&pair.server, 1).await;
    pair.primary.send(ToProxy::Unlisten { id: ListenerId(8) }).await;
    assert_eq!(pair.primary.bind(ListenerId(9), at).await, Ok(at));
    let refused = within("a refusal", TcpStream::connect(at)).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // A connection that the server has accepted is not concerned.
    write(&mut server, b"goes on").await;
    pair.backup.release(progress(conn, 0, 7)).await;
    expect(&mut client, b"goes on").await;
}

#[tokio::test]
async fn a_client_whose_server_does_not_come_is_refused_when_the_listener_closes() {
    let mut pair = Pair::start(Config::default()).await;
    let nobody = TcpListener::bind(APART).await.unwrap().local_addr().unwrap();
    let at = pair.primary.bind(ListenerId(8), LOOPBACK.parse().unwrap()).await.unwrap();
    pair.primary.listen(ListenerId(8), at, nobody).await;
    let mut client = TcpStream::connect(at).await.unwrap();
    pair.primary.send(ToProxy::Unlisten { id: ListenerId(8) }).await;
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn a_listener_for_ipv6_only_is_opened_again_beside_an_ipv4_one() {
    if let Err(error) = TcpListener::bind("[::1]:0").await {
        return skip("a_listener_for_ipv6_only_is_opened_again_beside_an_ipv4_one", &format!("no ::1: {error}"));
    }
    let mut pair = Pair::start(Config::default()).await;
    let real = pair.server.local_addr().unwrap();
    let four = pair.primary.bind(ListenerId(8), APART.parse().unwrap()).await.unwrap();
    pair.primary.listen(ListenerId(8), four, real).await;
    let (id, asked) = (ListenerId(9), std::net::SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, four.port())));
    pair.primary.send(ToProxy::Bind { id, asked, reuse_addr: true, v6_only: true }).await;
    assert_eq!(pair.primary.answer().await, ToReplica::Bound { id, outcome: Ok(asked) });
    pair.primary.listen(id, asked, real).await;
    // The lost primary closed it beyond the log.
    pair.primary.send(ToProxy::Unlisten { id }).await;
    let next = Next::new().await;
    let listeners = [(ListenerId(8), four), (id, asked)].map(|(id, asked)| Listener {
        id,
        asked,
        real: next.server.local_addr().unwrap(),
    });
    let (resume, replica) = (next.resume.local_addr().unwrap(), ReplicaId(0xb));
    let (epoch, listeners) = (Epoch(2), listeners.to_vec());
    pair.backup.send(ToProxy::Takeover { epoch, replica, resume, listeners, carried: vec![] }).await;
    assert_eq!(pair.backup.answer().await, ToReplica::TakenOver { gone: vec![] });
    let mut client = TcpStream::connect(("::1", four.port())).await.unwrap();
    let (mut server, _) = accept(&next.server, 2).await;
    write(&mut server, b"open").await;
    expect(&mut client, b"open").await;
}

#[tokio::test]
async fn a_stranger_is_not_served() {
    let pair = Pair::start(Config::default()).await;
    let mut stranger = TcpStream::connect(pair.proxy.control).await.unwrap();
    let mut other_version = CONTROL_MAGIC.to_vec();
    other_version.extend([0xff; 4]);
    stranger.write_all(&other_version).await.unwrap();
    expect(&mut stranger, &preamble()).await;
    expect_end(&mut stranger).await;
}

#[tokio::test]
async fn the_exit_brings_out_what_is_released_and_ends_the_proxy() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    let output = pattern(6 << 20, 3);
    // The client does not read yet: the proxy has to wait for it.
    let expected = output.clone();
    let writer = tokio::spawn(async move { server.write_all(&output).await });
    pair.backup.release(Progress { finished: true, closed: true, ..progress(conn, 0, 6 << 20) }).await;
    pair.backup.send(ToProxy::Exit { status: 7 << 8 }).await;
    expect(&mut client, &expected).await;
    expect_end(&mut client).await;
    within("the server's write", writer).await.unwrap().unwrap();
    drop(client);
    assert_eq!(pair.proxy.ended().await.unwrap(), Exit::Server { status: 7 << 8 });
}

#[tokio::test]
async fn the_exit_keeps_the_output_rule_and_resets_who_is_not_served() {
    let config = Config { flush_limit: Duration::from_millis(100), ..Config::default() };
    let mut pair = Pair::start(config).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"unreleased").await;
    drop(server);
    pair.backup.received(conn, 10).await;
    pair.primary.send(ToProxy::Exit { status: 0 }).await;
    let error = within("a reset", client.read(&mut [0; 16])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(pair.proxy.ended().await.unwrap(), Exit::Server { status: 0 });
}

#[tokio::test]
async fn the_exit_of_a_solo_server_ends_its_connections() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, _) = pair.client().await;
    pair.primary.hello(2, Role::Solo).await;
    write(&mut server, b"last words").await;
    drop((server, pair.server));
    pair.primary.send(ToProxy::Exit { status: 9 }).await;
    expect(&mut client, b"last words").await;
    expect_end(&mut client).await;
    drop(client);
    assert_eq!(pair.proxy.ended().await.unwrap(), Exit::Server { status: 9 });
}

#[tokio::test]
async fn the_proxy_ends_when_no_replica_comes_back() {
    let config = Config { replicas_lost_limit: Duration::from_millis(100), ..Config::default() };
    let mut pair = Pair::start(config).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"half of it").await;
    pair.backup.received(conn, 10).await;
    drop((pair.primary, pair.backup));
    let ended = pair.proxy.ended().await;
    assert!(matches!(ended, Err(ProxyError::ReplicasLost { connections: 1, .. })), "{ended:?}");
    // Not the end of the stream: the client would take half of its answer for the whole.
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn an_unexplained_end_resets_the_client_once_its_time_is_up() {
    let config = Config { unexplained_limit: Duration::from_millis(100), ..Config::default() };
    let pair = Pair::start(config).await;
    let (mut client, server, _) = pair.client().await;
    drop(server);
    expect_reset(&mut client).await;
}

#[tokio::test]
async fn the_figures_follow() {
    let pair = Pair::start(Config::default()).await;
    let (client, _server, _) = pair.client().await;
    let expected =
        Status { epoch: common::ids::Epoch(1), mode: Mode::Paired, listen: vec![pair.at], connections: 1, replicas: 2 };
    assert_eq!(pair.proxy.stats.read(), expected);
    client.set_zero_linger().unwrap();
    drop(client);
    within("the figures", async {
        while pair.proxy.stats.read().connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
