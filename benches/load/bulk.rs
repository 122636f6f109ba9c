//! One connection, many bytes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::Bulk;
use crate::watch::Watch;

/// Bytes of one write or read.
const BLOCK: usize = 256 << 10;

/// Moves the bytes and tells the seconds that it took from the first to the end of stream.
pub fn run(args: &Bulk) -> Result<Value> {
    let mut watch = Watch::new(&args.watch)?;
    let listener = TcpListener::bind(args.serve).with_context(|| format!("cannot listen on {}", args.serve))?;
    let accepting = thread::spawn(move || listener.accept());
    let near = TcpStream::connect(args.connect).with_context(|| format!("cannot connect to {}", args.connect))?;
    let (far, _) = accepting.join().map_err(|_| anyhow!("the accepting thread panicked"))??;
    let (from, to) = if args.upload { (near, far) } else { (far, near) };
    watch.begin()?;
    let start = Instant::now();
    let bytes = args.bytes;
    let sending = thread::spawn(move || send(from, bytes));
    let received = receive(to)?;
    let seconds = start.elapsed().as_secs_f64();
    sending.join().map_err(|_| anyhow!("the sending thread panicked"))??;
    ensure!(received == bytes, "{bytes} bytes were sent, {received} arrived");
    Ok(json!({ "bytes": bytes, "seconds": seconds, "cpu": watch.told()?, "foreign": watch.foreign()? }))
}

fn send(mut stream: TcpStream, bytes: u64) -> Result<TcpStream> {
    let block = vec![0x5a; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(&block[..now])?;
        left -= now as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(stream)
}

fn receive(mut stream: TcpStream) -> Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut received = 0;
    loop {
        match stream.read(&mut block)? {
            0 => return Ok(received),
            n => received += n as u64,
        }
    }
}
