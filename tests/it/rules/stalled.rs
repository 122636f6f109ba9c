//! A channel that passes nothing while both replicas live and hear each other beside it: no log gets through, so no output
//! may get out. Somebody has to go on alone, and not both.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Scene, staged};
use crate::support::line::Way;
use crate::support::program::Exit;
use crate::support::{OFTEN, poll, verdict};

/// A channel that is silent for ten times as long is given up.
const TIMEOUT_MS: u64 = 200;
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);

fn scenario(scene: &mut Scene) -> Result<()> {
    let mut client = scene.client("client")?;
    client.token()?;
    scene.channel.hold(Way::There);
    scene.channel.hold(Way::Back);
    let since = Instant::now();
    let told = client.token()?;
    let waited = since.elapsed();
    ensure!(waited > TIMEOUT * 5, "answered after {waited:?}: the channel was not held");
    println!("a client waited {} ms for the answer", waited.as_millis());
    let trio = &mut scene.trio;
    let exit = poll("one replica to end", OFTEN, || Ok(trio.primary.exit()?.or(trio.backup.exit()?)))?;
    ensure!(exit == Exit::Code(124), "the one that lost ends with {exit:?}, not 124");
    scene.trio.wait_solo()?;
    ensure!(client.ask("GET")? == told, "the client is served by another history");
    Ok(())
}

#[test]
fn a_channel_that_passes_nothing_is_given_up() {
    verdict(staged(None, TIMEOUT_MS, scenario));
}
