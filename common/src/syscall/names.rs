//! Names of the calls that are refused, so that a refusal names the call (arch/x86/entry/syscalls/syscall_64.tbl in the
//! kernel's sources).

/// The name of a call that has no shape.
#[must_use]
pub fn of(number: u64) -> Option<&'static str> {
    let number = u16::try_from(number).ok()?;
    REFUSED.binary_search_by_key(&number, |(n, _)| *n).ok().map(|at| REFUSED[at].1)
}

/// All calls that the table does not have.
pub fn all() -> impl Iterator<Item = (u16, &'static str)> {
    REFUSED.iter().copied()
}

#[rustfmt::skip]
pub(super) static REFUSED: &[(u16, &str)] = &[
    (29, "shmget"), (30, "shmat"), (31, "shmctl"),
    (64, "semget"), (65, "semop"), (66, "semctl"), (67, "shmdt"), (68, "msgget"), (69, "msgsnd"), (70, "msgrcv"),
    (71, "msgctl"), (78, "getdents"), (101, "ptrace"), (103, "syslog"), (122, "setfsuid"), (123, "setfsgid"),
    (134, "uselib"), (135, "personality"), (136, "ustat"), (139, "sysfs"), (142, "sched_setparam"),
    (144, "sched_setscheduler"), (148, "sched_rr_get_interval"), (153, "vhangup"), (154, "modify_ldt"),
    (155, "pivot_root"), (156, "_sysctl"), (159, "adjtimex"), (163, "acct"), (164, "settimeofday"), (165, "mount"),
    (166, "umount2"), (167, "swapon"), (168, "swapoff"), (169, "reboot"), (170, "sethostname"),
    (171, "setdomainname"), (172, "iopl"), (173, "ioperm"), (174, "create_module"), (175, "init_module"),
    (176, "delete_module"), (177, "get_kernel_syms"), (178, "query_module"), (179, "quotactl"), (180, "nfsservctl"),
    (181, "getpmsg"), (182, "putpmsg"), (183, "afs_syscall"), (184, "tuxcall"), (185, "security"), (188, "setxattr"),
    (189, "lsetxattr"), (190, "fsetxattr"), (191, "getxattr"), (192, "lgetxattr"), (193, "fgetxattr"),
    (194, "listxattr"), (195, "llistxattr"), (196, "flistxattr"), (197, "removexattr"), (198, "lremovexattr"),
    (199, "fremovexattr"), (205, "set_thread_area"), (206, "io_setup"), (207, "io_destroy"), (208, "io_getevents"),
    (209, "io_submit"), (210, "io_cancel"), (211, "get_thread_area"), (212, "lookup_dcookie"), (214, "epoll_ctl_old"),
    (215, "epoll_wait_old"), (216, "remap_file_pages"), (220, "semtimedop"), (227, "clock_settime"), (236, "vserver"), (237, "mbind"), (238, "set_mempolicy"), (239, "get_mempolicy"),
    (240, "mq_open"), (241, "mq_unlink"), (242, "mq_timedsend"), (243, "mq_timedreceive"), (244, "mq_notify"),
    (245, "mq_getsetattr"), (246, "kexec_load"), (248, "add_key"), (249, "request_key"), (250, "keyctl"),
    (251, "ioprio_set"), (252, "ioprio_get"), (256, "migrate_pages"), (261, "futimesat"), (272, "unshare"),
    (274, "get_robust_list"), (275, "splice"), (276, "tee"), (278, "vmsplice"), (279, "move_pages"),
    (298, "perf_event_open"), (300, "fanotify_init"), (301, "fanotify_mark"), (303, "name_to_handle_at"),
    (304, "open_by_handle_at"), (305, "clock_adjtime"), (306, "syncfs"), (308, "setns"), (310, "process_vm_readv"),
    (311, "process_vm_writev"), (312, "kcmp"), (313, "finit_module"), (314, "sched_setattr"), (315, "sched_getattr"),
    (317, "seccomp"), (319, "memfd_create"), (320, "kexec_file_load"), (321, "bpf"), 
    (323, "userfaultfd"), (324, "membarrier"), (325, "mlock2"), (329, "pkey_mprotect"), (330, "pkey_alloc"),
    (331, "pkey_free"), (333, "io_pgetevents"), (335, "uretprobe"), (336, "uprobe"), (424, "pidfd_send_signal"), (425, "io_uring_setup"),
    (426, "io_uring_enter"), (427, "io_uring_register"), (428, "open_tree"), (429, "move_mount"), (430, "fsopen"),
    (431, "fsconfig"), (432, "fsmount"), (433, "fspick"), (434, "pidfd_open"), (438, "pidfd_getfd"),
    (440, "process_madvise"), (442, "mount_setattr"), (443, "quotactl_fd"), (444, "landlock_create_ruleset"),
    (445, "landlock_add_rule"), (446, "landlock_restrict_self"), (447, "memfd_secret"), (448, "process_mrelease"),
    (449, "futex_waitv"), (450, "set_mempolicy_home_node"), (451, "cachestat"), (452, "fchmodat2"),
    (453, "map_shadow_stack"), (454, "futex_wake"), (455, "futex_wait"), (456, "futex_requeue"), (457, "statmount"),
    (458, "listmount"), (459, "lsm_get_self_attr"), (460, "lsm_set_self_attr"), (461, "lsm_list_modules"),
    (462, "mseal"), (463, "setxattrat"), (464, "getxattrat"), (465, "listxattrat"), (466, "removexattrat"),
    (467, "open_tree_attr"), (468, "file_getattr"), (469, "file_setattr"),
];
