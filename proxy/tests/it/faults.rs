//! Each rule has a check that fails when the rule is switched off.

use common::orders::{Carried, Role};
use ftrun_proxy::{Config, Faults};
use tokio::io::AsyncReadExt;

use crate::harness::*;

fn config(faults: Faults) -> Config {
    Config { faults, ..Config::default() }
}

/// What a client sees of output that nobody released.
async fn unreleased(faults: Faults) -> Vec<u8> {
    let mut pair = Pair::start(config(faults)).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"secret").await;
    pair.backup.received(conn, 6).await;
    watch(&mut client).await
}

#[tokio::test]
async fn output_rule() {
    assert_eq!(unreleased(Faults::default()).await, b"");
    let seen = unreleased(Faults { ignore_output_rule: true, ..Faults::default() }).await;
    assert_eq!(seen, b"secret");
}

/// What a new server gets of input that no log consumed; an error when the client is reset instead.
async fn unconsumed(faults: Faults) -> Result<Vec<u8>, String> {
    let mut pair = Pair::start(config(faults)).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut client, b"acknowledged").await;
    expect(&mut server, b"acknowledged").await;
    pair.backup.release(progress(conn, 2, 0)).await;
    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    let next = Next::new().await;
    let carried = Carried { progress: progress(conn, 4, 0), output_from: 0 };
    backup.take_over(2, &next, at, vec![carried]).await;
    let mut end = [0; 16];
    let result = tokio::select! {
        reset = within("a reset", client.read(&mut end)) => Err(format!("the client is told {reset:?}")),
        (mut server, _) = next.resumed() => {
            let mut found = vec![0; 64];
            let n = within("input", server.read(&mut found)).await.unwrap();
            found.truncate(n);
            Ok(found)
        }
    };
    drop(proxy);
    result
}

#[tokio::test]
async fn input_rule() {
    assert_eq!(unconsumed(Faults::default()).await, Ok(b"owledged".to_vec()));
    let lost = unconsumed(Faults { ignore_input_rule: true, ..Faults::default() }).await;
    assert!(lost.as_ref().is_err_and(|told| told.contains("ConnectionReset")), "{lost:?}");
}

/// What a client gets when the new primary sends again what the proxy has.
async fn repeated(faults: Faults) -> Vec<u8> {
    let mut pair = Pair::start(config(faults)).await;
    let (mut client, mut server, conn) = pair.client().await;
    write(&mut server, b"once").await;
    pair.backup.received(conn, 4).await;
    let (proxy, mut backup, at) = pair.kill_primary();
    drop(server);
    let next = Next::new().await;
    let carried = Carried { progress: progress(conn, 0, 4), output_from: 0 };
    backup.take_over(2, &next, at, vec![carried]).await;
    let (mut server, _) = next.resumed().await;
    write(&mut server, b"once more").await;
    drop(server);
    let mut found = Vec::new();
    within("the output", client.read_to_end(&mut found)).await.unwrap();
    drop(proxy);
    found
}

#[tokio::test]
async fn deduplication() {
    assert_eq!(repeated(Faults::default()).await, b"once more");
    assert_eq!(repeated(Faults { ignore_dedup: true, ..Faults::default() }).await, b"onceonce more");
    let faults = Faults { ignore_dedup: true, ..Faults::default() };
    assert_eq!(unconsumed(faults).await, Ok(b"knowledged".to_vec()), "input that was consumed comes twice");
}

/// What a client sees when the backup of an older epoch releases.
async fn released_by_the_past(faults: Faults) -> Vec<u8> {
    let mut pair = Pair::start(config(faults)).await;
    pair.primary.hello(2, Role::Primary).await;
    let mut reporter = Replica::greet(pair.proxy.control, 0xc, 2, Role::Backup).await;
    let (mut client, mut server, conn) = pair.client().await;
    let conn = common::ids::ConnId { epoch: common::ids::Epoch(2), ..conn };
    write(&mut server, b"secret").await;
    reporter.received(conn, 6).await;
    pair.backup.release(progress(conn, 0, 6)).await;
    watch(&mut client).await
}

#[tokio::test]
async fn epochs() {
    assert_eq!(released_by_the_past(Faults::default()).await, b"");
    let seen = released_by_the_past(Faults { ignore_epochs: true, ..Faults::default() }).await;
    assert_eq!(seen, b"secret");
}
