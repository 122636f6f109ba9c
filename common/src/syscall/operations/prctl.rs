//! prctl(2): `include/uapi/linux/prctl.h` in the kernel's sources (Linux 6.18). What is of other architectures is refused as
//! the kernel refuses it.

use super::super::nr;
use super::super::shape::Class::{Answer, Emulate};
use super::super::shape::Direction::{In, Out};
use super::super::shape::Length::{CString, Fixed};
use super::super::shape::{Pointer, ptr, shape};
use super::{Operation, are_exactly, known, refused};

const fn carried(value: u64, name: &'static str, pointers: &'static [Pointer]) -> Operation {
    known(value, shape(nr::PRCTL, name, 5, Emulate, pointers))
}

#[rustfmt::skip]
pub(super) static TABLE: &[Operation] = &[
    carried(1, "prctl(PR_SET_PDEATHSIG)", &[]),
    carried(2, "prctl(PR_GET_PDEATHSIG)", &[ptr(1, Out, Fixed(4))]),
    carried(3, "prctl(PR_GET_DUMPABLE)", &[]),
    known(4, shape(nr::PRCTL, "prctl(PR_SET_DUMPABLE)", 5, Answer(0), &[])),
    refused(5, "prctl(PR_GET_UNALIGN)"),
    refused(6, "prctl(PR_SET_UNALIGN)"),
    carried(7, "prctl(PR_GET_KEEPCAPS)", &[]),
    carried(8, "prctl(PR_SET_KEEPCAPS)", &[]),
    refused(9, "prctl(PR_GET_FPEMU)"),
    refused(10, "prctl(PR_SET_FPEMU)"),
    refused(11, "prctl(PR_GET_FPEXC)"),
    refused(12, "prctl(PR_SET_FPEXC)"),
    refused(13, "prctl(PR_GET_TIMING)"),
    refused(14, "prctl(PR_SET_TIMING)"),
    carried(15, "prctl(PR_SET_NAME)", &[ptr(1, In, CString)]),
    carried(16, "prctl(PR_GET_NAME)", &[ptr(1, Out, Fixed(16))]),
    refused(19, "prctl(PR_GET_ENDIAN)"),
    refused(20, "prctl(PR_SET_ENDIAN)"),
    refused(21, "prctl(PR_GET_SECCOMP)"),
    refused(22, "prctl(PR_SET_SECCOMP)"),
    carried(23, "prctl(PR_CAPBSET_READ)", &[]),
    refused(24, "prctl(PR_CAPBSET_DROP)"),
    refused(25, "prctl(PR_GET_TSC)"),
    refused(26, "prctl(PR_SET_TSC)"),
    carried(27, "prctl(PR_GET_SECUREBITS)", &[]),
    refused(28, "prctl(PR_SET_SECUREBITS)"),
    carried(29, "prctl(PR_SET_TIMERSLACK)", &[]),
    carried(30, "prctl(PR_GET_TIMERSLACK)", &[]),
    refused(31, "prctl(PR_TASK_PERF_EVENTS_DISABLE)"),
    refused(32, "prctl(PR_TASK_PERF_EVENTS_ENABLE)"),
    refused(33, "prctl(PR_MCE_KILL)"),
    refused(34, "prctl(PR_MCE_KILL_GET)"),
    refused(35, "prctl(PR_SET_MM)"),
    refused(36, "prctl(PR_SET_CHILD_SUBREAPER)"),
    refused(37, "prctl(PR_GET_CHILD_SUBREAPER)"),
    carried(38, "prctl(PR_SET_NO_NEW_PRIVS)", &[]),
    carried(39, "prctl(PR_GET_NO_NEW_PRIVS)", &[]),
    refused(40, "prctl(PR_GET_TID_ADDRESS)"),
    refused(41, "prctl(PR_SET_THP_DISABLE)"),
    refused(42, "prctl(PR_GET_THP_DISABLE)"),
    refused(43, "prctl(PR_MPX_ENABLE_MANAGEMENT)"),
    refused(44, "prctl(PR_MPX_DISABLE_MANAGEMENT)"),
    refused(45, "prctl(PR_SET_FP_MODE)"),
    refused(46, "prctl(PR_GET_FP_MODE)"),
    refused(47, "prctl(PR_CAP_AMBIENT)"),
    refused(50, "prctl(PR_SVE_SET_VL)"),
    refused(51, "prctl(PR_SVE_GET_VL)"),
    refused(52, "prctl(PR_GET_SPECULATION_CTRL)"),
    refused(53, "prctl(PR_SET_SPECULATION_CTRL)"),
    refused(54, "prctl(PR_PAC_RESET_KEYS)"),
    refused(55, "prctl(PR_SET_TAGGED_ADDR_CTRL)"),
    refused(56, "prctl(PR_GET_TAGGED_ADDR_CTRL)"),
    refused(57, "prctl(PR_SET_IO_FLUSHER)"),
    refused(58, "prctl(PR_GET_IO_FLUSHER)"),
    refused(59, "prctl(PR_SET_SYSCALL_USER_DISPATCH)"),
    refused(60, "prctl(PR_PAC_SET_ENABLED_KEYS)"),
    refused(61, "prctl(PR_PAC_GET_ENABLED_KEYS)"),
    refused(62, "prctl(PR_SCHED_CORE)"),
    refused(63, "prctl(PR_SME_SET_VL)"),
    refused(64, "prctl(PR_SME_GET_VL)"),
    refused(65, "prctl(PR_SET_MDWE)"),
    refused(66, "prctl(PR_GET_MDWE)"),
    refused(67, "prctl(PR_SET_MEMORY_MERGE)"),
    refused(68, "prctl(PR_GET_MEMORY_MERGE)"),
    refused(69, "prctl(PR_RISCV_V_SET_CONTROL)"),
    refused(70, "prctl(PR_RISCV_V_GET_CONTROL)"),
    refused(71, "prctl(PR_RISCV_SET_ICACHE_FLUSH_CTX)"),
    refused(72, "prctl(PR_PPC_GET_DEXCR)"),
    refused(73, "prctl(PR_PPC_SET_DEXCR)"),
    refused(74, "prctl(PR_GET_SHADOW_STACK_STATUS)"),
    refused(75, "prctl(PR_SET_SHADOW_STACK_STATUS)"),
    refused(76, "prctl(PR_LOCK_SHADOW_STACK_STATUS)"),
    refused(77, "prctl(PR_TIMER_CREATE_RESTORE_IDS)"),
    refused(78, "prctl(PR_FUTEX_HASH)"),
    refused(0x4155_5856, "prctl(PR_GET_AUXV)"),
    carried(0x5356_4d41, "prctl(PR_SET_VMA)", &[]),
    refused(0x5961_6d61, "prctl(PR_SET_PTRACER)"),
];

const _: () = assert!(
    are_exactly(
        TABLE,
        &[
            (1, 16),
            (19, 47),
            (50, 78),
            (0x4155_5856, 0x4155_5856),
            (0x5356_4d41, 0x5356_4d41),
            (0x5961_6d61, 0x5961_6d61)
        ]
    ),
    "an operation of prctl is missing, or out of order"
);
