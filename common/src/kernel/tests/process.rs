use super::*;
use crate::kernel::{Disposition, Ids, Limit, Pending, Sent, WaitFor, bit, killed_info};

const HANDLER: u64 = 0x40_0000;

fn action(signal: i32, handler: u64, flags: i32, mask: u64) -> Made {
    let act = words(&[handler, u64::from(flags as u32), 0x50_0000, mask]);
    call(libc::SYS_rt_sigaction, 0, &[i64::from(signal), 0x1000, 0, 8]).input(1, &act)
}

fn waiting(kernel: &Kernel) -> Vec<i32> {
    kernel.signals().pending().iter().map(|one| one.signal).collect()
}

fn mask(how: i32, set: u64) -> Made {
    call(libc::SYS_rt_sigprocmask, 0, &[i64::from(how), 0x1000, 0, 8]).input(1, &words(&[set]))
}

#[test]
fn only_a_call_that_writes_raises_sigpipe() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_pipe2, 0, &[0x2000, 0]).output(0, &pair(3, 4)));
    kernel.takes(call(libc::SYS_close, 0, &[3]));
    // The number of descriptors is not logged.
    kernel.takes(call(libc::SYS_select, -i64::from(libc::EPIPE), &[4, 0, 0, 0, 0]));
    assert_eq!(kernel.signals().pending(), []);
    kernel.takes(call(libc::SYS_write, -i64::from(libc::EPIPE), &[4, 0x1000, 1]));
    assert_eq!(kernel.signals().pending().len(), 1);
}

#[test]
fn a_handler_runs_under_its_mask_and_returns_to_the_old_one() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGUSR1, HANDLER, 0, bit(libc::SIGHUP)));
    kernel.takes(mask(libc::SIG_BLOCK, bit(libc::SIGTERM) | bit(libc::SIGKILL)));
    let before = bit(libc::SIGTERM);
    assert_eq!(kernel.mask(), before, "SIGKILL cannot be blocked");
    kernel.takes(signal(libc::SIGUSR1, &[before, before]));
    assert_eq!(kernel.mask(), before | bit(libc::SIGHUP) | bit(libc::SIGUSR1));
    assert_eq!(kernel.disposition(libc::SIGUSR1).handler, HANDLER);
    kernel.takes(call(libc::SYS_rt_sigreturn, 0, &[]).with(SegmentRole::Out, &words(&[before])));
    assert_eq!(kernel.mask(), before);
}

#[test]
fn the_mask_of_a_waiting_call_counts_while_its_handler_runs() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGCHLD, HANDLER, libc::SA_NODEFER, 0));
    kernel.takes(mask(libc::SIG_SETMASK, bit(libc::SIGCHLD)));
    kernel.takes(call(libc::SYS_ppoll, -514, &[0, 0, 0, 0x1000, 8]).input(3, &words(&[0])));
    assert_eq!(kernel.mask(), bit(libc::SIGCHLD));
    kernel.takes(signal(libc::SIGCHLD, &[bit(libc::SIGCHLD), bit(libc::SIGINT)]));
    assert_eq!(kernel.mask(), bit(libc::SIGINT));
}

#[test]
fn a_handler_may_be_for_once() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGUSR1, HANDLER, libc::SA_RESETHAND, 0));
    kernel.takes(signal(libc::SIGUSR1, &[0, 0]));
    assert!(!kernel.disposition(libc::SIGUSR1).is_handled());
    let mask = kernel.mask();
    kernel.takes(signal(libc::SIGUSR1, &[0, 0]));
    assert_eq!(kernel.mask(), mask, "the default action has no frame");
}

#[test]
fn a_blocked_signal_to_oneself_waits() {
    let mut kernel = fresh();
    kernel.takes(mask(libc::SIG_BLOCK, bit(libc::SIGUSR1) | bit(libc::SIGUSR2)));
    kernel.takes(call(libc::SYS_kill, 0, &[100, i64::from(libc::SIGUSR1)]));
    kernel.takes(call(libc::SYS_tgkill, 0, &[100, 100, i64::from(libc::SIGUSR2)]));
    kernel.takes(call(libc::SYS_kill, 0, &[100, i64::from(libc::SIGHUP)]));
    assert_eq!(waiting(&kernel), [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP], "the last is about to come");
    kernel.takes(signal(libc::SIGHUP, &[0, 0]));
    assert_eq!(waiting(&kernel), [libc::SIGUSR1, libc::SIGUSR2]);
    kernel.takes(call(libc::SYS_signalfd4, 3, &[-1, 0x1000, 8, 0]).input(1, &words(&[bit(libc::SIGUSR1)])));
    let mut info = vec![0; 128];
    info[0] = libc::SIGUSR1 as u8;
    kernel.takes(call(libc::SYS_read, 128, &[3, 0, 128]).output(1, &info));
    assert_eq!(waiting(&kernel), [libc::SIGUSR2]);
    kernel.takes(action(libc::SIGUSR2, 1, 0, 0));
    assert_eq!(waiting(&kernel), [0; 0], "ignoring drops what waits");
}

#[test]
fn signals_to_oneself_that_come_to_nothing_do_not_wait() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGUSR1, 1, 0, 0));
    for signal in [libc::SIGUSR1, libc::SIGCHLD, libc::SIGTSTP, libc::SIGSTOP, 0] {
        kernel.takes(call(libc::SYS_kill, 0, &[100, i64::from(signal)]));
    }
    assert_eq!(waiting(&kernel), [0; 0]);
    kernel.takes(mask(libc::SIG_BLOCK, bit(libc::SIGUSR1)));
    kernel.takes(call(libc::SYS_kill, 0, &[100, i64::from(libc::SIGUSR1)]));
    assert_eq!(waiting(&kernel), [libc::SIGUSR1], "blocked, it may be handled one day");
    kernel.takes(mask(libc::SIG_UNBLOCK, bit(libc::SIGUSR1)));
    assert_eq!(waiting(&kernel), [0; 0]);
}

#[test]
fn a_pipe_that_nobody_reads_has_sent_a_signal() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGPIPE, HANDLER, 0, 0));
    let ends = [3i32.to_le_bytes(), 4i32.to_le_bytes()].concat();
    kernel.takes(call(libc::SYS_pipe2, 0, &[0x2000, 0]).output(0, &ends));
    let broken = || call(libc::SYS_write, -i64::from(libc::EPIPE), &[4, 0, 1]);
    kernel.takes(broken());
    assert_eq!(waiting(&kernel), [libc::SIGPIPE]);
    kernel.takes(signal(libc::SIGPIPE, &[0, 0]));
    kernel.takes(call(libc::SYS_rt_sigreturn, 0, &[]).with(SegmentRole::Out, &words(&[0])));
    assert_eq!(waiting(&kernel), [0; 0]);
    let quietly = [4, 0, 1, i64::from(libc::MSG_NOSIGNAL)];
    kernel.takes(call(libc::SYS_sendto, -i64::from(libc::EPIPE), &quietly));
    assert_eq!(waiting(&kernel), [0; 0]);
    kernel.takes(action(libc::SIGPIPE, 1, 0, 0));
    kernel.takes(broken());
    assert_eq!(waiting(&kernel), [0; 0], "it is ignored");
}

#[test]
fn real_time_signals_queue_with_their_values() {
    let mut kernel = fresh();
    kernel.takes(mask(libc::SIG_BLOCK, bit(40) | bit(libc::SIGUSR1)));
    let info = |value: u8| [value; 128];
    for value in [1, 2] {
        kernel.takes(call(libc::SYS_rt_sigqueueinfo, 0, &[100, 40, 0x1000]).input(2, &info(value)));
        kernel.takes(call(libc::SYS_rt_tgsigqueueinfo, 0, &[100, 100, 10, 0x1000]).input(3, &info(value)));
    }
    assert_eq!(waiting(&kernel), [40, libc::SIGUSR1, 40]);
    let sent: Vec<_> = kernel.signals().pending().iter().map(|one| one.sent.clone()).collect();
    let expected = [Sent::Queued(info(1).into()), Sent::QueuedToThread(info(1).into()), Sent::Queued(info(2).into())];
    assert_eq!(sent, expected, "the second ordinary one is lost, as in the kernel");
    kernel.takes(signal(40, &[0, 0]));
    assert_eq!(waiting(&kernel), [libc::SIGUSR1, 40]);
}

#[test]
fn a_timer_may_be_heard_through_a_signalfd() {
    let mut kernel = fresh();
    let spec = words(&[0, 0, 1, 0]);
    kernel.takes(call(libc::SYS_setitimer, 0, &[0, 0x1000, 0]).input(1, &spec).with(SegmentRole::Clock, &words(&[1])));
    kernel.takes(call(libc::SYS_signalfd4, 3, &[-1, 0x1000, 8, 0]).input(1, &words(&[bit(libc::SIGALRM)])));
    let mut info = vec![0; 128];
    info[0] = libc::SIGALRM as u8;
    info[8] = 0x80;
    kernel.takes(call(libc::SYS_read, 128, &[3, 0, 128]).output(1, &info));
    assert_eq!(kernel.timers().iter().count(), 0, "it was set for once and has expired");
}

#[test]
fn what_was_read_is_in_force_though_the_old_could_not_be_written() {
    let mut kernel = fresh();
    let fault = i64::from(-libc::EFAULT);
    let act = words(&[HANDLER, 0, 0, 0]);
    let args = [i64::from(libc::SIGUSR1), 0x1000, 8, 8];
    kernel.takes(call(libc::SYS_rt_sigaction, fault, &args).input(1, &act));
    assert_eq!(kernel.disposition(libc::SIGUSR1).handler, HANDLER);
    let args = [i64::from(libc::SIG_BLOCK), 0x1000, 8, 8];
    kernel.takes(call(libc::SYS_rt_sigprocmask, fault, &args).input(1, &words(&[bit(libc::SIGHUP)])));
    assert_eq!(kernel.mask(), bit(libc::SIGHUP));
    kernel.takes(call(libc::SYS_sigaltstack, fault, &[0x1000, 8]).input(0, &words(&[0x7000, 0, 8192])));
    assert_eq!(kernel.signals().altstack().unwrap().size, 8192);
    // What could not be read changes nothing.
    kernel.takes(call(libc::SYS_rt_sigprocmask, fault, &[i64::from(libc::SIG_SETMASK), 8, 0, 8]));
    assert_eq!(kernel.mask(), bit(libc::SIGHUP));
}

#[test]
fn exec_keeps_what_is_ignored() {
    let mut kernel = fresh();
    kernel.takes(action(libc::SIGUSR1, HANDLER, 0, 0));
    kernel.takes(action(libc::SIGPIPE, 1, 0x1000_0000, 2));
    kernel.takes(call(libc::SYS_sigaltstack, 0, &[0x1000, 0]).input(0, &words(&[0x7000, 0, 8192])));
    assert_eq!(kernel.signals().altstack().unwrap().size, 8192);
    kernel.takes(call(libc::SYS_setresuid, 0, &[5, 6, 7]));
    kernel.takes(call(libc::SYS_alarm, 0, &[5]).clock(1_000));
    kernel.takes(call(libc::SYS_execve, -2, &[]));
    assert_eq!(kernel.signals().dispositions().count(), 2, "an exec that fails changes nothing");
    kernel.refuses(call(libc::SYS_execve, 0, &[]));
    kernel.takes(exec("a-name-of-more-than-15"));
    assert_eq!(kernel.identity().name, b"a-name-of-more-");
    assert_eq!(kernel.identity().uids, Ids { real: 5, effective: 6, saved: 6 });
    assert_eq!(kernel.timers().iter().count(), 1);
    assert_eq!(kernel.disposition(libc::SIGPIPE), Disposition { handler: 1, ..Disposition::default() });
    assert_eq!(kernel.signals().dispositions().map(|(signal, _)| signal).collect::<Vec<_>>(), [libc::SIGPIPE]);
    assert_eq!(kernel.signals().altstack(), None);
}

#[test]
fn an_alarm_ends_with_its_signal_but_not_with_anothers() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_alarm, 0, &[5]).clock(1_000));
    assert_eq!(kernel.timers().get(0).unwrap().left_ns(1_000), 5_000_000_000);
    let mut info = vec![0; 128];
    kernel.takes(signal(libc::SIGALRM, &[0, 0]).with(SegmentRole::SigInfo, &info));
    assert!(kernel.timers().get(0).is_some(), "sent by kill(2)");
    info[8] = 0x80;
    kernel.takes(signal(libc::SIGALRM, &[0, 0]).with(SegmentRole::SigInfo, &info));
    assert!(kernel.timers().get(0).is_none());
    assert!(matches!(kernel.refuses(call(libc::SYS_alarm, 0, &[5])), ModelError::Incomplete { .. }));
}

#[test]
fn an_interval_timer_goes_on() {
    let mut kernel = fresh();
    let spec = words(&[1, 0, 2, 500_000]);
    kernel.takes(call(libc::SYS_setitimer, 0, &[0, 0x1000, 0]).input(1, &spec).clock(0));
    assert_eq!(kernel.timers().get(0).unwrap().left_ns(0), 2_500_000_000);
    kernel.takes(signal(libc::SIGALRM, &[0, 0]));
    assert_eq!(kernel.timers().get(0).unwrap().left_ns(2_500_000_000), 1_000_000_000);
    kernel.takes(call(libc::SYS_setitimer, 0, &[0, 0x1000, 0]).input(1, &[0; 32]).clock(9));
    assert_eq!(kernel.timers().iter().count(), 0);
}

#[test]
fn monotonic_time_is_the_highest_seen() {
    let mut kernel = fresh();
    let read = |clock, seconds| call(libc::SYS_clock_gettime, 0, &[clock, 0x2000]).output(1, &words(&[seconds, 5]));
    kernel.takes(read(1, 7));
    kernel.takes(read(0, 1_700_000_000));
    kernel.takes(read(6, 6));
    assert_eq!(kernel.monotonic_ns(), 7_000_000_005);
}

#[test]
fn credentials_follow_their_calls() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_setgroups, 0, &[2, 0x1000]).input(1, &pair(7, 8)));
    kernel.takes(call(libc::SYS_setresgid, 0, &[-1, 33, 34]));
    kernel.takes(call(libc::SYS_setreuid, 0, &[-1, 33]));
    let id = kernel.identity();
    assert_eq!((id.groups.as_slice(), id.gids), (&[7, 8][..], Ids { real: 0, effective: 33, saved: 34 }));
    assert_eq!(id.uids, Ids { real: 0, effective: 33, saved: 33 });
    kernel.takes(call(libc::SYS_setuid, 0, &[0]));
    assert_eq!(kernel.identity().uids, Ids { real: 0, effective: 0, saved: 33 });
    kernel.takes(call(libc::SYS_setuid, 0, &[50]));
    assert_eq!(kernel.identity().uids, Ids::all(50));
}

#[test]
fn surroundings_follow_their_calls() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_umask, 0o022, &[0o77]));
    kernel.takes(call(libc::SYS_chdir, 0, &[0x1000]).input(0, b"../var"));
    assert_eq!(kernel.identity().cwd, "/var".into());
    kernel.takes(call(libc::SYS_chroot, 0, &[0x1000]).input(0, b"jail"));
    kernel.takes(call(libc::SYS_chdir, 0, &[0x1000]).input(0, b"/"));
    assert_eq!((&kernel.identity().root, &kernel.identity().cwd), (&"/var/jail".into(), &"/var/jail".into()));
    kernel.takes(call(libc::SYS_openat, 3, &[-100, 0x1000, 0]).input(1, b"x").with(SegmentRole::Path, b"/mnt/x"));
    kernel.takes(call(libc::SYS_fchdir, 0, &[3]).with(SegmentRole::Path, b"/mnt/x"));
    assert_eq!(kernel.identity().cwd, "/mnt/x".into());
    kernel.takes(call(libc::SYS_prctl, 0, &[15, 0x1000]).input(1, b"worker\0garbage"));
    kernel.takes(call(libc::SYS_prctl, 0, &[38, 1]));
    kernel.takes(call(libc::SYS_prlimit64, 0, &[0, 7, 0x1000, 0]).input(2, &words(&[10, 20])));
    kernel.takes(call(libc::SYS_prlimit64, 0, &[0, 8, 0, 0x2000]));
    kernel.takes(call(libc::SYS_setsid, 100, &[]));
    let id = kernel.identity();
    assert_eq!((id.name.as_slice(), id.umask, id.sid, id.pgrp), (&b"worker"[..], 0o77, 100, 100));
    assert_eq!(id.settings.get(&38), Some(&1));
    assert_eq!(id.limits.get(&7), Some(&Limit { current: 10, maximum: 20 }));
    assert_eq!(id.limits.len(), 1, "asking is not setting");
}

#[test]
fn children_are_kept_until_they_are_waited_for() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_clone, 101, &[17]));
    assert!(kernel.identity().children.contains_key(&101));
    // Stopped and continued ones are still there.
    kernel.takes(call(libc::SYS_wait4, 101, &[-1, 0x2000, 10]).output(1, &0x137f_i32.to_le_bytes()));
    kernel.takes(call(libc::SYS_wait4, 101, &[-1, 0x2000, 10]).output(1, &0xffff_i32.to_le_bytes()));
    assert_eq!(kernel.living_children(), 1);
    kernel.takes(call(libc::SYS_wait4, 101, &[-1, 0x2000, 0]).output(1, &0x100_i32.to_le_bytes()));
    assert!(kernel.identity().children.is_empty() && kernel.identity().forked);
}

#[test]
fn waitid_removes_a_child_that_ended_unless_it_leaves_it() {
    let ended = |code: i32, options: i32| {
        let mut info = vec![0; 128];
        info[8..12].copy_from_slice(&code.to_le_bytes());
        info[16..20].copy_from_slice(&101i32.to_le_bytes());
        call(libc::SYS_waitid, 0, &[0, 0, 0x2000, options.into()]).output(2, &info)
    };
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_vfork, 101, &[]));
    kernel.takes(ended(libc::CLD_EXITED, libc::WEXITED | libc::WNOWAIT));
    kernel.takes(ended(libc::CLD_STOPPED, libc::WSTOPPED));
    assert_eq!(kernel.living_children(), 1);
    kernel.takes(ended(libc::CLD_DUMPED, libc::WEXITED));
    assert_eq!(kernel.living_children(), 0);
}

#[test]
fn who_has_no_child_has_none_in_the_model() {
    let mut kernel = fresh();
    let child = |pid: i64, signal: i32| call(libc::SYS_clone, pid, &[signal.into()]);
    let none = |pid: i64| call(libc::SYS_wait4, -i64::from(libc::ECHILD), &[pid, 0, 0]);
    kernel.takes(child(101, libc::SIGCHLD));
    kernel.takes(child(102, libc::SIGCHLD));
    kernel.takes(child(103, 0));
    kernel.takes(none(101));
    assert_eq!(kernel.identity().children.keys().copied().collect::<Vec<_>>(), [102, 103]);
    // Who sends no SIGCHLD is not waited for without __WALL.
    kernel.takes(none(-1));
    assert_eq!(kernel.identity().children.keys().copied().collect::<Vec<_>>(), [103]);
}

#[test]
fn lost_children_are_killed_ones_that_can_be_waited_for_once() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_rt_sigaction, 0, &[17, 0x1000, 0, 8]).input(1, &words(&[0x4000, 0, 0, 0])));
    kernel.takes(call(libc::SYS_fork, 101, &[]));
    kernel.takes(call(libc::SYS_fork, 102, &[]));
    assert_eq!(kernel.killed_child(WaitFor::Any, 0), None);
    kernel.lose_children();
    let info = killed_info(101, kernel.identity().uids.real).to_vec();
    let pending = Pending { signal: libc::SIGCHLD, sent: Sent::Queued(info) };
    assert_eq!(kernel.signals().pending(), [pending]);
    assert_eq!(kernel.living_children(), 0);
    assert_eq!(kernel.killed_child(WaitFor::Process(102), 0), Some(102));
    assert_eq!(kernel.killed_child(WaitFor::Process(103), 0), None);
    assert_eq!(kernel.killed_child(WaitFor::Group(0), 0), Some(101));
    assert_eq!(kernel.killed_child(WaitFor::Group(7), 0), None);
    kernel.takes(call(libc::SYS_wait4, 101, &[-1, 0x2000, 0]).output(1, &9i32.to_le_bytes()));
    assert_eq!(kernel.killed_child(WaitFor::Any, 0), Some(102));
}

#[test]
fn where_nobody_waits_lost_children_leave_nothing() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_fork, 101, &[]));
    kernel.takes(call(libc::SYS_rt_sigaction, 0, &[17, 0x1000, 0, 8]).input(1, &words(&[1, 0, 0, 0])));
    kernel.takes(call(libc::SYS_fork, 102, &[]));
    assert_eq!(kernel.living_children(), 1, "nobody can wait for the second one");
    kernel.lose_children();
    assert!(kernel.identity().children.is_empty() && kernel.signals().pending().is_empty());
}
