//! `ftrun status`.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::args::Status;
use crate::exit::Exit;
use crate::state::StateDir;

/// Asks everyone in the state directory: the proxy, and the replicas, the acting one first.
pub fn gather(state: &StateDir) -> Result<Option<Value>> {
    let mut replicas = Vec::new();
    let mut proxy = Value::Null;
    let mut epoch = 0;
    for mut answer in state.ask_all()? {
        epoch = epoch.max(answer["epoch"].as_u64().unwrap_or(0));
        let is_proxy = answer["role"] == "proxy";
        if let Some(object) = answer.as_object_mut() {
            object.remove("epoch");
            if is_proxy {
                object.remove("role");
            }
        }
        if is_proxy { proxy = answer } else { replicas.push(answer) }
    }
    if replicas.is_empty() && proxy.is_null() {
        return Ok(None);
    }
    replicas.sort_by_key(|replica| replica["role"] == "backup");
    Ok(Some(json!({ "epoch": epoch, "proxy": proxy, "replicas": replicas })))
}

pub fn run(args: Status) -> Result<Exit> {
    let state = StateDir::existing(args.state_dir.as_deref())?;
    let Some(status) = gather(&state)? else {
        bail!("nothing runs in {}", state.path().display());
    };
    let text = if args.json { format!("{status}\n") } else { as_text(&status)? };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("the status cannot be written"),
        _ => Ok(Exit::Success),
    }
}

fn as_text(status: &Value) -> Result<String> {
    let mut text = format!("epoch {}\n", status["epoch"]);
    if let Some(proxy) = status["proxy"].as_object() {
        writeln!(
            text,
            "proxy    pid {:<8} connections {} listening on {}",
            proxy["pid"], proxy["connections"], proxy["listen"]
        )?;
    }
    for replica in status["replicas"].as_array().into_iter().flatten() {
        writeln!(
            text,
            "{:<8} pid {:<8} server {} lsn {} acknowledged {} replayed {} lag {} ms",
            replica["role"].as_str().unwrap_or("?"),
            replica["ftrun_pid"],
            replica["server_pid"],
            replica["lsn"],
            replica["acked_lsn"],
            replica["replayed_lsn"],
            replica["lag_ms"],
        )?;
        if let (Some(sent), Some(stored)) = (replica["sent_bytes"].as_u64(), replica["stored_bytes"].as_u64()) {
            writeln!(text, "         {sent} bytes of log sent in {stored} bytes of frames")?;
        }
        if let (Some(calls), Some(waits)) = (replica["fast_calls"].as_u64(), replica["ring_waits"].as_u64()) {
            writeln!(text, "         {calls} calls made in process, which waited {waits} times for room in the ring")?;
        }
        for socket in replica["unprotected"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            writeln!(text, "         without the output rule: {socket}")?;
        }
    }
    Ok(text)
}
