//! ngircd: clients that talk on one channel.
//!
//! A session's own commands are answered in order. Between the answers come the lines that others
//! cause: from each of them they come in the order in which it sent them, none missing, none twice,
//! though how those of several interleave is the server's choice. At the end the server itself says
//! how many bytes it has read from and written to each connection.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{External, SESSIONS, Server, Session};
use crate::support::installed;
use crate::support::program::{Exit, Program};
use crate::support::rng::Rng;
use crate::support::wire::Wire;

server_tests!(Ngircd);

const SERVER: &str = "irc.example.net";
const CHANNEL: &str = "#all";

struct Ngircd {
    command: Vec<OsString>,
}

impl Server for Ngircd {
    const ON_SIGTERM: Exit = Exit::Code(0);
    type Session = Chatter;
    type External = Sic;

    fn prepare(address: SocketAddr, dir: &Path) -> Result<Self> {
        let configuration = dir.join("ngircd.conf");
        fs::write(&configuration, configure(address))?;
        let mut command = vec![installed("ngircd")?.into(), "-n".into()];
        command.extend(["-f".into(), configuration.into()]);
        Ok(Self { command })
    }

    fn command(&self) -> Vec<OsString> {
        self.command.clone()
    }

    fn open(&self, address: SocketAddr, index: usize) -> Result<Chatter> {
        Chatter::open(address, index)
    }

    fn external(&self, address: SocketAddr, dir: &Path) -> Result<Sic> {
        Sic::connect(address, dir)
    }

    fn conclude(&self, address: SocketAddr, mut chatters: Vec<Chatter>) -> Result<()> {
        let said: Vec<u64> = chatters.iter().map(|it| it.said).collect();
        for chatter in &mut chatters {
            while (0..SESSIONS).any(|peer| peer != chatter.index && chatter.heard[peer] < said[peer]) {
                let line = chatter.wire.line()?;
                ensure!(chatter.overheard(&line)?, "{}", line.escape_ascii());
            }
        }
        let mut audit = Wire::connect(address, "audit")?;
        register(&mut audit, "audit")?;
        for chatter in &chatters {
            audit.send(format!("LIST {}\r\n", chatter.own_channel()).as_bytes())?;
            let channel = chatter.own_channel();
            let lines = [
                "321 audit Channel :Users  Name".to_owned(),
                format!("322 audit {channel} 1 :{}", chatter.topic),
                "323 audit :End of LIST".to_owned(),
            ];
            let entry: String = lines.map(|line| format!(":{SERVER} {line}\r\n")).concat();
            audit.expect(entry.as_bytes())?;
        }
        quit(&mut audit, "audit")?;
        // Who is left hears that the others quit, in their order.
        for index in 0..chatters.len() {
            let chatter = &mut chatters[index];
            let mask = chatter.mask.clone();
            quit(&mut chatter.wire, &chatter.nick).with_context(|| mask.clone())?;
            for other in &mut chatters[index + 1..] {
                other.wire.expect(format!(":{mask} QUIT :\"done\"\r\n").as_bytes())?;
            }
        }
        Ok(())
    }
}

fn configure(address: SocketAddr) -> String {
    // Run by root it becomes nobody: ngircd refuses to stay root.
    let identity = if nix::unistd::geteuid().is_root() { "ServerUID = 65534\nServerGID = 65534\n" } else { "" };
    format!(
        "[Global]
Name = {SERVER}
Info = test server
Listen = {}
Ports = {}
MotdPhrase = hello
{identity}[Limits]
MaxConnectionsIP = 0
MaxPenaltyTime = 0
[Options]
DNS = no
Ident = no
PAM = no
",
        address.ip(),
        address.port()
    )
}

/// Sends NICK and USER and reads the greeting.
fn register(wire: &mut Wire, nick: &str) -> Result<()> {
    wire.send(format!("NICK {nick}\r\nUSER {nick} 0 * :test\r\n").as_bytes())?;
    let start = format!(":{SERVER} ");
    loop {
        let line = String::from_utf8(wire.line()?).context("a line in ASCII")?;
        let rest = line.strip_prefix(&start);
        let rest = rest.with_context(|| format!("in the greeting: {line}"))?;
        match rest.split(' ').next() {
            Some("376") => return Ok(()),
            Some(number) if number.len() == 3 => {}
            _ => bail!("in the greeting: {line}"),
        }
    }
}

/// Quits; the server's count of this connection's bytes must be this side's.
fn quit(wire: &mut Wire, nick: &str) -> Result<()> {
    let received = wire.looked_at();
    wire.send(b"QUIT :done\r\n")?;
    let sent = wire.sent();
    wire.expect(
        format!(
            ":{SERVER} NOTICE {nick} :Connection statistics: client {} kb, server {} kb.\r\n\
             ERROR :\"done\"\r\n",
            kilobytes(sent),
            kilobytes(received)
        )
        .as_bytes(),
    )?;
    wire.ended()
}

#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn kilobytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1024.0)
}

/// What session `index` says as number `number`: every other session can tell it too.
fn speech(index: usize, number: u64) -> String {
    let mut rng = Rng::part(index as u64, number);
    let length = rng.length(40, 380);
    format!("{number} {}", rng.word(length))
}

/// One user.
struct Chatter {
    wire: Wire,
    index: usize,
    nick: String,
    /// The user as others see it.
    mask: String,
    topic: String,
    /// Messages said on the common channel.
    said: u64,
    /// The masks of those that joined later, and how many messages came from each.
    masks: [Option<String>; SESSIONS],
    heard: [u64; SESSIONS],
}

impl Chatter {
    fn open(address: SocketAddr, index: usize) -> Result<Self> {
        let nick = format!("user{index}");
        let mut wire = Wire::connect(address, nick.clone())?;
        register(&mut wire, &nick)?;
        let mut chatter = Self {
            wire,
            index,
            nick,
            mask: String::new(),
            topic: "none yet".to_owned(),
            said: 0,
            masks: Default::default(),
            heard: [0; SESSIONS],
        };
        chatter.join(CHANNEL)?;
        chatter.join(&chatter.own_channel())?;
        chatter.set_topic()?;
        Ok(chatter)
    }

    fn own_channel(&self) -> String {
        format!("#of-{}", self.nick)
    }

    fn join(&mut self, channel: &str) -> Result<()> {
        self.wire.send(format!("JOIN {channel}\r\n").as_bytes())?;
        let line = String::from_utf8(self.wire.line()?).context("a line in ASCII")?;
        let mask = line.strip_suffix(&format!(" JOIN :{channel}\r\n"));
        let mask = mask.and_then(|mask| mask.strip_prefix(':'));
        mask.with_context(|| line.clone())?.clone_into(&mut self.mask);
        let names = String::from_utf8(self.wire.line()?).context("a line in ASCII")?;
        let start = format!(":{SERVER} 353 {} = {channel} :", self.nick);
        ensure!(names.starts_with(&start), "{names}");
        let end = format!(":{SERVER} 366 {} {channel} :End of NAMES list\r\n", self.nick);
        self.wire.expect(end.as_bytes())
    }

    fn set_topic(&mut self) -> Result<()> {
        let line = format!("TOPIC {} :{}\r\n", self.own_channel(), self.topic);
        self.wire.send(line.as_bytes())?;
        self.answer(&format!(":{} {line}", self.mask))
    }

    /// The next line that is not somebody else's is `wanted`.
    fn answer(&mut self, wanted: &str) -> Result<()> {
        let line = self.own_line()?;
        let at = self.wire.looked_at() - line.len() as u64;
        self.wire.same(at, wanted.as_bytes(), &line)
    }

    fn own_line(&mut self) -> Result<Vec<u8>> {
        loop {
            let line = self.wire.line()?;
            if !self.overheard(&line)? {
                return Ok(line);
            }
        }
    }

    /// Whether the line was caused by another user; if so it is the next one due from it.
    fn overheard(&mut self, line: &[u8]) -> Result<bool> {
        let text = str::from_utf8(line).context("a line in ASCII")?;
        let other = |peer: &usize| *peer != self.index && text.starts_with(&format!(":user{peer}!"));
        let Some(peer) = (0..SESSIONS).find(other) else {
            return Ok(false);
        };
        let mask = text[1..].split(' ').next().unwrap_or_default();
        let known = self.masks[peer].get_or_insert_with(|| mask.to_owned());
        // Who opened its session later has joined first.
        let wanted = if peer > self.index && self.heard[peer] == 0 && text.contains(" JOIN ") {
            format!(":{known} JOIN :{CHANNEL}\r\n")
        } else {
            let number = self.heard[peer];
            self.heard[peer] += 1;
            format!(":{known} PRIVMSG {CHANNEL} :{}\r\n", speech(peer, number))
        };
        let at = self.wire.looked_at() - line.len() as u64;
        self.wire.same(at, wanted.as_bytes(), line)?;
        Ok(true)
    }

    /// Adds a command to `commands`; returns the answer, if there is one.
    fn command(&mut self, rng: &mut Rng, commands: &mut String) -> Option<String> {
        let nick = &self.nick;
        let length = rng.length(30, 300);
        let text = rng.word(length);
        let (command, answer) = match rng.below(8) {
            0..=1 => (format!("PING :{text}"), Some(format!(":{SERVER} PONG {SERVER} :{text}"))),
            2 => {
                let command = format!("PRIVMSG {nick} :{text}");
                let answer = format!(":{} {command}", self.mask);
                (command, Some(answer))
            }
            3 => {
                let command = format!("NOTICE {nick} :{text}");
                let answer = format!(":{} {command}", self.mask);
                (command, Some(answer))
            }
            4 => {
                let command = format!("TOPIC {} :{text}", self.own_channel());
                let answer = format!(":{} {command}", self.mask);
                self.topic = text;
                (command, Some(answer))
            }
            5 => (format!("ISON {nick} nobody"), Some(format!(":{SERVER} 303 {nick} :{nick}"))),
            _ => {
                let speech = speech(self.index, self.said);
                self.said += 1;
                (format!("PRIVMSG {CHANNEL} :{speech}"), None)
            }
        };
        commands.push_str(&command);
        commands.push_str("\r\n");
        answer.map(|answer| format!("{answer}\r\n"))
    }
}

impl Session for Chatter {
    fn step(&mut self, rng: &mut Rng) -> Result<()> {
        let mut commands = String::new();
        let mut answers = Vec::new();
        for _ in 0..=rng.below(3) {
            answers.extend(self.command(rng, &mut commands));
        }
        // Every step ends with an answer, so that no session runs ahead of the server.
        commands.push_str("PING :step\r\n");
        answers.push(format!(":{SERVER} PONG {SERVER} :step\r\n"));
        self.wire.send(commands.as_bytes())?;
        answers.iter().try_for_each(|answer| self.answer(answer))
    }

    fn longest_wait(&self) -> Duration {
        self.wire.longest_wait()
    }
}

/// `sic`, which talks to itself: it shows what it says and what it hears.
struct Sic {
    program: Program,
    said: u32,
}

impl Sic {
    fn connect(address: SocketAddr, dir: &Path) -> Result<Self> {
        let mut command = Command::new(installed("sic")?);
        command.arg("-h").arg(address.ip().to_string());
        command.arg("-p").arg(address.port().to_string());
        let mut program = Program::start_fed("sic", command.args(["-n", "sic"]), dir)?;
        let welcome = |printed: &[u8]| contains(printed, b"End of MOTD");
        program.wait_stdout("the greeting", welcome)?;
        let mut sic = Self { program, said: 0 };
        for _ in 0..5 {
            sic.say()?;
            sic.heard()?;
        }
        Ok(sic)
    }

    fn say(&mut self) -> Result<()> {
        self.said += 1;
        let line = format!(":m sic probe-{:03}\n", self.said);
        self.program.feed(line.as_bytes())
    }

    /// Waits until it has heard everything that it said, and compares.
    fn heard(&mut self) -> Result<()> {
        let probes = |printed: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(printed).into_owned();
            let words = text.split_whitespace().map(str::to_owned);
            words.filter(|word| word.starts_with("probe-")).collect()
        };
        // Each is shown when it is said and when it is heard.
        let all = self.said as usize * 2;
        let enough = |printed: &[u8]| probes(printed).len() >= all;
        self.program.wait_stdout("every message twice", enough)?;
        let shown = probes(&self.program.stdout()?);
        let wanted = (1..=self.said).flat_map(|number| {
            let probe = format!("probe-{number:03}");
            [probe.clone(), probe]
        });
        let wanted: Vec<_> = wanted.collect();
        ensure!(shown == wanted, "sic showed {shown:?}");
        Ok(())
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

impl External for Sic {
    fn push(&mut self) -> Result<()> {
        self.say()
    }

    fn finish(mut self) -> Result<()> {
        self.heard()?;
        for _ in 0..5 {
            self.say()?;
            self.heard()?;
        }
        // At the end of its input it ends; that it was still connected is seen above.
        self.program.end_input();
        self.program.wait()?;
        Ok(())
    }
}
