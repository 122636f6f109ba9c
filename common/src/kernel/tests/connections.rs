use super::*;
use crate::ids::ConnId;
use crate::kernel::{Object, TcpState};
use crate::orders::{ListenerId, Progress};

fn conn(peer: &str) -> ConnId {
    ConnId { epoch: Epoch(1), peer: peer.parse().unwrap() }
}

fn only(kernel: &mut Kernel) -> Progress {
    let all = kernel.take_progress();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0]
}

#[test]
fn options_that_accepted_sockets_would_multiply_are_refused() {
    let mut kernel = fresh();
    listening(&mut kernel);
    // IP_ADD_MEMBERSHIP: a second one does not replace the first.
    let join = |bytes: usize| call(libc::SYS_setsockopt, 0, &[3, 0, 35, 0x1000, 8]).input(3, &vec![0; bytes]);
    kernel.takes(join(1 << 19));
    let error = kernel.refuses(join(1 << 19));
    assert!(error.to_string().contains("socket options of at most 1048576 bytes"), "{error}");
    kernel.takes(join(8));
}

#[test]
fn the_scope_of_a_link_local_address_is_part_of_the_model() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[10, 1, 0]));
    kernel.takes(call(libc::SYS_connect, 0, &[3, 0x1000, 28]).input(1, &sockaddr("[fe80::1%3]:9")));
    let copy = Kernel::decode(&kernel.encode().unwrap()).unwrap();
    assert_eq!(copy.unprotected().into_iter().collect::<Vec<_>>(), ["tcp to [fe80::1%3]:9"]);
}

#[test]
fn a_listener_is_numbered_when_it_is_bound() {
    let mut kernel = fresh();
    assert_eq!(kernel.next_listener_id(), ListenerId(0));
    listening(&mut kernel);
    assert_eq!(kernel.next_listener_id(), ListenerId(1));
    let listener = kernel.listeners().next().unwrap();
    assert_eq!(listener.bound.asked, "0.0.0.0:80".parse().unwrap());
    assert_eq!((listener.bound.id, listener.backlog, listener.reuse_addr), (ListenerId(0), Some(128), true));
    assert_eq!(kernel.listener_of_fd(3), Some(listener));
    kernel.takes(call(libc::SYS_close, 0, &[3]));
    assert_eq!(kernel.take_unlistened(), [ListenerId(0)]);
    assert_eq!(kernel.listeners().count(), 0);
}

#[test]
fn a_bind_that_failed_takes_no_number() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[2, 1, 0]));
    kernel.takes(call(libc::SYS_bind, -98, &[3, 0x1000, 16]).input(1, &sockaddr("0.0.0.0:80")));
    assert_eq!(kernel.next_listener_id(), ListenerId(0));
    assert_eq!(kernel.listener_of_fd(3), None);
}

#[test]
fn listening_without_bind_takes_the_port_of_the_record() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[2, 1, 0]));
    let refused = kernel.refuses(call(libc::SYS_listen, 0, &[3, 5]));
    assert!(matches!(refused, ModelError::Incomplete { .. }), "{refused}");
    kernel.takes(call(libc::SYS_listen, 0, &[3, 5]).with(SegmentRole::Local, &sockaddr("0.0.0.0:40000")));
    assert_eq!(kernel.listeners().next().unwrap().bound.asked.port(), 40000);
}

#[test]
fn an_accepted_connection_inherits_options_and_counts_bytes() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    let name = conn("10.0.0.9:5000");
    assert_eq!(kernel.conn_of_fd(4), Some(name));
    assert_eq!(kernel.conn_of_fd(3), None);
    let Some(Object::Tcp(socket)) = kernel.object(4) else { panic!("{:?}", kernel.object(4)) };
    assert_eq!(socket.state, TcpState::Accepted(name));
    assert!(socket.options.is_set(libc::SOL_SOCKET, libc::SO_REUSEADDR));
    assert_eq!(kernel.descriptors().get(4).unwrap().flags & libc::O_NONBLOCK, libc::O_NONBLOCK);

    kernel.takes(call(libc::SYS_read, 10, &[4, 0x2000, 100]));
    kernel.takes(call(libc::SYS_recvfrom, 10, &[4, 0x2000, 100, i64::from(libc::MSG_PEEK)]));
    kernel.takes(call(libc::SYS_recvfrom, 5, &[4, 0x2000, 100, 0]));
    kernel.takes(call(libc::SYS_recvmsg, 2, &[4, 0x2000, 0]));
    kernel.takes(call(libc::SYS_read, -11, &[4, 0x2000, 100]));
    kernel.takes(call(libc::SYS_write, 7, &[4, 0x2000, 7]));
    kernel.takes(call(libc::SYS_writev, 3, &[4, 0x2000, 2]));
    kernel.takes(call(libc::SYS_sendto, 4, &[4, 0x2000, 4, 0, 0, 0]));
    let expected = Progress { conn: name, consumed: 17, produced: 14, finished: false, closed: false, reset: false };
    assert_eq!(only(&mut kernel), expected);
    assert_eq!(kernel.take_progress(), [], "nothing moved since");
}

#[test]
fn several_messages_in_one_call_all_count() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    let mut headers = vec![0; 192];
    for (index, size) in [(0, 3u32), (1, 4), (2, 99)] {
        headers[index * 64 + 56..index * 64 + 60].copy_from_slice(&size.to_le_bytes());
    }
    let args = [4, 0x9000, 3, 0, 0];
    let data = |made: Made| made.output_at(1, 0x3000, b"abcdefg").output_at(1, 0x9000, &headers);
    kernel.takes(data(call(libc::SYS_recvmmsg, 2, &args)));
    kernel.takes(call(libc::SYS_sendmmsg, 1, &args).output_at(1, 0x9000, &headers));
    let progress = only(&mut kernel);
    assert_eq!((progress.consumed, progress.produced), (7, 3));
    let refused = kernel.refuses(call(libc::SYS_recvmmsg, 2, &args).output_at(1, 0x9000, &headers[..64]));
    assert!(refused.to_string().contains("2 message headers"), "{refused}");
}

#[test]
fn a_half_close_finishes_and_the_last_close_closes() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    kernel.takes(call(libc::SYS_dup, 5, &[4]));
    kernel.takes(call(libc::SYS_shutdown, 0, &[4, i64::from(libc::SHUT_WR)]));
    let progress = only(&mut kernel);
    assert!(progress.finished && !progress.closed);
    kernel.takes(call(libc::SYS_close, 0, &[4]));
    assert_eq!(kernel.take_progress(), [], "descriptor 5 still holds it");
    kernel.takes(call(libc::SYS_close, 0, &[5]));
    let progress = only(&mut kernel);
    assert!(progress.finished && progress.closed);
    assert!(kernel.connections().get(progress.conn).unwrap().closed, "kept until it is forgotten");
    assert!(kernel.forget(progress.conn));
    assert!(!kernel.forget(progress.conn));
    assert_eq!(kernel.connections().iter().count(), 0);
}

#[test]
fn a_close_without_lingering_is_a_reset() {
    let mut kernel = fresh();
    listening(&mut kernel);
    for (fd, linger, reset) in [(4, [1u32, 0], true), (5, [1, 3], false), (6, [0, 0], false)] {
        accepted(&mut kernel, fd, &format!("10.0.0.9:500{fd}"));
        let value: Vec<u8> = linger.iter().flat_map(|word| word.to_le_bytes()).collect();
        let option = [fd, libc::SOL_SOCKET.into(), libc::SO_LINGER.into(), 0x1000, 8];
        kernel.takes(call(libc::SYS_setsockopt, 0, &option).input(3, &value));
        kernel.take_progress();
        kernel.takes(call(libc::SYS_close, 0, &[fd]));
        assert_eq!(only(&mut kernel).reset, reset, "{linger:?}");
    }
}

#[test]
fn what_is_open_is_not_forgotten() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    assert!(!kernel.forget(conn("10.0.0.9:5000")));
    assert!(kernel.conn_of_fd(4).is_some());
}

#[test]
fn bookkeeping_does_not_make_models_differ() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    let mut other = kernel.clone();
    other.take_progress();
    for kernel in [&mut kernel, &mut other] {
        kernel.takes(call(libc::SYS_close, 0, &[4]));
    }
    other.forget(conn("10.0.0.9:5000"));
    assert_eq!(kernel, other);
}

#[test]
fn the_epoch_of_the_accept_belongs_to_the_name() {
    let mut kernel = fresh();
    listening(&mut kernel);
    let epoch = |epoch| Record::new(Kind::Epoch, 0, 0).with_args(&[epoch]);
    kernel.apply(&epoch(4)).unwrap();
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    assert_eq!(kernel.conn_of_fd(4).unwrap().epoch, Epoch(4));
    assert!(matches!(kernel.apply(&epoch(3)), Err(ModelError::Inconsistent { .. })), "epochs do not go back");
}

#[test]
fn a_peer_mapped_into_ipv6_is_the_ipv4_peer() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[10, 1, 0]));
    let any = sockaddr("[::]:80");
    kernel.takes(call(libc::SYS_bind, 0, &[3, 0x1000, 28]).input(1, &any));
    kernel.takes(call(libc::SYS_listen, 0, &[3, 128]));
    accepted(&mut kernel, 4, "[::ffff:10.0.0.9]:5000");
    assert_eq!(kernel.conn_of_fd(4), Some(conn("10.0.0.9:5000")));
}

#[test]
fn a_connection_cannot_be_accepted_twice() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    let again = call(libc::SYS_accept, 5, &[3, 0, 0]).with(SegmentRole::Peer, &sockaddr("10.0.0.9:5000"));
    assert!(kernel.refuses(again).to_string().starts_with("accept: expected a new connection"));
    assert!(matches!(kernel.refuses(call(libc::SYS_accept, 5, &[3, 0, 0])), ModelError::Incomplete { .. }));
    let from = call(libc::SYS_accept, 5, &[4, 0, 0]).with(SegmentRole::Peer, &sockaddr("10.0.0.9:5001"));
    assert!(matches!(kernel.refuses(from), ModelError::Inconsistent { .. }), "not a listener");
}

#[test]
fn a_connection_to_others_is_outgoing_even_while_it_is_under_way() {
    let mut kernel = fresh();
    kernel.takes(call(libc::SYS_socket, 3, &[2, 1, 0]));
    let remote = sockaddr("10.0.0.1:25");
    kernel.takes(call(libc::SYS_connect, -111, &[3, 0x1000, 16]).input(1, &remote));
    assert!(matches!(kernel.object(3), Some(Object::Tcp(s)) if s.state == TcpState::Fresh));
    kernel.takes(call(libc::SYS_connect, -115, &[3, 0x1000, 16]).input(1, &remote));
    let outgoing = TcpState::Outgoing { remote: "10.0.0.1:25".parse().unwrap() };
    assert!(matches!(kernel.object(3), Some(Object::Tcp(s)) if s.state == outgoing));
    kernel.takes(call(libc::SYS_write, 5, &[3, 0x2000, 5]));
    assert_eq!(kernel.take_progress(), [], "no client's connection");
}

#[test]
fn the_end_closes_everything() {
    let mut kernel = fresh();
    listening(&mut kernel);
    accepted(&mut kernel, 4, "10.0.0.9:5000");
    kernel.take_progress();
    kernel.apply(&Record::new(Kind::End, 0, 256)).unwrap();
    assert!(only(&mut kernel).closed);
    assert_eq!(kernel.ended(), Some(256));
    let after = kernel.refuses(call(libc::SYS_getpid, 100, &[]));
    assert!(matches!(after, ModelError::AfterEnd { .. }));
}
