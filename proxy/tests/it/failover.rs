//! The death of a primary on real sockets.

use common::ids::Epoch;
use common::orders::{Carried, Progress, ResumeHeader, Role, ToReplica};
use ftrun_proxy::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::*;

fn taken_over(answer: &ToReplica) {
    assert_eq!(*answer, ToReplica::TakenOver { gone: vec![] });
}

#[tokio::test]
async fn a_connection_goes_on_byte_for_byte() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut client, b"one two three").await;
    expect(&mut server, b"one two three").await;
    // The log holds "one two " and the answer to it up to "12"; what the old primary says then is its own.
    write(&mut server, b"1234lost").await;
    pair.backup.received(conn, 8).await;
    pair.backup.release(progress(conn, 4, 2)).await;
    expect(&mut client, b"12").await;

    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    write(&mut client, b" four").await;
    let next = Next::new().await;
    let carried = Carried { progress: progress(conn, 8, 4), output_from: 1 };
    taken_over(&backup.take_over(2, &next, at, vec![carried]).await);
    expect(&mut client, b"34").await;
    let (mut server, header) = next.resumed().await;
    assert_eq!(header, ResumeHeader { epoch: Epoch(2), conn });
    expect(&mut server, b"three four").await;
    write(&mut server, b"234new").await;
    expect(&mut client, b"new").await;
    write(&mut client, b" five").await;
    expect(&mut server, b" five").await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;
    client.shutdown().await.unwrap();
    expect_end(&mut server).await;
    drop(proxy);
}

#[tokio::test]
async fn a_connection_that_was_never_accepted_is_made_anew() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut client, b"hello").await;
    expect(&mut server, b"hello").await;
    write(&mut server, b"void").await;
    pair.backup.received(conn, 4).await;

    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    let next = Next::new().await;
    taken_over(&backup.take_over(2, &next, at, vec![]).await);
    let (mut server, again) = accept(&next.server, 2).await;
    assert_ne!(again, conn);
    expect(&mut server, b"hello").await;
    write(&mut server, b"world").await;
    expect(&mut client, b"world").await;
    drop(proxy);
}

#[tokio::test]
async fn a_server_gets_a_connection_that_it_did_not_accept_though_its_client_is_gone() {
    let pair = Pair::start(Config::default()).await;
    let (mut client, mut server, _) = pair.client().await;
    write(&mut client, b"hello").await;
    expect(&mut server, b"hello").await;
    client.set_zero_linger().unwrap();
    drop(client);
    expect_reset(&mut server).await;

    let (proxy, mut backup, at) = pair.kill_primary();
    let next = Next::new().await;
    taken_over(&backup.take_over(2, &next, at, vec![]).await);
    // As far as the log goes, poll may have said that it waits to be accepted.
    let (mut server, _) = accept(&next.server, 2).await;
    expect_reset(&mut server).await;
    drop(proxy);
}

#[tokio::test]
async fn a_client_that_comes_during_failover_is_queued() {
    let pair = Pair::start(Config::default()).await;
    let Pair { proxy, primary, mut backup, server, at } = pair;
    drop((primary, server));
    let mut client = TcpStream::connect(at).await.unwrap();
    write(&mut client, b"early bird").await;
    client.shutdown().await.unwrap();
    assert_eq!(watch(&mut client).await, b"");
    let next = Next::new().await;
    taken_over(&backup.take_over(2, &next, at, vec![]).await);
    let (mut server, _) = accept(&next.server, 2).await;
    expect(&mut server, b"early bird").await;
    expect_end(&mut server).await;
    write(&mut server, b"worm").await;
    drop(server);
    expect(&mut client, b"worm").await;
    expect_end(&mut client).await;
    drop(proxy);
}

#[tokio::test]
async fn the_end_of_a_client_is_told_to_the_new_server_too() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut client, b"request").await;
    client.shutdown().await.unwrap();
    expect(&mut server, b"request").await;
    expect_end(&mut server).await;
    pair.backup.release(progress(conn, 3, 0)).await;

    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    let next = Next::new().await;
    let carried = Carried { progress: progress(conn, 5, 0), output_from: 0 };
    taken_over(&backup.take_over(2, &next, at, vec![carried]).await);
    let (mut server, _) = next.resumed().await;
    expect(&mut server, b"st").await;
    expect_end(&mut server).await;
    write(&mut server, b"answer").await;
    drop(server);
    expect(&mut client, b"answer").await;
    expect_end(&mut client).await;
    drop(proxy);
}

#[tokio::test]
async fn a_client_reset_resets_the_server_and_is_gone_at_a_takeover() {
    let pair = Pair::start(Config::default()).await;
    let (client, mut server, conn) = pair.client().await;
    let (mut other, other_server, other_conn) = pair.client().await;
    client.set_zero_linger().unwrap();
    drop(client);
    expect_reset(&mut server).await;

    let (proxy, mut backup, at) = pair.kill_primary();
    drop(other_server);
    let next = Next::new().await;
    let carried = [conn, other_conn].map(|conn| Carried { progress: progress(conn, 0, 0), output_from: 0 });
    let answer = backup.take_over(2, &next, at, carried.to_vec()).await;
    assert_eq!(answer, ToReplica::TakenOver { gone: vec![conn] });
    let (mut server, header) = next.resumed().await;
    assert_eq!(header.conn, other_conn);
    write(&mut server, b"unharmed").await;
    expect(&mut other, b"unharmed").await;
    drop(proxy);
}

#[tokio::test]
async fn output_that_died_with_the_primary_is_supplied_and_the_end_follows_it() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"first").await;
    pair.backup.received(conn, 5).await;
    pair.backup.release(Progress { finished: true, closed: true, ..progress(conn, 0, 11) }).await;
    expect(&mut client, b"first").await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(watch(&mut client).await, b"");

    let (proxy, mut backup, at) = pair.kill_primary();
    let next = Next::new().await;
    let closed = Progress { finished: true, closed: true, ..progress(conn, 0, 11) };
    taken_over(&backup.take_over(2, &next, at, vec![Carried { progress: closed, output_from: 5 }]).await);
    let (mut server, _) = next.resumed().await;
    write(&mut server, b" again").await;
    drop(server);
    expect(&mut client, b" again").await;
    expect_end(&mut client).await;
    drop(proxy);
}

#[tokio::test]
async fn a_gap_resets_that_client_and_no_other() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    let (mut other, other_server, other_conn) = pair.client().await;
    write(&mut server, b"12345").await;
    pair.backup.received(conn, 5).await;

    let (proxy, mut backup, at) = pair.kill_primary();
    drop((server, other_server));
    let next = Next::new().await;
    let carried = vec![
        Carried { progress: progress(conn, 0, 9), output_from: 6 },
        Carried { progress: progress(other_conn, 0, 0), output_from: 0 },
    ];
    let answer = backup.take_over(2, &next, at, carried).await;
    assert_eq!(answer, ToReplica::TakenOver { gone: vec![conn] });
    expect_reset(&mut client).await;
    let (mut server, _) = next.resumed().await;
    write(&mut server, b"fine").await;
    expect(&mut other, b"fine").await;
    drop(proxy);
}

#[tokio::test]
async fn a_lost_answer_to_a_takeover_is_given_again() {
    let pair = Pair::start(Config::default()).await;
    let (mut client, server, conn) = pair.client().await;
    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    let next = Next::new().await;
    let carried = vec![Carried { progress: progress(conn, 0, 0), output_from: 0 }];
    taken_over(&backup.take_over(2, &next, at, carried.clone()).await);
    let (mut server, _) = next.resumed().await;
    drop(backup);
    let mut again = Replica::greet(proxy.control, 0xb, 2, Role::Solo).await;
    taken_over(&again.take_over(2, &next, at, carried).await);
    write(&mut server, b"not moved twice").await;
    expect(&mut client, b"not moved twice").await;
    drop(proxy);
}
