//! The load of `benches/table`: asks a server over many connections and tells what it took, or moves bytes through a proxy.
//!
//! One thread and one epoll set ask all servers in the same way, so that their latencies compare. Every reply is checked: a
//! wrong one ends the run. One JSON object goes to standard output.

#![expect(unreachable_pub, reason = "nothing outside of a program uses its modules")]

mod bulk;
mod protocol;
mod requests;
mod watch;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Parser, Subcommand};

use protocol::Server;

/// What to do.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Ask a server.
    Requests(Requests),
    /// Move bytes from one end of a connection to the other, through whatever is between.
    Bulk(Bulk),
}

#[derive(Debug, clap::Args)]
struct Requests {
    /// Whose protocol to speak.
    #[arg(long)]
    server: Server,
    /// Where the server is.
    #[arg(long)]
    connect: SocketAddr,
    /// Connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Requests that are under way on each connection.
    #[arg(long, default_value_t = 1)]
    depth: usize,
    /// Seconds that are not measured, at the start.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// A process whose processor time is told.
    #[arg(long, value_name = "NAME=PID")]
    watch: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Bulk {
    /// Where to accept the connection.
    #[arg(long)]
    serve: SocketAddr,
    /// Where to connect: the same address, or that of a proxy in front of it.
    #[arg(long)]
    connect: SocketAddr,
    /// Bytes to move.
    #[arg(long)]
    bytes: u64,
    /// From the end that connects to the end that accepts; otherwise the other way.
    #[arg(long)]
    upload: bool,
    /// A process whose processor time is told.
    #[arg(long, value_name = "NAME=PID")]
    watch: Vec<String>,
}

fn main() -> Result<()> {
    let told = match Arguments::parse().job {
        Job::Requests(args) => requests::run(&args)?,
        Job::Bulk(args) => bulk::run(&args)?,
    };
    println!("{told}");
    Ok(())
}
