//! Processor time of other processes, by the names of their threads.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The processes to watch, and what their threads had used at the start.
#[derive(Debug)]
pub struct Watch {
    processes: Vec<(String, i32)>,
    start: Vec<BTreeMap<String, u64>>,
}

impl Watch {
    /// Each of `asked` is NAME=PID.
    pub fn new(asked: &[String]) -> Result<Self> {
        let process = |text: &String| {
            let (name, pid) = text.split_once('=').with_context(|| format!("--watch {text}: expected NAME=PID"))?;
            anyhow::Ok((name.to_owned(), pid.parse().with_context(|| format!("--watch {text}: expected NAME=PID"))?))
        };
        let processes = asked.iter().map(process).collect::<Result<Vec<_>>>()?;
        Ok(Self { processes, start: Vec::new() })
    }

    /// The measured time begins.
    pub fn begin(&mut self) -> Result<()> {
        self.start = self.processes.iter().map(|(_, pid)| used(*pid)).collect::<Result<_>>()?;
        Ok(())
    }

    /// Nanoseconds that each thread has used since: an object of objects.
    pub fn told(&self) -> Result<Value> {
        let mut all = serde_json::Map::new();
        for ((name, pid), start) in self.processes.iter().zip(&self.start) {
            let end = used(*pid)?;
            let since = |(thread, ns): (String, u64)| {
                let before = start.get(&thread).copied().unwrap_or(0);
                (thread, json!(ns.saturating_sub(before)))
            };
            all.insert(name.clone(), Value::Object(end.into_iter().map(since).collect()));
        }
        Ok(Value::Object(all))
    }
}

/// Nanoseconds on a processor, by thread name: the first field of proc_pid_schedstat.
fn used(pid: i32) -> Result<BTreeMap<String, u64>> {
    let directory = format!("/proc/{pid}/task");
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(&directory).context(directory)? {
        let path = entry?.path();
        // A thread may end between the look and the read.
        let (Ok(name), Ok(stat)) = (fs::read_to_string(path.join("comm")), fs::read_to_string(path.join("schedstat")))
        else {
            continue;
        };
        let ns: u64 = stat.split_whitespace().next().context("an empty schedstat")?.parse()?;
        *sums.entry(name.trim_end().to_owned()).or_default() += ns;
    }
    Ok(sums)
}
