//! Processor time of other processes, by the names of their threads, and of those that have nothing to do with the run.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The processes to watch, and what their threads had used at the start.
#[derive(Debug)]
pub struct Watch {
    processes: Vec<(String, i32)>,
    start: Vec<BTreeMap<String, u64>>,
    own: u64,
    idle: u64,
    begun: Instant,
}

/// Nanoseconds of a tick of /proc/stat: USER_HZ is 100 on all that ftrun runs on.
const TICK: u64 = 10_000_000;

impl Watch {
    /// Each of `asked` is NAME=PID.
    pub fn new(asked: &[String]) -> Result<Self> {
        let process = |text: &String| {
            let (name, pid) = text.split_once('=').with_context(|| format!("--watch {text}: expected NAME=PID"))?;
            anyhow::Ok((name.to_owned(), pid.parse().with_context(|| format!("--watch {text}: expected NAME=PID"))?))
        };
        let processes = asked.iter().map(process).collect::<Result<Vec<_>>>()?;
        Ok(Self { processes, start: Vec::new(), own: 0, idle: 0, begun: Instant::now() })
    }

    /// The measured time begins.
    pub fn begin(&mut self) -> Result<()> {
        self.start = self.processes.iter().map(|(_, pid)| used(*pid)).collect::<Result<_>>()?;
        self.own = own()?;
        self.idle = processors()?.0;
        self.begun = Instant::now();
        Ok(())
    }

    /// The share of all processors that neither this process nor a watched one has had since: who else runs here.
    pub fn foreign(&self) -> Result<f64> {
        let mut ours = own()? - self.own;
        for ((_, pid), start) in self.processes.iter().zip(&self.start) {
            ours += used(*pid)?.values().sum::<u64>().saturating_sub(start.values().sum());
        }
        let (idle, count) = processors()?;
        let all = self.begun.elapsed().as_secs_f64() * f64::from(count);
        let known = std::time::Duration::from_nanos(idle - self.idle + ours).as_secs_f64();
        Ok((1.0 - known / all).max(0.0))
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

/// Nanoseconds that this process has used.
fn own() -> Result<u64> {
    Ok(used(i32::try_from(std::process::id())?)?.values().sum())
}

/// Nanoseconds in which processors were idle, summed up, and how many there are: proc_stat(5).
fn processors() -> Result<(u64, u32)> {
    let text = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let (mut idle, mut count) = (0, 0);
    for line in text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")) {
        // Idle, and waiting for a disk.
        let ticks = line.split_whitespace().skip(4).take(2).map(str::parse::<u64>);
        idle += ticks.sum::<Result<u64, _>>().context("/proc/stat")? * TICK;
        count += 1;
    }
    Ok((idle, count))
}
