use super::*;
use crate::kernel::{Notice, bit};

const SI_TIMER: i32 = -2;

fn create(id: i32, clock: i64, event: &[u8]) -> Made {
    call(libc::SYS_timer_create, 0, &[clock, 0x1000, 0x2000]).input(1, event).output(2, &id.to_le_bytes())
}

/// struct sigevent.
fn event(value: u64, signal: i32, notify: i32, thread: i32) -> Vec<u8> {
    let words = [signal.to_le_bytes(), notify.to_le_bytes(), thread.to_le_bytes()].concat();
    [&value.to_le_bytes()[..], &words, &[0; 44]].concat()
}

fn settime(id: i64, flags: i64, result: i64, spec: &[u64; 4]) -> Made {
    call(libc::SYS_timer_settime, result, &[id, flags, 0x1000, 0]).input(2, &words(spec)).clock(1_000)
}

fn siginfo(signal: i32, id: i32, overrun: i32) -> Vec<u8> {
    let words = [signal, 0, SI_TIMER, 0, id, overrun].map(i32::to_le_bytes).concat();
    [words, vec![0; 104]].concat()
}

fn delivered(number: i32, id: i32, overrun: i32) -> Made {
    signal(number, &[0, 0]).with(SegmentRole::SigInfo, &siginfo(number, id, overrun))
}

/// Timers 3 and 4 with signal 40, 3 periodic.
fn two() -> Kernel {
    let mut kernel = fresh();
    kernel.takes(create(3, 1, &event(7, 40, libc::SIGEV_SIGNAL, 0)));
    kernel.takes(create(4, 0, &event(8, 40, libc::SIGEV_THREAD_ID, 100)));
    kernel.takes(settime(3, 0, 0, &[2, 0, 1, 0]));
    kernel.takes(settime(4, 0, 0, &[0, 0, 1, 0]));
    kernel
}

fn taken(kernel: &Kernel, id: i32) -> Option<u64> {
    kernel.posix_timers().get(id).unwrap().setting.map(|setting| setting.taken)
}

#[test]
fn a_timer_is_what_it_was_made_for() {
    let mut kernel = two();
    let notice = |kernel: &Kernel, id| kernel.posix_timers().get(id).unwrap().notice;
    assert_eq!(notice(&kernel, 3), Some(Notice { signal: 40, value: 7, thread: false }));
    assert_eq!(notice(&kernel, 4), Some(Notice { signal: 40, value: 8, thread: true }));
    kernel.takes(create(5, 7, &event(0, 0, libc::SIGEV_NONE, 0)));
    assert_eq!(notice(&kernel, 5), None);
    kernel.takes(call(libc::SYS_timer_create, 0, &[2, 0, 0x2000]).output(2, &pair(6, 0)));
    assert_eq!(notice(&kernel, 6), Some(Notice { signal: libc::SIGALRM, value: 6, thread: false }));
    kernel.takes(call(libc::SYS_timer_delete, 0, &[3]));
    assert_eq!(kernel.posix_timers().iter().map(|(id, _)| id).collect::<Vec<_>>(), [4, 5, 6]);
    kernel.takes(exec("another"));
    assert_eq!(kernel.posix_timers().iter().count(), 0);
}

#[test]
fn expiries_are_counted_by_the_timers_own_signals() {
    let mut kernel = two();
    kernel.takes(delivered(40, 3, 4));
    assert_eq!((taken(&kernel, 3), taken(&kernel, 4)), (Some(5), Some(0)));
    assert_eq!(kernel.posix_timers().get(3).unwrap().overrun, 4);
    // The first after 1 s, then five more after 2 s each; it was set at 1000 ns.
    assert_eq!(kernel.posix_timers().get(3).unwrap().setting.unwrap().next_ns(), 11_000_001_000);
    kernel.takes(delivered(41, 4, 0));
    assert_eq!(taken(&kernel, 4), Some(0), "it raises another signal");
    kernel.takes(signal(40, &[0, 0]).with(SegmentRole::SigInfo, &[0; 128]));
    assert_eq!(taken(&kernel, 4), Some(0), "sent by kill(2)");
    kernel.takes(delivered(40, 4, 0));
    assert_eq!(taken(&kernel, 4), None, "it was set for once");
    // Nobody says whose it is: there is one left that may have sent it.
    kernel.takes(call(libc::SYS_rt_sigtimedwait, 40, &[0x1000, 0, 0, 8]));
    assert_eq!(taken(&kernel, 3), Some(6));
}

#[test]
fn signals_that_are_read_or_waited_for_count_too() {
    let mut kernel = two();
    kernel.takes(call(libc::SYS_rt_sigtimedwait, 40, &[0x1000, 0x2000, 0, 8]).output(1, &siginfo(40, 3, 1)));
    assert_eq!(taken(&kernel, 3), Some(2));
    kernel.takes(call(libc::SYS_signalfd4, 3, &[-1, 0x1000, 8, 0]).input(1, &words(&[bit(40)])));
    let mut info = vec![0; 128];
    for (at, word) in [(0, 40), (8, SI_TIMER), (24, 3), (32, 6)] {
        info[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    kernel.takes(call(libc::SYS_read, 128, &[3, 0, 128]).output(1, &info));
    assert_eq!((taken(&kernel, 3), kernel.posix_timers().get(3).unwrap().overrun), (Some(9), 6));
}

#[test]
fn a_signal_that_a_timer_has_sent_is_not_sent_again_beside_it() {
    let mut kernel = two();
    kernel.takes(call(libc::SYS_rt_sigprocmask, 0, &[0, 0x1000, 0, 8]).input(1, &words(&[bit(40) | bit(41)])));
    kernel.takes(call(libc::SYS_rt_sigpending, 0, &[0x2000, 8]).output(0, &words(&[bit(40) | bit(41)])));
    assert_eq!(kernel.signals().pending().iter().map(|one| one.signal).collect::<Vec<_>>(), [41]);
}

#[test]
fn setting_begins_anew() {
    let mut kernel = two();
    kernel.takes(delivered(40, 3, 4));
    // It is set though what it was before could not be written.
    kernel.takes(settime(3, 1, i64::from(-libc::EFAULT), &[0, 0, 9, 0]));
    let timer = *kernel.posix_timers().get(3).unwrap();
    assert_eq!((timer.overrun, timer.setting.unwrap().next_ns()), (0, 9_000_000_000));
    kernel.takes(settime(3, 0, i64::from(-libc::EINVAL), &[0, 0, 0, 0]));
    assert!(taken(&kernel, 3).is_some());
    kernel.takes(settime(3, 0, 0, &[5, 0, 0, 0]));
    assert_eq!(taken(&kernel, 3), None);
}

#[test]
fn timers_that_cannot_be_are_refused() {
    let mut kernel = two();
    for made in [
        create(9, i64::from(libc::CLOCK_TAI), &event(0, 40, 0, 0)),
        create(9, 1, &event(0, 40, libc::SIGEV_THREAD_ID, 101)),
        create(9, 1, &event(0, 40, 8, 0)),
    ] {
        assert!(matches!(kernel.refuses(made), ModelError::Unsupported { .. }));
    }
    let unknown = call(libc::SYS_timer_delete, 0, &[9]);
    for made in
        [create(-1, 1, &event(0, 40, 0, 0)), create(9, 1, &event(0, 65, 0, 0)), settime(9, 0, 0, &[0; 4]), unknown]
    {
        assert!(matches!(kernel.refuses(made), ModelError::Inconsistent { .. }));
    }
}
