//! `ftrun demo`: a key-value server under ftrun, clients that count, and the death of the primary in the middle.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::status;
use crate::args::Demo;
use crate::exit::Exit;
use crate::state::StateDir;

const CLIENTS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(20);

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    longest_stall: Duration,
    lost: u64,
    reconnects: u64,
}

/// The service, ended whatever happens.
struct Service {
    primary: Child,
    directory: PathBuf,
    pids: Vec<i32>,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Those that have ended already are what is wanted.
        let _ = self.primary.kill();
        let _ = self.primary.wait();
        for pid in &self.pids {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn run(args: Demo) -> Result<Exit> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let directory = std::env::temp_dir().join(format!("ftrun-demo-{}", std::process::id()));
    let state = StateDir::open(Some(&directory))?;
    let program = std::env::current_exe()?;
    let primary = Command::new(&program)
        .arg("--state-dir")
        .arg(&directory)
        .arg("--")
        .arg(&program)
        .args(["example-kv", "--listen", &free.to_string()])
        .spawn()
        .context("ftrun cannot be started")?;
    let mut service = Service { primary, directory, pids: Vec::new() };
    let before = wait_for(&state, |status| {
        let listening = status["proxy"]["listen"].as_array().is_some_and(|l| l.iter().any(|a| a == &free.to_string()));
        listening && replica(status, "primary").is_some() && replica(status, "backup").is_some()
    })
    .context("the pair does not come up")?;
    let of_replica = |role: &str| pid(replica(&before, role).map(|replica| &replica["ftrun_pid"]), role);
    let (primary, backup) = (of_replica("primary")?, of_replica("backup")?);
    service.pids = vec![backup, pid(Some(&before["proxy"]["pid"]), "proxy")?];
    println!(
        "demo: a key-value server on {free}; primary {primary}, backup {backup}, proxy {}",
        before["proxy"]["pid"]
    );
    println!("demo: {CLIENTS} clients count for {} s, each on one connection", args.seconds);

    let start = Instant::now();
    let end = start + Duration::from_secs(args.seconds.max(1));
    let clients: Vec<_> = (0..CLIENTS).map(|number| std::thread::spawn(move || count(free, number, end))).collect();
    std::thread::sleep(Duration::from_millis(args.seconds.max(1) * 500));
    println!("demo: {:.1} s: SIGKILL to the primary, process {primary}", start.elapsed().as_secs_f64());
    kill(Pid::from_raw(primary), Signal::SIGKILL)?;
    service.primary.wait()?;
    let after = wait_for(&state, |status| replica(status, "solo").is_some()).context("nobody took over")?;
    println!("demo: {:.1} s: epoch {}, process {backup} serves", start.elapsed().as_secs_f64(), after["epoch"]);

    let mut total = Seen::default();
    for client in clients {
        let seen = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        total.requests += seen.requests;
        total.longest_stall = total.longest_stall.max(seen.longest_stall);
        total.lost += seen.lost;
        total.reconnects += seen.reconnects;
    }
    kill(Pid::from_raw(backup), Signal::SIGTERM)?;
    wait_until_gone(&state)?;
    service.pids.clear();
    let Seen { requests, longest_stall, lost, reconnects } = total;
    println!(
        "demo: requests={requests} longest_stall_ms={} lost={lost} reconnects={reconnects}",
        longest_stall.as_millis()
    );
    Ok(if lost == 0 && reconnects == 0 && requests > 0 { Exit::Success } else { Exit::Failed })
}

fn replica<'a>(status: &'a Value, role: &str) -> Option<&'a Value> {
    status["replicas"].as_array()?.iter().find(|replica| replica["role"] == role)
}

/// A process id in the status: one that is not there must not become 0, which a signal takes for a whole process group.
fn pid(value: Option<&Value>, of: &str) -> Result<i32> {
    let pid = value.and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok()).filter(|&pid| pid > 0);
    pid.with_context(|| format!("the status names no process of the {of}"))
}

fn wait_for(state: &StateDir, ready: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = status::gather(state)?
            && ready(&status)
        {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("not within {PATIENCE:?}")
}

fn wait_until_gone(state: &StateDir) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while status::gather(state)?.is_some() {
        if Instant::now() > deadline {
            bail!("the service does not end within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Counts at one key until the time is over: every answer must be the next number.
fn count(server: SocketAddr, number: usize, end: Instant) -> Result<Seen> {
    let mut seen = Seen::default();
    let connect = || -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    };
    let mut stream = connect()?;
    let mut expected = 1u64;
    while Instant::now() < end {
        let asked = Instant::now();
        let mut line = String::new();
        let request = format!("INCR client{number}\n");
        let answered = stream.get_mut().write_all(request.as_bytes()).and_then(|()| stream.read_line(&mut line));
        seen.longest_stall = seen.longest_stall.max(asked.elapsed());
        match (answered, line.trim().parse::<u64>()) {
            (Ok(_), Ok(value)) => {
                seen.requests += 1;
                // A number that was acknowledged before must never come again, and none may be left out.
                seen.lost += u64::from(value != expected);
                expected = value + 1;
            }
            _ => {
                seen.reconnects += 1;
                stream = connect()?;
            }
        }
    }
    Ok(seen)
}
