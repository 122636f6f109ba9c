//! The output rule on real sockets.

use std::net::Shutdown;

use common::orders::{Progress, Role};
use ftrun_proxy::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::*;

#[tokio::test]
async fn output_is_held_until_it_is_released() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"hello world").await;
    pair.backup.received(conn, 11).await;
    assert_eq!(watch(&mut client).await, b"");
    pair.backup.release(progress(conn, 0, 5)).await;
    expect(&mut client, b"hello").await;
    assert_eq!(watch(&mut client).await, b"");
    pair.backup.release(progress(conn, 0, 11)).await;
    expect(&mut client, b" world").await;
}

#[tokio::test]
async fn the_primary_may_not_release() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"hello").await;
    pair.backup.received(conn, 5).await;
    pair.primary.release(progress(conn, 0, 5)).await;
    // Whoever gives orders that are not his is disconnected.
    assert_eq!(within("the end", pair.primary.stream.read(&mut [0; 1])).await.unwrap(), 0);
    assert_eq!(watch(&mut client).await, b"");
}

#[tokio::test]
async fn the_end_of_the_server_passes_by_order_only() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"bye").await;
    drop(server);
    pair.backup.received(conn, 3).await;
    pair.backup.release(progress(conn, 0, 3)).await;
    expect(&mut client, b"bye").await;
    assert_eq!(watch(&mut client).await, b"");
    pair.backup.release(Progress { finished: true, closed: true, ..progress(conn, 0, 3) }).await;
    expect_end(&mut client).await;
}

#[tokio::test]
async fn a_half_closed_server_still_reads() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    server.shutdown().await.unwrap();
    pair.backup.release(Progress { finished: true, ..progress(conn, 0, 0) }).await;
    expect_end(&mut client).await;
    write(&mut client, b"still there?").await;
    client.shutdown().await.unwrap();
    expect(&mut server, b"still there?").await;
    expect_end(&mut server).await;
}

#[tokio::test]
async fn solo_output_and_ends_pass_at_once() {
    let mut pair = Pair::start(Config::default()).await;
    let (mut client, mut server, conn) = pair.client().await;
    let (mut other, other_server, _) = pair.client().await;
    write(&mut server, b"held").await;
    pair.backup.received(conn, 4).await;
    pair.primary.hello(2, Role::Solo).await;
    expect(&mut client, b"held").await;
    write(&mut server, b"free").await;
    expect(&mut client, b"free").await;
    server.into_std().unwrap().shutdown(Shutdown::Write).unwrap();
    expect_end(&mut client).await;
    other_server.set_zero_linger().unwrap();
    drop(other_server);
    expect_reset(&mut other).await;
}

#[tokio::test]
async fn bulk_in_both_directions_arrives_whole() {
    const SIZE: usize = 24 << 20;
    let mut pair = Pair::start(Config::default()).await;
    let (client, server, conn) = pair.client().await;
    let (up, down) = (pattern(SIZE, 1), pattern(SIZE, 2));
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut server_reads, mut server_writes) = server.into_split();
    let (up_copy, down_copy) = (up.clone(), down.clone());
    let writers = [
        tokio::spawn(async move { client_writes.write_all(&up_copy).await.map(|()| drop(client_writes)) }),
        tokio::spawn(async move { server_writes.write_all(&down_copy).await.map(|()| drop(server_writes)) }),
    ];
    // Both retained input and held output are far larger than their limits: only orders move them on.
    let (mut got_up, mut got_down) = (Vec::<u8>::new(), Vec::<u8>::new());
    let (mut piece_up, mut piece_down) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    within("24 MiB in both directions", async {
        while got_up.len() < SIZE || got_down.len() < SIZE {
            tokio::select! {
                n = server_reads.read(&mut piece_up), if got_up.len() < SIZE => got_up.extend(&piece_up[..n.unwrap()]),
                n = client_reads.read(&mut piece_down), if got_down.len() < SIZE => {
                    got_down.extend(&piece_down[..n.unwrap()]);
                }
                message = pair.backup.receive() => {
                    let common::orders::ToReplica::Received { offsets } = message else { panic!("{message:?}") };
                    let produced = offsets.iter().find(|(id, _)| *id == conn).unwrap().1;
                    pair.backup.release(progress(conn, got_up.len() as u64, produced)).await;
                }
            }
            let consumed = got_up.len() as u64;
            pair.backup.release(progress(conn, consumed, 0)).await;
        }
    })
    .await;
    assert!(got_up == up && got_down == down);
    for writer in writers {
        within("a writer", writer).await.unwrap().unwrap();
    }
}
