use tracer::clock::now_ns;

use super::*;

const NONE: i32 = libc::SIGEV_NONE;
const TO_THREAD: i32 = libc::SIGEV_THREAD_ID;

impl Model {
    fn timer(&mut self, id: i32, clock: i32, (notify, signal, value): (i32, i32, u64)) -> &mut Self {
        let notification = [signal.to_le_bytes(), notify.to_le_bytes(), 100i32.to_le_bytes()].concat();
        let event = [&value.to_le_bytes()[..], &notification, &[0; 44]].concat();
        let segments = [(SegmentRole::In, 1, event.as_slice()), (SegmentRole::Out, 2, &id.to_le_bytes())];
        self.call(libc::SYS_timer_create, 0, &[clock.into(), 0x1000, 0x1000], &segments)
    }

    /// Sets a timer, at 3 s of the server's clock. Seconds; a date where `flags` say so.
    fn set(&mut self, id: i32, flags: i32, first: u64, interval: u64) -> &mut Self {
        let spec = words(&[interval, 0, first, 0]);
        let clock = (3 * SECOND).to_le_bytes();
        let segments = [(SegmentRole::In, 2, spec.as_slice()), (SegmentRole::Clock, 0, &clock)];
        self.call(libc::SYS_timer_settime, 0, &[id.into(), flags.into(), 0x1000, 0], &segments)
    }

    /// A signal of a timer is delivered.
    fn heard(&mut self, id: i32, signal: i32, overrun: i32) -> &mut Self {
        let mut info = [0; 128];
        for (at, word) in [(0, signal), (8, -2), (16, id), (20, overrun)] {
            info[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        let mut record = Record::new(Kind::Signal, signal as u16, 0);
        record.segments.push(Segment { address: 0, role: SegmentRole::SigInfo, arg: 0, bytes: info.to_vec() });
        self.kernel.apply(&record).unwrap();
        self
    }
}

fn revived(model: &Model, answers: &[(i64, i64)]) -> (Table, Report) {
    let mut table = Table::new();
    table.answers.extend([(libc::SYS_getpid, 4321)]);
    table.answers.extend(answers.iter().copied());
    let report = revive(&model.kernel, &mut table, &mut model.prepare(), clock(5 * SECOND)).unwrap();
    (table, report)
}

/// Ids, flags and times of the timers that were set: interval and value in nanoseconds.
fn set(table: &Table) -> Vec<(u64, u64, u64, u64)> {
    let set = table.ran.iter().filter(|ran| ran.number == libc::SYS_timer_settime);
    set.map(|ran| {
        let word = |at: usize| u64::from_le_bytes(ran.scratch[at..at + 8].try_into().unwrap());
        (ran.args[0], ran.args[1], word(0) * SECOND + word(8), word(16) * SECOND + word(24))
    })
    .collect()
}

fn numbers(table: &Table, timers: &[i64]) -> Vec<i64> {
    table.ran.iter().map(|ran| ran.number).filter(|number| timers.contains(number)).collect()
}

#[test]
fn timers_get_their_ids() {
    let mut model = Model::new();
    model.timer(7, libc::CLOCK_BOOTTIME, (TO_THREAD, 40, 99)).timer(2, libc::CLOCK_MONOTONIC, (NONE, 0, 0));
    let (table, report) = revived(&model, &[]);
    assert_eq!(report.losses, []);
    let made: Vec<_> = table.ran.iter().filter(|ran| ran.number == libc::SYS_timer_create).collect();
    let clocks: Vec<_> = made.iter().map(|ran| ran.args[0] as i32).collect();
    assert_eq!(clocks, [libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME]);
    let event = |at: usize| i32::from_le_bytes(made[1].scratch[at..at + 4].try_into().unwrap());
    assert_eq!([0, 8, 12, 16, 64].map(event), [99, 40, TO_THREAD, 4321, 7], "the thread by its real id");
    let options: Vec<_> = table.ran.iter().filter(|ran| ran.number == libc::SYS_prctl).map(|ran| ran.args).collect();
    assert_eq!(options, [[77, 1, 0, 0, 0, 0], [77, 0, 0, 0, 0, 0]]);
    assert_eq!(set(&table), [], "neither ran");
}

#[test]
fn a_kernel_that_counts_is_brought_to_the_id() {
    let mut model = Model::new();
    model.timer(2, libc::CLOCK_MONOTONIC, (NONE, 0, 0)).timer(3, libc::CLOCK_MONOTONIC, (NONE, 0, 0)).set(3, 0, 10, 0);
    let (create, delete, look) = (libc::SYS_timer_create, libc::SYS_timer_delete, libc::SYS_timer_gettime);
    let (table, report) = revived(&model, &[(libc::SYS_prctl, -i64::from(libc::EINVAL))]);
    assert_eq!(report.losses, []);
    let made = numbers(&table, &[create, delete, look, libc::SYS_timer_settime]);
    assert_eq!(made, [create, delete, create, delete, create, look, create, look, libc::SYS_timer_settime]);
    model.timer(20_000, libc::CLOCK_MONOTONIC, (NONE, 0, 0));
    let (_, report) = revived(&model, &[(libc::SYS_prctl, -i64::from(libc::EINVAL))]);
    assert_eq!(report.losses[0].what, "POSIX timer 20000");
}

#[test]
fn a_timer_that_cannot_be_made_is_a_loss() {
    let mut model = Model::new();
    model.timer(0, libc::CLOCK_MONOTONIC, (libc::SIGEV_SIGNAL, 40, 0)).set(0, 0, 10, 0);
    let (table, report) = revived(&model, &[(libc::SYS_timer_create, -i64::from(libc::EAGAIN))]);
    assert_eq!((report.losses.len(), report.losses[0].what.as_str()), (1, "POSIX timer 0"));
    assert_eq!(set(&table), []);
    let answers = [(libc::SYS_prctl, -1), (libc::SYS_timer_gettime, -i64::from(libc::EINVAL))];
    let (_, report) = revived(&model, &answers);
    assert_eq!(report.losses[0].why, "does not run any more: the kernel gives other ids to timers");
}

#[test]
fn timers_go_on_with_what_is_left() {
    let signal = (libc::SIGEV_SIGNAL, 40, 0);
    let mut model = Model::new();
    model
        // A date, and the time from 3 s on: two expiries of it were heard of.
        .timer(0, libc::CLOCK_MONOTONIC, signal)
        .set(0, 1, 60, 0)
        .timer(1, libc::CLOCK_MONOTONIC, signal)
        .set(1, 0, 10, 4)
        .heard(1, 40, 1)
        // By the calendar: ahead, a date, and past.
        .timer(2, libc::CLOCK_REALTIME, signal)
        .set(2, 0, 10, 0)
        .timer(3, libc::CLOCK_REALTIME, signal)
        .set(3, 1, 77, 0)
        .timer(4, libc::CLOCK_REALTIME, signal)
        .set(4, 0, 1, 3)
        // Processor time that is left is not known.
        .timer(5, libc::CLOCK_PROCESS_CPUTIME_ID, signal)
        .set(5, 0, 20, 6)
        .timer(6, libc::CLOCK_THREAD_CPUTIME_ID, signal)
        .set(6, 0, 20, 6)
        .heard(6, 40, 0)
        // Heard, or stopped.
        .timer(7, libc::CLOCK_MONOTONIC, signal)
        .set(7, 0, 5, 0)
        .heard(7, 40, 0)
        .timer(8, libc::CLOCK_MONOTONIC, signal)
        .set(8, 0, 5, 0)
        .set(8, 0, 0, 0);
    let (own, calendar) = (now_ns(libc::CLOCK_MONOTONIC), now_ns(libc::CLOCK_REALTIME));
    let (table, report) = revived(&model, &[]);
    assert_eq!(report.losses, []);
    let set = set(&table);
    let near = |found: u64, expected: u64| found.abs_diff(expected) < 5 * SECOND / 2;
    assert_eq!(
        set.iter().map(|s| (s.0, s.1, s.2 / SECOND)).collect::<Vec<_>>(),
        [(0, 1, 0), (1, 1, 4), (2, 0, 0), (3, 1, 0), (4, 1, 3), (5, 0, 6), (6, 0, 6)]
    );
    // The server's clock shows 5 s where this machine's shows `own`.
    assert!(near(set[0].3, own + 55 * SECOND), "{set:?}");
    assert!(near(set[1].3, own + 16 * SECOND), "{set:?}");
    assert!(near(set[2].3, 8 * SECOND), "{set:?}");
    assert_eq!(set[3].3, 77 * SECOND);
    assert!(near(set[4].3, calendar - SECOND), "{set:?}");
    assert_eq!([set[5].3, set[6].3], [20 * SECOND, 6 * SECOND]);
}

#[test]
fn a_date_on_the_processor_clock_moves_with_what_the_server_has_read() {
    let mut model = Model::new();
    let clock = libc::CLOCK_PROCESS_CPUTIME_ID;
    model.call(libc::SYS_clock_gettime, 0, &[clock.into(), 0x1000], &[(SegmentRole::Out, 1, &words(&[30, 0]))]);
    model.timer(0, clock, (libc::SIGEV_SIGNAL, 40, 0)).set(0, 1, 42, 0);
    model.timer(1, clock, (libc::SIGEV_SIGNAL, 40, 0)).set(1, 1, 29, 0);
    assert_eq!(set(&revived(&model, &[]).0), [(0, 1, 0, 12 * SECOND), (1, 1, 0, 1)]);
}
